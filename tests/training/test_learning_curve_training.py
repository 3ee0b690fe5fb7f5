"""The fitted learning curve: what it finds, what it refuses, what it promises."""

from __future__ import annotations

import unittest
from collections.abc import Sequence

import numpy as np

from training.learning_curve import (
    FAR,
    HELPS,
    NEXT,
    RESAMPLES,
    STOPPED,
    Gain,
    Measured,
    NoCurve,
    fit_curve,
    interval,
    resample,
    sentence,
    verdict,
)

CELLS = (100, 200, 400, 700, 1000, 1500, 2200, 3000)


def law(cells: float, level: float = 0.9, rate: float = 2.0, power: float = 0.5) -> float:
    return level - rate * cells**-power


def measured(
    values: Sequence[tuple[int, float]], test_set: str = "t", first: int = 1, luck: float = 0.0
) -> list[Measured]:
    """Versions v<first> … of (cells, value); ``luck``: s.d. of the images, each version its own."""
    rng = np.random.default_rng(first)
    return [
        Measured(f"v{first + k}", test_set, cells, value, value + luck * rng.normal(size=RESAMPLES))
        for k, (cells, value) in enumerate(values)
    ]


class FitTest(unittest.TestCase):
    def test_it_finds_a_known_curve(self) -> None:
        rng = np.random.default_rng(1)
        curve = fit_curve(measured([(n, law(n) + rng.normal(0, 0.002)) for n in CELLS]))
        self.assertEqual(curve.versions, len(CELLS))
        self.assertAlmostEqual(curve.level["t"], 0.9, delta=0.02)
        self.assertAlmostEqual(curve.power, 0.5, delta=0.12)
        cells = np.array([150.0, 3000.0, 5000.0])
        np.testing.assert_allclose(curve.value(cells, "t"), [law(n) for n in cells], atol=0.008)
        gain = curve.gain(500)
        true = law(600) - law(500)
        self.assertAlmostEqual(gain.value, true, delta=true / 5)
        self.assertTrue(gain.low < true < gain.high)

    def test_test_sets_that_only_pairs_of_versions_share_give_one_curve(self) -> None:
        """Each training is measured beside the version before it, on test images of that day."""
        levels = [0.9, 0.8, 0.95, 0.7, 0.85]
        points = [
            Measured(f"v{k}", f"t{day}", CELLS[k], law(CELLS[k], level), np.full(RESAMPLES, 0.5))
            for day, level in enumerate(levels)
            for k in (day, day + 1)
        ]
        points = [
            Measured(p.version, p.test_set, p.cells, p.value, np.full(RESAMPLES, p.value))
            for p in points
        ]
        curve = fit_curve(points)
        self.assertEqual(curve.versions, 6)
        for day, level in enumerate(levels):
            self.assertAlmostEqual(curve.level[f"t{day}"], level, delta=0.02)
        true = law(1600) - law(1500)
        self.assertAlmostEqual(curve.gain(1500).value, true, delta=true / 4)

    def test_versions_that_share_no_images_are_not_compared(self) -> None:
        apart = [
            point
            for k, n in enumerate(CELLS)
            for point in measured([(n, law(n))], test_set=f"t{k}", first=k)
        ]
        with self.assertRaisesRegex(NoCurve, "common images, and there is none yet"):
            fit_curve(apart)

    def test_too_few_versions_are_refused_in_words(self) -> None:
        with self.assertRaisesRegex(NoCurve, "^Too few versions to say: 3 .* there are 2 so far"):
            fit_curve(measured([(100, 0.6), (200, 0.7)]))
        for nonsense in (
            [],
            [(100, 0.6), (100, 0.7), (100, 0.8)],  # all learnt from as many cells
            [(0, 0.6), (100, 0.7), (200, 0.8)],  # nothing people did
            [(50, float("nan")), (100, 0.7), (200, 0.8)],
        ):
            with self.assertRaises(NoCurve, msg=str(nonsense)):
                fit_curve(measured(nonsense))

    def test_gains_are_never_negative_whatever_was_measured(self) -> None:
        rng = np.random.default_rng(2)
        for seed in range(30):
            values = [(n, float(rng.uniform(0, 1))) for n in CELLS[: 3 + seed % 6]]
            curve = fit_curve(measured(values, luck=0.02))
            for cells in (100.0, 3000.0, 1e6):
                gain = curve.gain(cells)
                self.assertTrue(0 <= gain.low <= gain.value <= gain.high, gain)
            grid = np.linspace(100, 1e5, 200)
            self.assertTrue((np.diff(curve.value(grid, "t")) >= 0).all())
            self.assertLessEqual(curve.level["t"], 1 + 1e-9)
            low, high = curve.band(grid, "t")
            self.assertTrue((low >= 0).all() and (low <= high).all() and (high <= 1).all())

    def test_models_that_grow_worse_promise_nothing(self) -> None:
        curve = fit_curve(measured([(n, 0.9 - n / 10_000) for n in CELLS]))
        self.assertEqual(curve.gain(3000).value, 0)
        self.assertEqual(verdict(curve.gain(3000, FAR)), "stopped")

    def test_it_tells_a_steep_curve_from_a_flat_one(self) -> None:
        steep = fit_curve(measured([(n, law(n, rate=3)) for n in CELLS[:5]]))
        self.assertEqual(verdict(steep.gain(1000, FAR)), "helps")
        flat = fit_curve(measured([(n, 0.85 + 0.001 * (k % 2)) for k, n in enumerate(CELLS)]))
        self.assertEqual(verdict(flat.gain(3000, FAR)), "stopped")
        noisy = fit_curve(measured([(50, 0.70), (80, 0.73), (120, 0.72)], luck=0.02))
        self.assertEqual(verdict(noisy.gain(120, FAR)), "unsure")

    def test_one_training_that_went_wrong_hardly_matters(self) -> None:
        good = [(n, law(n)) for n in CELLS]
        spoilt = [*good[:5], (good[5][0], 0.2), *good[6:]]
        expected = fit_curve(measured(good)).gain(1000)
        found = fit_curve(measured(spoilt)).gain(1000)
        self.assertAlmostEqual(found.value, expected.value, delta=expected.value / 2)
        self.assertLess(found.high, 3 * expected.high)

    def test_noise_widens_what_it_promises(self) -> None:
        values = [(n, law(n)) for n in CELLS]
        sure, unsure = (fit_curve(measured(values, luck=s)).gain(1000) for s in (0.0, 0.03))
        self.assertLess(sure.high - sure.low, 0.8 * (unsure.high - unsure.low))
        scattered = [(n, law(n) + (-0.02, 0.02)[k % 2]) for k, n in enumerate(CELLS)]
        found = fit_curve(measured(scattered)).gain(1000)
        self.assertLess(sure.high - sure.low, 0.8 * (found.high - found.low))

    def test_images_that_are_hard_for_all_versions_add_no_doubt(self) -> None:
        """Luck that all versions share moves the level, not the gain."""
        shared = 0.05 * np.random.default_rng(0).normal(size=RESAMPLES)
        points = [Measured(f"v{n}", "t", n, law(n), law(n) + shared) for n in CELLS]
        gain = fit_curve(points).gain(1000)
        expected = fit_curve(measured([(n, law(n)) for n in CELLS])).gain(1000)
        self.assertAlmostEqual(gain.high, expected.high, delta=0.1 * expected.high)

    def test_its_intervals_hold_the_truth(self) -> None:
        """Of 60 simulated data sets, with trainings that scatter by 0.01, in nearly all."""
        rng = np.random.default_rng(5)
        held = 0
        for _ in range(60):
            power = float(rng.uniform(0.2, 0.9))
            rate = 0.3 * 100**power
            values = [(n, law(n, 0.9, rate, power) + rng.normal(0, 0.01)) for n in CELLS[:6]]
            gain = fit_curve(measured(values)).gain(1500)
            true = law(1600, 0.9, rate, power) - law(1500, 0.9, rate, power)
            held += gain.low <= true <= gain.high
        self.assertGreaterEqual(held, 51)

    def test_the_same_figures_give_the_same_answer(self) -> None:
        points = measured([(n, law(n)) for n in CELLS], luck=0.01)
        self.assertEqual(fit_curve(points).gain(1000), fit_curve(points).gain(1000))


