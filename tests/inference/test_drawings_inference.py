"""Of drawings that exclude each other the worthiest set is chosen."""

from __future__ import annotations

import unittest
from dataclasses import replace
from itertools import product

import numpy as np

from inference.drawings import Drawings
from inference.fusion_rule import DETECTOR, SEGMENTER, Curve, FusionRule
from inference.uncertainty import Sight

NOWHERE = np.zeros((1, 1), np.uint16)


class Worth(FusionRule):
    """Takes a drawing's own score for its worth."""

    def worth(self, cell, chance=None):
        return cell.segmenter_score if cell.drawn_by == SEGMENTER else cell.detector_score


def drawn(ours, theirs, exclusive, agreed=()):
    sights = [Sight(worth, None, None, (), committee=True) for worth in ours]
    sights += [Sight(None, worth, None, (), committee=True, drawn_by=DETECTOR) for worth in theirs]
    pairs = np.array(sorted(exclusive), np.intp).reshape(-1, 2)
    alike = np.array(agreed, np.intp).reshape(-1, 2)
    return Drawings(NOWHERE, NOWHERE, np.arange(len(theirs)), sights, pairs, alike)


def value(worth, exclusive, pick, n):
    if any(pick[a] and pick[n + b] for a, b in exclusive):
        return -np.inf
    return sum(w for w, chosen in zip(worth, pick, strict=True) if chosen)


class ChoiceTests(unittest.TestCase):
    def test_no_other_choice_is_worth_more(self):
        rng = np.random.default_rng(0)
        for _ in range(200):
            n, m = rng.integers(0, 6, 2)
            ours, theirs = rng.normal(0.2, 0.5, n), rng.normal(0.2, 0.5, m)
            exclusive = {(a, b) for a in range(n) for b in range(m) if rng.random() < 0.3}
            both = drawn(ours, theirs, exclusive)
            pick = both.chosen(Worth(borders="neither"))
            worth = [*ours, *theirs]
            best = max(
                value(worth, exclusive, each, n) for each in product([False, True], repeat=n + m)
            )
            self.assertAlmostEqual(value(worth, exclusive, pick, n), best)

    def test_a_knot_of_hundreds_is_chosen_from_without_a_clash(self):
        rng = np.random.default_rng(1)
        ours, theirs = rng.random(300), rng.random(300)
        exclusive = {(a, (a + step) % 300) for a in range(300) for step in (0, 1)}
        pick = drawn(ours, theirs, exclusive).chosen(Worth(borders="neither"))
        got = value([*ours, *theirs], exclusive, pick, 300)
        self.assertGreater(got, max(ours.sum(), theirs.sum()))

    def test_agreed_cells_of_a_knot_have_the_better_borders_where_nothing_chosen_forbids(self):
        # The segmenter's 0 and the detector's 0 are one cell; the detector's also clashes with the
        # segmenter's 1, which is worth little.
        three = drawn([0.5, 0.1], [0.8], {(0, 0), (1, 0)}, [(0, 0)])
        self.assertEqual(three.chosen(Worth(borders=SEGMENTER)).tolist(), [True, False, False])
        self.assertEqual(three.chosen(Worth(borders=DETECTOR)).tolist(), [False, False, True])
        # A second detection that stays stands against the segmenter's drawing.
        held = drawn([0.5], [0.8, 0.4], {(0, 0), (0, 1)}, [(0, 0)])
        self.assertEqual(held.chosen(Worth(borders=SEGMENTER)).tolist(), [False, True, True])

    def test_known_chances_choose_what_the_rule_itself_would(self):
        rng = np.random.default_rng(1)
        curve = Curve(own=1.5, agreement=4.0, other=2.0, offset=-2.0)
        rule = FusionRule(SEGMENTER, 0.6, curve, replace(curve, offset=-3.0))
        for _ in range(50):
            exclusive = {(a, b) for a in range(5) for b in range(4) if rng.random() < 0.3}
            both = drawn(rng.random(5), rng.random(4), exclusive)
            chances = [rule.chance(sight) for sight in both.sights]
            pick = both.chosen(rule, chances)
            self.assertEqual(pick.tolist(), both.chosen(rule).tolist())
            other = both.chosen(rule, [1 - chance for chance in chances])
            self.assertNotEqual(pick.tolist(), other.tolist())

    def test_nothing_drawn_is_nothing_chosen(self):
        self.assertEqual(drawn([], [], set()).chosen(FusionRule()).size, 0)
