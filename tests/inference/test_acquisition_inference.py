"""Ranking of images for the queue."""

from __future__ import annotations

import subprocess
import sys
import unittest

from inference.acquisition import STRATEGIES, Candidate, rank

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
        with self.assertRaisesRegex(ValueError, r"badge.*random, uncertainty"):
            rank("badge", IMAGES)

    def test_the_web_process_can_import_it_without_torch(self):
        code = "import sys, inference.acquisition; sys.exit('torch' in sys.modules)"
        self.assertEqual(subprocess.run([sys.executable, "-c", code], check=False).returncode, 0)
