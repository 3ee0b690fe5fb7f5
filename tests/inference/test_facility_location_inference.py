"""Which few rows stand for most of all."""

from __future__ import annotations

import unittest

import numpy as np

from inference.facility_location import squared_distances, standing_for


def looks(count: int, seed: int = 0) -> np.ndarray:
    """Eight clouds in six dimensions."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 6)) + 4 * rng.normal(size=(8, 6))[rng.integers(0, 8, count)]


def looked_at_all(rows: np.ndarray, known: np.ndarray, weight: np.ndarray, most: int) -> list[int]:
    """The same choice with every sum made anew at every step."""
    apart = squared_distances(rows, rows)
    nth = max(10, len(rows) // 50)
    scale = np.median(np.sort(apart, axis=1)[:, nth])
    alike = np.exp(-apart / scale)
    covered = np.exp(-squared_distances(known, rows) / scale).max(axis=0, initial=0.0)
    order: list[int] = []
    for _ in range(most):
        gain = np.maximum(alike - covered, 0) @ weight
        gain[order] = -1
        order.append(int(gain.argmax()))
        covered = np.maximum(covered, alike[order[-1]])
    return order


class StandingForTests(unittest.TestCase):
    def test_looking_only_at_the_seemingly_best_chooses_the_same(self):
        rows, known = looks(700), looks(1200, seed=1)[:30]
        weight = np.random.default_rng(2).random(700)
        expected = looked_at_all(rows, known, weight, 60)
        self.assertEqual(standing_for(rows, known, weight, 60), expected)

    def test_of_more_rows_than_are_stood_for_any_may_be_chosen_and_always_the_same(self):
        rows = looks(2300)
        order = standing_for(rows, rows[:0], np.ones(2300), 200)
        self.assertEqual(len(set(order)), 200)
        self.assertEqual(order, standing_for(rows, rows[:0], np.ones(2300), 200))
        self.assertGreater(max(order), 2000)

    def test_what_adds_nothing_is_not_chosen(self):
        rows = looks(40)
        self.assertEqual(standing_for(rows, rows, np.ones(40), 40), [])
        self.assertEqual(standing_for(rows[:1], rows[:0], np.zeros(1), 9), [])
        self.assertEqual(standing_for(rows[:1], rows[:0], np.ones(1), 9), [0])


if __name__ == "__main__":
    unittest.main()