class ResamplingTest(unittest.TestCase):
    def test_the_interval_of_a_mean_is_what_theory_says(self) -> None:
        values = np.random.default_rng(3).normal(0.7, 0.1, 100)
        rows = resample(values[None], np.ones((1, 100)))
        self.assertEqual(rows.shape, (1, RESAMPLES))
        found = interval(rows[0], float(values.mean()), 100)
        assert found is not None
        half = 1.96 * values.std(ddof=1) / 10
        self.assertAlmostEqual(found[0], values.mean() - half, delta=half / 8)
        self.assertAlmostEqual(found[1], values.mean() + half, delta=half / 8)

    def test_all_versions_get_the_same_images(self) -> None:
        values = np.random.default_rng(4).random(20)
        rows = resample(np.stack([values, values + 0.1]), np.ones((2, 20)))
        np.testing.assert_allclose(rows[1] - rows[0], 0.1)

    def test_a_share_weighs_images_by_what_is_in_them(self) -> None:
        right, of = np.array([[9.0, 0.0, 0.0]]), np.array([[10.0, 1.0, 0.0]])
        rows = resample(right, of)
        self.assertTrue(((rows >= 0) & (rows <= 0.9 + 1e-9)).all())
        # Three times the image without a typed cell: nothing is told, so the figure stays.
        self.assertIn(round(9 / 11, 6), np.unique(rows.round(6)))

    def test_two_images_tell_no_interval(self) -> None:
        self.assertIsNone(interval(np.array([0.5, 0.7]), 0.6, 2))

    def test_intervals_stay_within_scores(self) -> None:
        rows = resample(np.array([[1.0, 1.0, 0.9]]), np.ones((1, 3)))
        found = interval(rows[0], 2.9 / 3, 3)
        assert found is not None
        self.assertTrue(0 <= found[0] <= 2.9 / 3 <= found[1] <= 1)


