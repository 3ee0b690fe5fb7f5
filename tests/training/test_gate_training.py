"""Which candidates may replace the current model."""

from __future__ import annotations

import unittest

import numpy as np

from training.gate import Measured, bootstrap_interval, not_worse, paired


def measured(aps, **metrics):
    """A model with these APs on images 0, 1, …"""
    rows = [{"image": number, "ap50": ap} for number, ap in enumerate(aps)]
    return Measured({"images": len(rows), "ap50": float(np.mean(aps)), **metrics}, rows)


class GateTest(unittest.TestCase):
    def test_the_first_model_passes(self):
        self.assertTrue(not_worse(measured([0.1]), None)[0])

    def test_a_better_or_equal_candidate_passes_and_the_sentence_names_figures(self):
        same = measured([0.6, 0.7, 0.8])
        passed, why = not_worse(same, same)
        self.assertTrue(passed)
        self.assertIn("0.700 → 0.700", why)
        passed, why = not_worse(measured([0.7] * 8), measured([0.6] * 8))
        self.assertTrue(passed)
        self.assertIn("+0.100 to +0.100", why)

    def test_a_small_loss_that_one_image_explains_passes(self):
        rng = np.random.default_rng(0)
        current = rng.uniform(0.5, 0.9, 40)
        candidate = current + rng.normal(0.0, 0.05, 40)
        candidate += -0.008 - (candidate - current).mean()
        self.assertTrue(not_worse(measured(candidate), measured(current))[0])

    def test_a_small_loss_on_every_image_does_not(self):
        current = np.random.default_rng(0).uniform(0.5, 0.9, 40)
        passed, why = not_worse(measured(current - 0.008), measured(current))
        self.assertFalse(passed)
        self.assertIn("AP at IoU 0.5", why)

    def test_with_few_images_a_small_loss_on_each_is_luck(self):
        for current in ([0.6, 0.7], [0.6, 0.7, 0.8], [0.7] * 7):
            for loss in (0.006, 0.019):
                candidate = [ap - loss for ap in current]
                passed, why = not_worse(measured(candidate), measured(current))
                self.assertTrue(passed, (len(current), loss))
                self.assertNotIn("resampling", why)
            worse = [ap - 0.021 for ap in current]
            self.assertFalse(not_worse(measured(worse), measured(current))[0], len(current))
        self.assertFalse(not_worse(measured([0.69] * 8), measured([0.7] * 8))[0])

    def test_equal_models_pass_with_two_and_three_images_as_with_many(self):
        rng = np.random.default_rng(0)
        for count in (2, 3, 30):
            passed = 0
            for _ in range(300):
                current = rng.uniform(0.5, 0.9, count)
                candidate = current + rng.normal(0.0, 0.01, count)
                passed += not_worse(measured(candidate), measured(current))[0]
            self.assertGreater(passed, 0.93 * 300, count)

    def test_without_figures_per_image_the_slack_decides(self):
        before = Measured({"images": 3, "ap50": 0.7})
        self.assertFalse(not_worse(Measured({"images": 3, "ap50": 0.69}), before)[0])
        self.assertTrue(not_worse(Measured({"images": 3, "ap50": 0.696}), before)[0])

    def test_a_large_loss_does_not_however_few_the_images(self):
        passed, _ = not_worse(measured([0.95, 0.2]), measured([0.7, 0.7]))
        self.assertFalse(passed)
        self.assertFalse(not_worse(measured([0.5]), measured([0.7]))[0])

    def test_one_worse_figure_holds_it_back(self):
        passed, why = not_worse(
            measured([0.9] * 3, type_accuracy=0.6), measured([0.7] * 3, type_accuracy=0.8)
        )
        self.assertFalse(passed)
        self.assertIn("type accuracy 0.800 → 0.600", why)
        self.assertNotIn("IoU", why)

    def test_a_type_that_got_lost_among_the_others_holds_it_back(self):
        before = measured(
            [0.8] * 4, type_accuracy=0.9, per_type={"A": {"f1": 0.9}, "B": {"f1": 0.8}}
        )
        after = measured(
            [0.8] * 4, type_accuracy=0.9, per_type={"A": {"f1": 0.95}, "B": {"f1": 0.7}}
        )
        passed, why = not_worse(after, before)
        self.assertFalse(passed)
        self.assertEqual(why, "The candidate is worse: F1 of B 0.800 → 0.700.")
        # A type that one of them was never asked about says nothing.
        asked = measured(
            [0.8] * 4, type_accuracy=0.9, per_type={"A": {"f1": 0.9}, "C": {"f1": None}}
        )
        self.assertTrue(not_worse(asked, before)[0])

    def test_without_a_common_figure_people_decide(self):
        self.assertFalse(not_worse(Measured({"images": 0}), measured([0.7]))[0])

    def test_only_images_that_both_saw_are_paired(self):
        first = [{"image": 1, "ap50": 0.5}, {"image": 2, "ap50": None}, {"image": 3, "ap50": 0.9}]
        second = [{"image": 3, "ap50": 0.4}, {"image": 2, "ap50": 0.1}, {"image": 4, "ap50": 0.2}]
        pairs = paired(first, second, "ap50")
        self.assertEqual([(new["ap50"], old["ap50"]) for new, old in pairs], [(0.9, 0.4)])

    def test_the_interval_is_that_of_the_mean(self):
        rng = np.random.default_rng(1)
        old, ones = rng.uniform(0.3, 0.6, 100), np.ones(100)
        differences = rng.normal(0.03, 0.1, 100)
        low, high = bootstrap_interval((old + differences, ones), (old, ones))
        error = differences.std() / 10
        self.assertAlmostEqual(low, differences.mean() - 1.96 * error, delta=0.3 * error)
        self.assertAlmostEqual(high, differences.mean() + 1.96 * error, delta=0.3 * error)

    def test_types_are_compared_by_cells_and_resampled_by_images(self):
        def typed(right, of):
            rows = [
                {"image": n, "typed_right": r, "typed": t}
                for n, (r, t) in enumerate(zip(right, of, strict=True))
            ]
            accuracy = sum(right) / sum(of)
            return Measured({"images": len(rows), "type_accuracy": accuracy}, rows)

        of = [40] * 10
        before = typed([36] * 10, of)
        # One cell less in 200, all in one image: luck. Half a cell in each: a loss.
        passed, why = not_worse(typed([34, *[36] * 9], of), before)
        self.assertTrue(passed, why)
        self.assertIn("type accuracy 0.900 → 0.895 (by resampling images", why)
        self.assertFalse(not_worse(typed([35.5] * 10, of), before)[0])

    def test_a_data_set_says_how_much_a_type_may_lose(self):
        before = measured([0.8] * 4, per_type={"A": {"f1": 0.9}})
        after = measured([0.8] * 4, per_type={"A": {"f1": 0.82}})
        self.assertFalse(not_worse(after, before)[0])
        self.assertTrue(not_worse(after, before, margin=0.1)[0])
