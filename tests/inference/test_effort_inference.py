"""How long answers take, learnt from those before; and windows of so many minutes."""

from __future__ import annotations

import unittest

import numpy as np

from inference.effort import USUAL, Effort, fit_effort
from inference.regions import Doubts, best_region


class EffortTest(unittest.TestCase):
    def test_many_answers_teach_what_they_took(self):
        rng = np.random.default_rng(0)
        truth = Effort(opening=20.0, looking=1.0, changing=12.0)
        cells = rng.integers(5, 120, 150)
        changed = rng.binomial(cells, 0.2)
        seconds = 20 + cells + 12 * changed
        seconds = seconds * np.exp(rng.normal(0, 0.2, 150))
        seconds[::15] *= 20  # phone calls
        found = fit_effort(list(zip(cells, changed, seconds, strict=True)))
        for n, m in ((20, 2), (100, 30)):
            self.assertAlmostEqual(found.minutes(n, m) / truth.minutes(n, m), 1, delta=0.15)

    def test_without_answers_it_is_the_usual_and_one_strange_answer_hardly_moves_it(self):
        self.assertEqual(fit_effort([]), USUAL)
        found = fit_effort([(10, 2, 3600.0)])
        self.assertLess(found.minutes(40, 8), 2 * USUAL.minutes(40, 8))
        self.assertGreater(min(found.opening, found.looking, found.changing), 0)


class RegionTest(unittest.TestCase):
    shape = (400, 600)

    def doubts(self, count=300, bad=(500, 300), missed=()):
        rng = np.random.default_rng(1)
        places = rng.uniform((0, 0), (600, 400), (count, 2))
        near = np.hypot(*(places - bad).T) < 70
        return Doubts.of(places.tolist(), np.where(near, 0.9, 0.02).tolist(), missed)

    def test_the_window_lies_where_most_is_wrong_and_takes_the_minutes_that_were_wanted(self):
        region = best_region(self.shape, self.doubts(), USUAL, 1.0)
        x0, y0, x1, y1 = region.box
        self.assertTrue(x0 < 500 < x1 and y0 < 300 < y1, region)
        self.assertGreater(region.wrong / region.cells, 3 * 0.09)  # of the image 0.09
        self.assertLess(region.minutes, 4.0)
        self.assertGreaterEqual(min(x0, y0), 0)
        self.assertLessEqual((x1, y1), (600, 400))

    def test_an_image_of_little_work_is_not_cut(self):
        region = best_region(self.shape, self.doubts(20), USUAL, 5.0)
        self.assertIsNone(region.box)
        self.assertEqual(region.cells, 20)

    def test_what_is_complete_is_not_asked_again_and_an_end_is_reached(self):
        doubts = self.doubts()
        done = [list(best_region(self.shape, doubts, USUAL, 1.0).box)]
        second = best_region(self.shape, doubts, USUAL, 1.0, done)
        self.assertNotEqual(list(second.box), done[0])
        for _ in range(60):
            region = best_region(self.shape, doubts, USUAL, 1.0, done)
            if region is None:
                break
            done.append(list(region.box))
        self.assertIsNone(region)
        self.assertLess(doubts.outside(done).wrong.sum(), 0.5)

    def test_missed_cells_draw_a_window_too(self):
        sure = self.doubts(bad=(-500, -500), missed=[(60, 60, 8.0)])
        x0, y0, x1, y1 = best_region(self.shape, sure, USUAL, 1.0).box
        self.assertTrue(x0 <= 60 < x1 and y0 <= 60 < y1)


if __name__ == "__main__":
    unittest.main()
