"""What can go wrong when models are loaded or run, in words a person can act on."""

from __future__ import annotations


class InferenceError(Exception):
    """Weights or an image cannot be used: one sentence saying what is wrong and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
