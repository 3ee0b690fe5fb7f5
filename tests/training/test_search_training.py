"""What a search tries: its space, the same trials from the same seed, and what it gives up."""

from __future__ import annotations

import math
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import optuna
import torch

from tests.training.snapshots import write_disks
from training.config import FAMILIES, TrainConfig
from training.dataset import open_snapshot
from training.engine import EpochReport
from training.errors import TrainingError
from training.search import Point, Study, point_of, tenths
from training.search_space import SPACES, Choice, Range, as_json, defaults_in, from_json, space_for
from training.segmenter_learner import SegmenterLearner
from training.train import train


class SpaceTest(unittest.TestCase):
    def test_a_familys_space_holds_its_defaults(self) -> None:
        for family in FAMILIES:
            for fine_tune in (False, True):
                config = TrainConfig.for_family(family).settled(fine_tune)
                space = space_for(family, {})
                expected = {key: getattr(config, key) for key in SPACES[family]}
                self.assertEqual(defaults_in(space, config), expected)

    def test_what_the_data_set_fixes_is_not_varied_unless_asked_for(self) -> None:
        config = {"crop": 64, "batch_size": 2}
        self.assertNotIn("crop", space_for("segmenter", config))
        given = {"crop": {"low": 64, "high": 128}}
        varied = space_for("segmenter", config, given)
        self.assertEqual(varied["crop"], Range(64, 128, step=8))

    def test_usual_ranges_are_cut_to_what_the_data_set_fixes(self) -> None:
        for config, key, expected in (
            ({"scale_low": 1.2}, "scale_high", Range(1.2, 2.0)),
            ({"scale_high": 0.9}, "scale_low", Range(0.5, 0.9)),
            ({"scale_low": 0.6}, "scale_high", Range(1.0, 2.0)),
            ({"scale_low": 2.0, "scale_high": 2.5}, "clip", Range(0.1, 10.0, log=True)),
            ({"scale_low": 0.3, "scale_high": 0.4}, "ema", Range(0.9, 0.999)),
        ):
            with self.subTest(config):
                space = space_for("segmenter", config)
                self.assertEqual(space[key], expected)
                self.assertEqual(config.keys() & space.keys(), set())
        with self.assertRaisesRegex(TrainingError, "scale_high must not be below"):
            space_for("segmenter", {"scale_low": 1.2}, {"scale_high": {"low": 1.0, "high": 2.0}})

    def test_a_detectors_crop_may_be_of_any_size(self) -> None:
        space = space_for("detector", {}, {"crop": {"low": 100, "high": 201, "log": True}})
        self.assertEqual(space["crop"], Range(100, 201, log=True))
        study = Study(optuna.storages.InMemoryStorage(), "s", from_json(as_json(space)), 0)
        TrainConfig.for_family("detector", dict(study.ask(1).params))

    def test_a_persons_ranges_replace_the_familys_and_null_leaves_a_setting_alone(self) -> None:
        given = {"batch_size": {"choices": [1, 2]}, "clip": None}
        space = space_for("segmenter", {}, given)
        self.assertEqual(space["batch_size"], Choice((1, 2)))
        self.assertNotIn("clip", space)
        self.assertEqual(from_json(as_json(space)), space)
        # The defaults are outside: the first trial is the nearest that the person allows.
        config = TrainConfig.for_family("segmenter").settled(fine_tune=False)
        self.assertEqual(defaults_in(space, config)["batch_size"], 2)

    def test_a_bad_space_is_refused_by_name(self) -> None:
        low_high = {"low": 0.1, "high": 0.2}
        for given, words in (
            ({"epochs": low_high}, "cannot vary epochs"),
            ({"clip": [1, 2]}, "space of clip is"),
            ({"clip": {"low": 1}}, 'space of clip needs "low"'),
            ({"clip": {"low": 2, "high": 1}}, "clip must have its low below"),
            ({"clip": {"low": 0, "high": 1, "log": True}}, "clip begins above zero"),
            ({"clip": {"low": 0, "high": 1, "log": "yes"}}, '"log" in the space of clip'),
            ({"clip": {"low": 0, "high": math.inf}}, "clip holds 'inf'"),
            ({"clip": {"low": 0, "high": 10**400}}, "is no number"),
            ({"clip": {"low": 0, "high": 1, "step": 0.3}}, "step of clip"),
            ({"clip": {"low": 1, "high": 1e299, "step": 1e-300}}, "step of clip is too small"),
            ({"clip": {"low": 1, "high": 1e9, "step": 1e-6}}, "step of clip is too small"),
            ({"crop": {"low": 128, "high": 256, "log": True}}, "crop cannot be logarithmic"),
            ({"crop": {"low": 100, "high": 200}}, "crop must begin and end with a multiple of 8"),
            ({"crop": {"low": 96, "high": 192, "step": 12}}, "multiple of 8"),
            ({"crop": {"low": "96", "high": 192}}, "crop holds '96'"),
            ({"crop": {"low": 96}}, 'space of crop needs "low"'),
            ({"batch_size": {"choices": [1.5]}}, "batch_size is a whole number"),
            ({"batch_size": {"choices": []}}, "choices of batch_size"),
            ({"batch_size": {"choices": [0, 4]}}, "batch_size must be above zero"),
            ({"crop": {"choices": [100]}}, "multiple of 8"),
            ({"ema": {"low": 0.5, "high": 1.5}}, "ema lies between 0 and 1"),
            ({"scale_low": {"low": 0.5, "high": 1.2}}, "scale_high must not be below"),
            (dict.fromkeys(SPACES["segmenter"]), "nothing to vary"),
        ):
            with self.subTest(given), self.assertRaisesRegex(TrainingError, words):
                space_for("segmenter", {}, given)


