"""Strategies that know what was answered before."""

from __future__ import annotations

import unittest

import numpy as np

from inference.acquisition import Candidate
from inference.strategies_novelty import (
    NOVELTY,
    novel,
    representative,
    uncertain_novel,
    uncertain_representative,
    value_novel,
)


def at(x: float, y: float = 0.0, **fields) -> Candidate:
    return Candidate(0, features=np.array([x, y], np.float32), **fields)


def crowd(count: int, x: float, **fields) -> list[Candidate]:
    """Alike but for a little."""
    return [at(x + 0.01 * n, **fields) for n in range(count)]


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


class RepresentativeTests(unittest.TestCase):
    def test_one_of_the_largest_crowd_comes_before_a_strange_one(self):
        """The farthest would be the stray one; one of many alike tells more of the others."""
        candidates = [at(40.0), *crowd(16, 0.0), *crowd(12, 9.0)]
        first, second = representative(candidates, [])[:2]
        self.assertIn(first, range(1, 17))
        self.assertIn(second, range(17, 29))

    def test_a_crowd_that_was_answered_for_waits(self):
        candidates = [*crowd(16, 0.0), *crowd(12, 9.0)]
        self.assertIn(representative(candidates, [at(0.08)])[0], range(16, 28))

    def test_of_two_crowds_the_less_sure_is_asked_about(self):
        candidates = [*crowd(16, 0.0, uncertainty=0.05), *crowd(12, 9.0, uncertainty=0.6)]
        self.assertIn(uncertain_representative(candidates, [])[0], range(16, 28))
        self.assertIn(representative(candidates, [])[0], range(16))

    def test_without_features_doubt_decides(self):
        candidates = [Candidate(n, uncertainty=doubt) for n, doubt in enumerate((0.1, 0.9, 0.5))]
        self.assertEqual(uncertain_representative(candidates, []), [1, 2, 0])

    def test_of_equal_looks_the_less_sure_comes_first(self):
        candidates = [at(3.0, uncertainty=doubt) for doubt in (0.1, 0.9, 0.5)]
        self.assertEqual(uncertain_representative(candidates, []), [1, 2, 0])

    def test_where_all_was_answered_for_doubt_decides(self):
        places, doubts = (0.0, 2.0, 4.0, 6.0, 8.0), (0.1, 0.9, 0.5, 0.2, 0.8)
        candidates = [at(x, uncertainty=doubt) for x, doubt in zip(places, doubts, strict=True)]
        answered = [at(x) for x in places]
        for choose in (uncertain_representative, uncertain_novel):
            self.assertEqual(choose(candidates, answered), [1, 4, 2, 3, 0])

    def test_many_twins_do_not_make_all_others_strange(self):
        """Sixty empty wells, a crowd, and one stray."""
        candidates = [*(at(0.0) for _ in range(60)), *crowd(30, 9.0), at(40.0)]
        first, second = representative(candidates, [])[:2]
        self.assertLess(first, 60)
        self.assertIn(second, range(60, 90))

    def test_one_without_a_look_or_with_one_of_another_size_switches_nothing_off(self):
        """Predictions of an older release have none, those of another model another size."""
        odd = [Candidate(90), Candidate(91, features=np.zeros(7, np.float32))]
        candidates = [*odd, at(40.0), *crowd(16, 0.0), *crowd(12, 9.0)]
        self.assertIn(representative(candidates, odd)[0], range(3, 19))
        self.assertEqual(novel([*odd, at(0.1), at(9.0), at(0.2)], [*odd, at(0.0)])[0], 3)
        self.assertEqual(sorted(representative(candidates, odd)), list(range(31)))

    def test_a_look_that_is_not_known_is_a_usual_one_and_of_an_answer_none(self):
        candidates = [*crowd(16, 0.0), *crowd(12, 9.0), at(np.nan)]
        order = representative(candidates, [at(np.nan)])
        self.assertEqual(sorted(order), list(range(29)))
        self.assertIn(order[0], range(16))
