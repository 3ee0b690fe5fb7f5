"""The number of threads follows what is fast at the moment."""

from __future__ import annotations

import unittest
from unittest import mock

import torch

from inference import threads as under_test


class ThreadsTest(unittest.TestCase):
    def setUp(self):
        self.now = 0.0
        clock = mock.patch.object(under_test.time, "monotonic", side_effect=lambda: self.now)
        clock.start()
        self.addCleanup(clock.stop)
        self.addCleanup(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(4)

    def used(self, threads, calls, seconds):
        """The numbers used in ``calls`` calls that take ``seconds[number]``."""
        used = []
        for _ in range(calls):
            with threads.timed():
                used.append(torch.get_num_threads())
                self.now += seconds[used[-1]]
        return used

    def test_on_an_idle_machine_all_threads_are_used(self):
        used = self.used(under_test.Threads(torch.device("cpu")), 100, {4: 1.0, 2: 1.8})
        self.assertGreater(used.count(4), 90)

    def test_on_a_busy_machine_half_are_used_and_the_rest_tried_ever_more_rarely(self):
        threads = under_test.Threads(torch.device("cpu"))
        used = self.used(threads, 300, {4: 5.0, 2: 1.0})
        self.assertLess(used.count(4), 6)

    def test_it_follows_a_machine_that_becomes_idle(self):
        threads = under_test.Threads(torch.device("cpu"))
        self.used(threads, 50, {4: 3.0, 2: 1.0})
        used = self.used(threads, 300, {4: 1.0, 2: 1.8})
        self.assertGreater(used[-50:].count(4), 40)

    def test_one_thread_stays_one(self):
        torch.set_num_threads(1)
        used = self.used(under_test.Threads(torch.device("cpu")), 20, {1: 1.0})
        self.assertEqual(set(used), {1})