def quadratic(params: dict[str, float]) -> float:
    """A score with its peak at a learning rate of 1e-3."""
    return -((math.log10(params["learning_rate"]) + 3) ** 2)


def searched(seed: int, trials: int = 14) -> list[dict[str, float]]:
    space = space_for("segmenter", {})
    config = TrainConfig.for_family("segmenter").settled(fine_tune=False)
    study = Study(optuna.storages.InMemoryStorage(), "s", space, seed)
    tried = []
    for place in range(1, trials + 1):
        first = place == 1
        trial = study.repeat(1, defaults_in(space, config)) if first else study.ask(place)
        trial.complete(quadratic(trial.params))
        tried.append(trial.params)
    return tried


class StudyTest(unittest.TestCase):
    def test_the_same_seed_and_scores_give_the_same_trials(self) -> None:
        self.assertEqual(searched(3), searched(3))
        self.assertNotEqual(searched(3), searched(4))

    def test_the_first_trial_is_the_defaults_and_no_two_are_alike(self) -> None:
        tried = searched(1)
        self.assertEqual(tried[0]["learning_rate"], 2e-3)
        self.assertEqual(len({each["learning_rate"] for each in tried}), len(tried))

    def test_every_suggestion_makes_a_config(self) -> None:
        for family in FAMILIES:
            study = Study(optuna.storages.InMemoryStorage(), "s", space_for(family, {}), 0)
            for place in range(1, 20):
                trial = study.ask(place)
                TrainConfig.for_family(family, dict(trial.params))
                trial.complete(quadratic(trial.params))

    def test_it_comes_closer_to_the_best(self) -> None:
        tried = searched(0, trials=40)
        early = sorted(quadratic(each) for each in tried[1:11])
        late = sorted(quadratic(each) for each in tried[-10:])
        self.assertGreater(late[5], early[5])

    def test_a_trial_that_broke_off_is_failed_and_tried_again_with_its_settings(self) -> None:
        storage = optuna.storages.InMemoryStorage()
        study = Study(storage, "s", space_for("segmenter", {}), 0)
        broken = study.ask(2)
        again = study.repeat(2, broken.params, failed=broken.number)
        again.complete(0.5)
        states = [(t.state.name, t.params) for t in storage.get_all_trials(0)]
        self.assertEqual([state for state, _ in states], ["FAIL", "COMPLETE"])
        self.assertEqual(states[0][1], states[1][1])


