"""What can go wrong in training, in words a person can act on."""

from __future__ import annotations


class TrainingError(Exception):
    """Training cannot start or go on: one sentence saying what is wrong and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Pruned(TrainingError):
    """``on_epoch`` said so: what the trial has shown so far is not worth its remaining epochs."""

    def __init__(self, message: str = "Given up: worse than half of the trials before it.") -> None:
        super().__init__(message)


class Cancelled(TrainingError):
    """``should_stop`` said so; the last whole epoch's checkpoint stays in the run folder."""

    def __init__(self, message: str = "The training was cancelled.") -> None:
        super().__init__(message)