class SentenceTest(unittest.TestCase):
    def test_it_says_whether_labels_help(self) -> None:
        self.assertEqual(
            sentence(Gain(0.012, 0.004, 0.02), Gain(0.05, 0.02, 0.08), "AP"),
            "100 more cells would bring about +0.012 AP (0.004 … 0.020).",
        )
        for minutes, time in ((0.2, "1 min"), (11.6, "12 min"), (150, "2.5 h")):
            self.assertEqual(
                sentence(Gain(0.012, 0.004, 0.02), Gain(0.05, 0.02, 0.08), "AP", minutes),
                f"100 more cells, about {time} of work, would bring about +0.012 AP"
                " (0.004 … 0.020).",
            )
        self.assertEqual(
            sentence(Gain(0.001, 0.0, 0.0015), Gain(0.004, 0.0, 0.006), "AP"),
            "More labels have stopped helping: 100 more cells would bring about +0.001 AP"
            " (0.000 … 0.002), 1,000 more about +0.004 AP (0.000 … 0.006).",
        )
        self.assertEqual(
            sentence(Gain(0.003, 0.0, 0.02), Gain(0.02, 0.001, 0.09), "type accuracy"),
            "Whether more labels still help is not certain yet: 100 more cells would bring about"
            " +0.003 type accuracy (0.000 … 0.020), 1,000 more about +0.020 type accuracy"
            " (0.001 … 0.090).",
        )

    def test_the_borders_are_what_equal_models_scatter_by(self) -> None:
        self.assertEqual((NEXT, FAR, STOPPED, HELPS), (100, 1000, 0.01, 0.005))
        self.assertEqual(verdict(Gain(0.008, 0.004, STOPPED)), "unsure")
        self.assertEqual(verdict(Gain(0.008, 0.004, STOPPED - 1e-9)), "stopped")
        self.assertEqual(verdict(Gain(0.012, HELPS, 0.02)), "helps")
