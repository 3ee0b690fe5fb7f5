"""How long answers take, learnt from those before; and windows of so many minutes."""

from __future__ import annotations

import time
import unittest

import numpy as np

from inference.effort import USUAL, Effort, fit_effort
from inference.regions import Doubts, Window, best_region


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
        region = best_region(self.shape, self.doubts(), USUAL, Window(1.0))
        x0, y0, x1, y1 = region.box
        self.assertTrue(x0 < 500 < x1 and y0 < 300 < y1, region)
        self.assertGreater(region.wrong / region.cells, 3 * 0.09)  # of the image 0.09
        self.assertLess(region.minutes, 4.0)
        self.assertGreaterEqual(min(x0, y0), 0)
        self.assertLessEqual((x1, y1), (600, 400))

    def test_an_image_of_little_work_is_not_cut(self):
        region = best_region(self.shape, self.doubts(20), USUAL, Window(5.0))
        self.assertIsNone(region.box)
        self.assertEqual(region.cells, 20)

    def test_what_is_complete_is_not_asked_again_and_an_end_is_reached(self):
        doubts = self.doubts()
        done = [list(best_region(self.shape, doubts, USUAL, Window(1.0)).box)]
        second = best_region(self.shape, doubts, USUAL, Window(1.0), done)
        self.assertNotEqual(list(second.box), done[0])
        for _ in range(60):
            region = best_region(self.shape, doubts, USUAL, Window(1.0), done)
            if region is None:
                break
            done.append(list(region.box))
        self.assertIsNone(region)
        self.assertLess(doubts.outside(done).wrong.sum(), 0.5)

    def test_a_window_is_as_doubtful_as_what_lies_in_it(self):
        doubts = Doubts.of([[10, 10], [20, 10], [500, 300]], [0.5, 0.5, 0.1], [(15, 15, 2.0)])
        shares = [
            best_region(self.shape, doubts.outside(done), USUAL, Window(60.0)).share
            for done in ([], [[400, 200, 600, 400]], [[0, 0, 100, 100]])
        ]
        self.assertAlmostEqual(shares[0], 3.1 / 5)
        self.assertAlmostEqual(shares[1], 3.0 / 4)
        self.assertAlmostEqual(shares[2], 0.1)

    def test_by_lot_any_window_of_work_is_asked_and_the_same_lot_asks_the_same(self):
        doubts = self.doubts(600)
        boxes = [
            best_region(self.shape, doubts, USUAL, Window(1.0, lot=lot)).box
            for lot in (0.0, 0.3, 0.6, 0.999, 0.3)
        ]
        self.assertEqual(len(set(boxes)), 4)
        self.assertEqual(boxes[1], boxes[4])

    def test_the_windows_of_a_very_large_image_are_compared_within_a_second(self):
        rng = np.random.default_rng(0)
        places = rng.uniform(0, 20_000, (40_000, 2))
        doubts = Doubts.of(places, rng.uniform(0, 0.1, 40_000), [])
        began = time.process_time()
        region = best_region((20_000, 20_000), doubts, USUAL, Window(2.0))
        self.assertLess(time.process_time() - began, 1.0)
        x0, y0, x1, y1 = region.box
        inside = ((places >= (x0, y0)) & (places < (x1, y1))).all(axis=1)
        self.assertEqual(region.cells, inside.sum())

    def test_missed_cells_draw_a_window_too(self):
        sure = self.doubts(bad=(-500, -500), missed=[(60, 60, 8.0)])
        x0, y0, x1, y1 = best_region(self.shape, sure, USUAL, Window(1.0)).box
        self.assertTrue(x0 <= 60 < x1 and y0 <= 60 < y1)


if __name__ == "__main__":
    unittest.main()
