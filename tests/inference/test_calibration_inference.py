"""Temperatures make probabilities mean what they say and never change the winning type."""

from __future__ import annotations

import unittest

import numpy as np

from inference.calibration import calibrated, fit_temperatures, softmax


def over_confident(rng, count, sharpness):
    """Logits ``sharpness`` times too steep, with types drawn from the honest probabilities."""
    honest = rng.normal(0, 1.2, (count, 2))
    truth = (rng.random(count) < softmax(honest)[:, 1]).astype(int)
    return honest * sharpness, truth


class TemperatureTests(unittest.TestCase):
    def test_the_temperature_undoes_known_over_confidence(self):
        logits, truth = over_confident(np.random.default_rng(0), 4000, 3.0)
        for temperature in fit_temperatures(logits, truth):
            self.assertAlmostEqual(temperature, 3.0, delta=0.4)

    def test_each_type_gets_its_own_temperature(self):
        rng = np.random.default_rng(1)
        steep, truth = over_confident(rng, 6000, 4.0)
        first = steep.argmax(axis=1) == 0
        logits = np.where(first[:, None], steep, steep / 4.0)
        temperatures = fit_temperatures(logits, truth)
        self.assertGreater(temperatures[0], 3.0)
        self.assertLess(temperatures[1], 1.4)

    def test_the_winning_type_stays_the_same(self):
        logits = np.random.default_rng(2).normal(0, 3, (200, 3))
        probabilities = calibrated(logits, np.array([0.5, 2.0, 6.0]))
        np.testing.assert_array_equal(probabilities.argmax(axis=1), logits.argmax(axis=1))
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)

    def test_without_validation_cells_nothing_is_changed(self):
        np.testing.assert_array_equal(
            fit_temperatures(np.zeros((0, 2)), np.zeros(0, int)), np.ones(2)
        )

    def test_faultless_validation_cells_do_not_make_the_model_certain(self):
        logits = np.tile([[1.0, -1.0], [-1.0, 1.0]], (30, 1))
        temperatures = fit_temperatures(logits, np.tile([0, 1], 30))
        self.assertTrue((temperatures >= 0.3).all())
        self.assertLess(calibrated(logits, temperatures).max(), 1.0)

    def test_a_rarely_predicted_type_shares_the_common_temperature(self):
        rng = np.random.default_rng(3)
        logits, truth = over_confident(rng, 500, 2.0)
        logits[:, 0] += 8  # type 1 wins almost never
        temperatures = fit_temperatures(logits, truth)
        self.assertAlmostEqual(temperatures[1], temperatures[0], delta=0.5)
