"""Which configurations a search tries and which it gives up: Optuna's TPE and median pruning.

A study lives in an Optuna storage that several processes may share; nothing here knows where.
Each of the search's trials has a place (from 1): place 1 is what one would train without a search,
moved to the nearest values of the space, so the best trial is never worse than that. The objective
is the validation score by which the engine keeps an epoch (higher is better); the test split is
never looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from training.engine import EpochReport
from training.errors import TrainingError
from training.search_space import WHOLE, Choice, Params, Range, Space

# As many trials are drawn at random before TPE has something to go by (Bergstra et al. 2011).
_RANDOM_TRIALS = 6
# A median of fewer whole trials says little, and before so many tenths of a trial its learning
# rate has barely begun to fall.
_WHOLE_TRIALS = 4
_TENTHS_IN_PEACE = 3

optuna.logging.disable_default_handler()
optuna.logging.enable_propagation()
optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Point:
    """What one epoch of a trial has shown."""

    share: float  # of the trial's epochs or minutes that are over, 0 … 1
    score: float


def point_of(report: EpochReport) -> Point:
    """The report's part in a search. ``TrainingError`` when nothing was there to judge by."""
    if report.score is None:
        raise TrainingError(
            "The snapshot has no image to validate on, so trials cannot be compared: correct some"
            " validation images, or training images of a second group (plate, well or batch)."
        )
    return Point(min(1.0, report.epoch / max(1, report.epochs)), report.score)


def tenths(curve: Sequence[Point]) -> dict[int, float]:
    """The best score when one, two, … tenths of the trial were over, as far as it has come.

    Trials differ in the length of their epochs, not in that of their tenths.
    """
    reached: dict[int, float] = {}
    best = float("-inf")
    for point in curve:
        best = max(best, point.score)
        for tenth in range(len(reached) + 1, int(point.share * 10 + 1e-9) + 1):
            reached[tenth] = best
    return reached


class Trial:
    """One configuration under way; every way to end it may be called again."""

    def __init__(self, study: optuna.Study, trial: optuna.Trial, params: Params) -> None:
        self._study = study
        self._trial = trial
        self._told: set[int] = set()
        self.number = trial.number  # Optuna's, from 0
        self.params = params

    def is_hopeless(self, curve: Sequence[Point]) -> bool:
        """Report the trial's epochs so far; whether it is worse than half of the whole trials."""
        for tenth, score in tenths(curve).items():
            if tenth not in self._told:
                self._trial.report(score, tenth)
                self._told.add(tenth)
        return self._trial.should_prune()

    def complete(self, value: float) -> None:
        """It was trained to its end; ``value`` is the validation score of the epoch it keeps."""
        self._study.tell(self.number, value, skip_if_finished=True)

    def prune(self) -> None:
        """It was given up."""
        self._study.tell(self.number, state=TrialState.PRUNED, skip_if_finished=True)

    def fail(self) -> None:
        """It broke off; the sampler learns nothing from it."""
        self._study.tell(self.number, state=TrialState.FAIL, skip_if_finished=True)


class Study:
    """The trials of one search, shared through ``storage`` under ``name``; made at first use."""

    def __init__(self, storage: BaseStorage, name: str, space: Space, seed: int) -> None:
        self._storage = storage
        self._name = name
        self._distributions = {key: _distribution(key, part) for key, part in space.items()}
        self._seed = seed

    def ask(self, place: int) -> Trial:
        """What to try at ``place``, by what the trials before it have shown.

        With one worker the same seed and scores give the same trials.
        """
        study = self._opened(place)
        trial = study.ask(self._distributions)
        return Trial(study, trial, _plain(trial.params))

    def repeat(self, place: int, params: Mapping[str, Any], failed: int | None = None) -> Trial:
        """Try just ``params``; ``failed`` is the number of the trial that broke off with them."""
        study = self._opened(place)
        if failed is not None:
            study.tell(failed, state=TrialState.FAIL, skip_if_finished=True)
        template = optuna.trial.create_trial(
            state=TrialState.RUNNING, params=dict(params), distributions=self._distributions
        )
        # Optuna's own queue of waiting trials would hand it to whoever asks first.
        study_id = self._storage.get_study_id_from_name(self._name)
        trial_id = self._storage.create_new_trial(study_id, template)
        return Trial(study, optuna.Trial(study, trial_id), dict(params))

    def _opened(self, place: int) -> optuna.Study:
        # A sampler for each place: workers that share one seed would all draw the same numbers.
        seed = int(np.random.SeedSequence([self._seed, place]).generate_state(1)[0])
        return optuna.create_study(
            storage=self._storage,
            study_name=self._name,
            direction="maximize",
            load_if_exists=True,
            sampler=TPESampler(seed=seed, n_startup_trials=_RANDOM_TRIALS),
            pruner=MedianPruner(_WHOLE_TRIALS, _TENTHS_IN_PEACE),
        )


def _distribution(key: str, part: Range | Choice) -> BaseDistribution:
    if isinstance(part, Choice):
        return CategoricalDistribution(part.values)
    if key in WHOLE:
        step = int(part.step) or 1
        return IntDistribution(int(part.low), int(part.high), log=part.log, step=step)
    return FloatDistribution(part.low, part.high, log=part.log, step=part.step or None)


def _plain(params: Mapping[str, Any]) -> Params:
    """Numbers that JSON and ``TrainConfig`` take."""
    return {key: int(v) if key in WHOLE else float(v) for key, v in params.items()}
