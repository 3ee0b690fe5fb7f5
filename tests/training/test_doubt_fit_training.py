"""What to doubt is learnt from errors, and how well it predicts them is told."""

from __future__ import annotations

import unittest
from dataclasses import replace

import numpy as np

from inference.doubt import MASK, TYPE, USUAL
from training.doubt_fit import Doubted, auroc, fit_doubt, measure_doubt, risk_coverage


def images(count=40, cells=30, seed=0):
    """Images whose cells are wrong where their flows do not fit, and only there."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        flow = rng.uniform(0, 0.5, cells)
        wrong = rng.random(cells) < 1 / (1 + np.exp(-(20 * flow - 6)))
        terms = [
            {**dict.fromkeys((*MASK, *TYPE), 0.0), "flow": float(f), "edge": float(e)}
            for f, e in zip(flow, rng.uniform(0, 1, cells), strict=True)
        ]
        found.append(Doubted(terms, wrong.tolist(), [None] * cells, missed=3, suspected=1.0))
    return found


class FitTest(unittest.TestCase):
    def test_the_rule_learns_which_term_tells_and_the_chance_is_calibrated(self):
        rule = fit_doubt(images())
        self.assertGreater(rule.mask["flow"], 4 * rule.mask["edge"])
        figures = measure_doubt(rule, images(seed=1))
        self.assertGreater(figures["auroc"], 0.85)
        self.assertAlmostEqual(figures["expected"] / figures["wrong"], 1, delta=0.15)
        self.assertGreater(figures["terms"]["flow"], 0.85)
        self.assertAlmostEqual(figures["terms"]["edge"], 0.5, delta=0.06)
        self.assertLess(figures["risk"][4], 0.3 * figures["risk"][-1])

    def test_few_errors_leave_the_usual_rule_nearly_as_it_was(self):
        [one] = images(1, 3)
        rule = fit_doubt([one])
        for name, weight in USUAL.mask.items():
            self.assertAlmostEqual(rule.mask[name], weight, delta=1.0)
        self.assertEqual(rule.type, USUAL.type)
        self.assertEqual(fit_doubt([]).mask, USUAL.mask)

    def test_more_missed_cells_than_suspected_ones_count_more(self):
        self.assertAlmostEqual(fit_doubt(images()).missed, (120 + 2) / (40 + 2))

    def test_places_that_look_like_cells_count_as_they_held_some(self):
        usual = fit_doubt(images())
        dusty = fit_doubt([replace(each, found=0, unseen=2.0) for each in images()])
        blind = fit_doubt([replace(each, found=3, unseen=2.0) for each in images()])
        self.assertAlmostEqual(usual.unseen, USUAL.unseen)
        self.assertLess(dusty.unseen, 0.02)
        self.assertAlmostEqual(blind.unseen, (120 + 1) / (80 + 2))
        # Cells that were at such places are not at what looked like foreground, too.
        self.assertLess(blind.missed, 0.1 * usual.missed)


class MeasureTest(unittest.TestCase):
    def test_auroc_is_the_share_of_pairs_in_the_right_order(self):
        wrong = np.array([False, False, True, True])
        self.assertEqual(auroc(np.array([0.1, 0.2, 0.3, 0.4]), wrong), 1.0)
        self.assertEqual(auroc(np.array([0.1, 0.3, 0.3, 0.4]), wrong), 0.875)
        self.assertEqual(auroc(np.zeros(4), wrong), 0.5)
        self.assertIsNone(auroc(np.zeros(4), np.zeros(4, bool)))

    def test_risk_grows_with_coverage_where_the_score_predicts_error(self):
        score = np.linspace(0, 1, 100)
        coverage, risk = risk_coverage(score, score > 0.8)
        self.assertEqual(coverage[-1], 1.0)
        self.assertEqual(risk[:16], [0.0] * 16)
        self.assertAlmostEqual(risk[-1], 0.2)
        self.assertEqual(risk_coverage(np.zeros(0), np.zeros(0, bool)), ([], []))


if __name__ == "__main__":
    unittest.main()
