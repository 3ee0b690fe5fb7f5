"""Strategies that know what was answered before."""

from __future__ import annotations

import unittest

import numpy as np

from inference.acquisition import Candidate
from inference.strategies_novelty import NOVELTY, novel, uncertain_novel, value_novel


def at(x: float, y: float = 0.0, **fields) -> Candidate:
    return Candidate(0, features=np.array([x, y], np.float32), **fields)


class NoveltyTests(unittest.TestCase):
    def test_what_looks_like_no_answer_comes_first(self):
        candidates = [at(0.1), at(5.0), at(0.2)]
        self.assertEqual(novel(candidates, [at(0.0), at(0.3)])[0], 1)

    def test_what_was_asked_already_is_not_asked_again_by_its_look(self):
        """Two kinds, one answered: the doubt of the answered kind may be twice as great."""
        candidates = [at(0.0, uncertainty=0.6), at(9.0, uncertainty=0.3)]
        self.assertEqual(uncertain_novel(candidates, [at(0.05)]), [1, 0])

    def test_of_two_alike_the_second_waits(self):
        candidates = [at(9.0), at(9.01), at(-4.0)]
        self.assertEqual(set(novel(candidates, [at(0.0)])[:2]), {1, 2})

    def test_among_equally_new_ones_the_less_sure_comes_first(self):
        candidates = [at(1.0, uncertainty=0.1), at(-1.0, uncertainty=0.9)]
        self.assertEqual(uncertain_novel(candidates, [at(0.0)]), [1, 0])

    def test_value_is_by_the_minute(self):
        quick, slow = at(1.0, wrong=2.0, minutes=1.0), at(-1.0, wrong=4.0, minutes=8.0)
        self.assertEqual(value_novel([slow, quick], [at(0.0)]), [1, 0])

    def test_without_features_the_weight_decides_and_none_is_lost(self):
        plain = [Candidate(n, uncertainty=u) for n, u in enumerate((0.2, 0.9, 0.5))]
        self.assertEqual(uncertain_novel(plain, []), [1, 2, 0])
        for choose in NOVELTY.values():
            self.assertEqual(choose([], []), [])
            self.assertEqual(sorted(choose([at(1.0), at(1.0), at(1.0)], [])), [0, 1, 2])