def curve(*scores: float) -> list[Point]:
    return [Point((n + 1) / len(scores), score) for n, score in enumerate(scores)]


class PruningTest(unittest.TestCase):
    def setUp(self) -> None:
        self.study = Study(optuna.storages.InMemoryStorage(), "s", space_for("segmenter", {}), 0)

    def whole(self, place: int, *scores: float) -> None:
        trial = self.study.ask(place)
        self.assertFalse(trial.is_hopeless(curve(*scores)))
        trial.complete(max(scores))

    def given_up_at(self, place: int, *scores: float) -> int | None:
        """After how many epochs a trial of these scores is given up."""
        trial = self.study.ask(place)
        for epoch in range(1, len(scores) + 1):
            if trial.is_hopeless(curve(*scores)[:epoch]):
                trial.prune()
                return epoch
        trial.complete(max(scores))
        return None

    def test_only_after_enough_whole_trials_and_some_epochs_is_a_bad_one_given_up(self) -> None:
        good = [0.1 * n for n in range(1, 11)]
        bad = [0.01 * n for n in range(1, 11)]
        for place in range(1, 4):
            self.whole(place, *good)
        self.assertIsNone(self.given_up_at(4, *bad))
        self.assertEqual(self.given_up_at(5, *bad), 3)
        self.assertIsNone(self.given_up_at(6, *good))

    def test_trials_are_compared_after_the_same_share_of_their_time(self) -> None:
        good = [float(n) for n in range(1, 11)]
        for place in range(1, 5):
            self.whole(place, *good)
        # Five long epochs instead of ten: after two of them, 0.4 of the time is over.
        self.assertIsNone(self.given_up_at(5, 2, 4, 6, 8, 10))
        self.assertEqual(self.given_up_at(6, 2, 3, 6, 8, 10), 2)

    def test_tenths_hold_the_best_score_so_far(self) -> None:
        self.assertEqual(tenths([Point(0.25, 0.5), Point(0.3, 0.2)]), {1: 0.5, 2: 0.5, 3: 0.5})
        self.assertEqual(tenths([Point(0.04, 0.5)]), {})


class ObjectiveTest(unittest.TestCase):
    """Real, tiny trainings."""

    tiny: dict[str, Any] = {
        "epochs": 1,
        "crops_per_epoch": 4,
        "batch_size": 2,
        "width": 8,
        "fixed_diameter": 18.0,
    }

    def reports(self, splits: list[str], **config: Any) -> list[EpochReport]:
        folder = Path(self.enterContext(TemporaryDirectory()))
        snapshot = write_disks(folder / "s", splits)
        settled = TrainConfig.for_family("segmenter", self.tiny | config)
        return train(settled, snapshot, folder / "run").epochs

    def test_the_score_is_the_validations(self) -> None:
        (report,) = self.reports(["train", "validation"], crop=64)
        assert report.validation_loss is not None
        self.assertEqual(point_of(report), Point(1.0, -report.validation_loss))

    def test_trials_of_different_crops_are_judged_on_the_same_crops(self) -> None:
        folder = Path(self.enterContext(TemporaryDirectory()))
        snapshot = open_snapshot(write_disks(folder / "s", ["train", "validation"]))
        judged = []
        for crop in (64, 96):
            config = TrainConfig.for_family(
                "segmenter", self.tiny | {"crop": crop, "validation_crop": 48}
            )
            learner = SegmenterLearner(config, snapshot, folder, None, torch.device("cpu"))
            judged.append(np.stack([view.planes for view in learner.views]))
        self.assertEqual(judged[0].shape[-2:], (48, 48))
        np.testing.assert_array_equal(judged[0], judged[1])

    def test_without_anything_to_validate_on_a_search_says_so(self) -> None:
        (report,) = self.reports(["train"], crop=64)
        with self.assertRaisesRegex(TrainingError, "no image to validate on"):
            point_of(report)
