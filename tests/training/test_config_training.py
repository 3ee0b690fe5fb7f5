"""Training settings: defaults per family, and overrides that are checked."""

from __future__ import annotations

import unittest

from inference.builtin import BUILTIN
from training.config import STARTS, TrainConfig
from training.errors import TrainingError


class ForFamilyTest(unittest.TestCase):
    def test_overrides_replace_defaults_and_none_does_not(self):
        config = TrainConfig.for_family(
            "segmenter", {"epochs": 7, "learning_rate": 1, "width": None}
        )
        self.assertEqual((config.epochs, config.learning_rate, config.width), (7, 1.0, 32))
        self.assertIsInstance(config.learning_rate, float)

    def test_it_rejects_an_unknown_family_and_an_unknown_key_by_name(self):
        with self.assertRaisesRegex(TrainingError, "no model family painter"):
            TrainConfig.for_family("painter")
        with self.assertRaisesRegex(TrainingError, "no training setting epoch$|setting epoch\\."):
            TrainConfig.for_family("segmenter", {"epoch": 3})

    def test_it_rejects_wrong_types_by_name(self):
        for key, value in (
            ("epochs", "ten"),
            ("epochs", 2.5),
            ("epochs", True),
            ("epochs", float("inf")),
            ("minutes", float("nan")),
            ("learning_rate", float("inf")),
            ("minutes", "2"),
            ("start", 3),
        ):
            with self.subTest(key=key, value=value), self.assertRaisesRegex(TrainingError, key):
                TrainConfig.for_family("segmenter", {key: value})

    def test_it_rejects_impossible_values_by_name(self):
        for key, value in (
            ("epochs", -1),
            ("batch_size", 0),
            ("ema", 1.0),
            ("crop", 100),
            ("crop", 8 * 10**9),
            ("batch_size", 10**9),
            ("width", 10**6),
            ("seed", -1),
            ("seed", 2**32),
            ("precision", "int8"),
            ("scale_high", 0.1),
        ):
            with self.subTest(key=key), self.assertRaisesRegex(TrainingError, key):
                TrainConfig.for_family("segmenter", {key: value})


class SettledTest(unittest.TestCase):
    def test_unset_numbers_are_filled_and_smaller_for_fine_tuning(self):
        config = TrainConfig.for_family("segmenter")
        scratch, tuned = config.settled(False), config.settled(True)
        self.assertGreater(scratch.minutes, tuned.minutes)
        self.assertGreater(scratch.learning_rate, tuned.learning_rate)
        self.assertLess(scratch.minutes, 30)

    def test_epochs_asked_for_are_not_cut_short_by_the_default_minutes(self):
        config = TrainConfig.for_family("segmenter", {"epochs": 3}).settled(False)
        self.assertEqual((config.epochs, config.minutes), (3, 0.0))

    def test_minutes_asked_for_are_used_up(self):
        config = TrainConfig.for_family("segmenter", {"minutes": 1.5}).settled(False)
        self.assertEqual(config.minutes, 1.5)
        self.assertGreater(config.epochs, 1000)

    def test_a_number_beyond_all_floats_and_text_that_is_none_are_refused(self):
        for key, value in (("epochs", 10**400), ("device", "a\0b"), ("start", "\ud800")):
            with self.assertRaisesRegex(TrainingError, key):
                TrainConfig.for_family("segmenter", {key: value})

    def test_it_starts_from_what_there_is(self):
        self.assertEqual(STARTS["segmenter"], ("scratch", *BUILTIN))
        for family, start in (("segmenter", "cyto3"), ("detector", "coco"), ("detector", "file:x")):
            TrainConfig.for_family(family, {"start": start})
        for family, start in (
            ("segmenter", "cyto33"),
            ("segmenter", "file:x"),
            ("detector", "cyto3"),
        ):
            with self.assertRaisesRegex(TrainingError, f"not from {start}"):
                TrainConfig.for_family(family, {"start": start})

    def test_both_asked_for_are_both_kept(self):
        config = TrainConfig.for_family("segmenter", {"minutes": 2, "epochs": 4}).settled(True)
        self.assertEqual((config.minutes, config.epochs), (2.0, 4))
