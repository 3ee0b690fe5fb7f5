"""Ranking of images for the queue."""

from __future__ import annotations

import subprocess
import sys
import time
import unittest

import numpy as np

from inference.acquisition import STRATEGIES, Candidate, near_duplicates, rank

IMAGES = [Candidate(1, 0.2), Candidate(2, 0.9), Candidate(3, None), Candidate(4, 0.5)]


class RankTests(unittest.TestCase):
    def test_uncertainty_puts_the_least_sure_first_and_the_unpredicted_last(self):
        self.assertEqual([image for image, _ in rank("uncertainty", IMAGES)], [2, 4, 1, 3])

    def test_random_is_a_permutation_that_its_seed_repeats_and_another_changes(self):
        many = [Candidate(n, 0.5) for n in range(50)]
        first, again, other = (rank("random", many, seed) for seed in (1, 1, 2))
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)
        self.assertEqual(sorted(image for image, _ in first), list(range(50)))

    def test_every_strategy_ranks_every_candidate_and_takes_none(self):
        for name in STRATEGIES:
            self.assertEqual(len(rank(name, IMAGES)), 4)
            self.assertEqual(rank(name, []), [])

    def test_an_unknown_strategy_is_refused_with_the_known_ones(self):
        with self.assertRaisesRegex(ValueError, r"badge.*random, uncertain-diverse, uncertainty"):
            rank("badge", IMAGES)

    def test_every_strategy_says_in_a_line_what_it_does(self):
        for name, function in STRATEGIES.items():
            line = (function.__doc__ or "").splitlines()[0]
            self.assertRegex(line, r"^[A-Z].{20,}[.;)]?", name)


def first(strategy, candidates, seed=0):
    return [number for number, _ in rank(strategy, candidates, seed)]


def looking(number, *features, **more):
    return Candidate(number, features=np.array(features, np.float32), **more)


class StrategyTests(unittest.TestCase):
    """Each on a case whose answer is plain."""

    def test_value_asks_what_puts_most_right_per_minute(self):
        quick = Candidate(1, 0.5, wrong=3, minutes=1)
        slow = Candidate(2, 0.9, wrong=10, minutes=20)
        self.assertEqual(first("value", [slow, quick]), [1, 2])

    def test_committee_and_bald_ask_what_models_and_views_disagree_on(self):
        models = Candidate(1, 0.9, committee=0.8, views=0.1)
        views = Candidate(2, 0.1, committee=0.2, views=0.6)
        self.assertEqual(first("committee", [views, models]), [1, 2])
        self.assertEqual(first("bald", [models, views]), [2, 1])

    def test_diverse_ones_are_spread_over_the_looks_there_are(self):
        crowd = [looking(n, 0.01 * n, 0.0, uncertainty=0.9) for n in range(10)]
        others = [looking(10, 9, 0, uncertainty=0.1), looking(11, 0, 9, uncertainty=0.1)]
        chosen = first("diverse", [*crowd, *others])[:3]
        self.assertLessEqual({10, 11}, set(chosen))

    def test_uncertain_diverse_ones_differ_and_a_certain_one_is_not_worth_it(self):
        alike = [looking(n, 0.0, 0.1 * n, uncertainty=0.9) for n in range(4)]
        other = looking(4, 5.0, 3.0, uncertainty=0.6)
        certain = looking(5, -5.0, 3.0, uncertainty=0.0)
        order = first("uncertain-diverse", [*alike, other, certain])
        self.assertIn(order[0], range(4))
        self.assertEqual(order[1], 4)
        # Those that look like the first wait until all others have had their turn.
        self.assertEqual(len(set(order[:3]) & {5}), 0)

    def test_a_rare_type_is_asked_for_and_batches_take_turns(self):
        common = [Candidate(n, 0.5, types={"HEK": 20.0, "N2a": 0.0}, batch="b1") for n in range(6)]
        rare = Candidate(6, 0.1, types={"HEK": 5.0, "N2a": 2.0}, batch="b1")
        other = Candidate(7, 0.1, types={"HEK": 20.0}, batch="b2")
        order = first("balanced", [*common, rare, other])
        self.assertEqual(order[0], 6)
        self.assertEqual(order[1], 7)

    def test_half_is_asked_from_mixed_cultures(self):
        pure = [Candidate(n, 0.9) for n in range(6)]
        mixed = [Candidate(n, 0.1 * (n - 5), mixed=True) for n in range(6, 9)]
        order = first("mixed-quota", [*pure, *mixed])
        self.assertEqual(sum(n >= 6 for n in order[:6]), 3)
        self.assertEqual([n for n in order if n >= 6], [8, 7, 6])
        self.assertEqual(len(order), 9)

    def test_turns_of_many_images_are_taken_within_a_second(self):
        many = [Candidate(n, 0.5, mixed=n % 3 == 0) for n in range(20_000)]
        began = time.process_time()
        scores = STRATEGIES["mixed-quota"](many, np.random.default_rng(0))
        self.assertLess(time.process_time() - began, 1.0)
        self.assertEqual(len(set(scores)), len(many))

    def test_near_duplicates_wait_until_all_others_had_their_turn(self):
        pool = [looking(n, *np.eye(6)[n] * 9, uncertainty=0.5 - 0.01 * n) for n in range(6)]
        twin = looking(6, *(np.eye(6)[0] * 9 + 0.01), uncertainty=0.495)
        for strategy in ("uncertainty", "uncertain-diverse"):
            order = first(strategy, [*pool, twin])
            self.assertEqual(order[-1], 6, strategy)
        self.assertEqual(near_duplicates([*pool, twin]).tolist(), [False] * 6 + [True])
        self.assertFalse(near_duplicates([Candidate(n) for n in range(5)]).any())

    def test_the_web_process_can_import_it_without_torch(self):
        code = "import sys, inference.acquisition; sys.exit('torch' in sys.modules)"
        self.assertEqual(subprocess.run([sys.executable, "-c", code], check=False).returncode, 0)
