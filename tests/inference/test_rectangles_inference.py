"""Regions as rectangles, against plain counting of pixels."""

from __future__ import annotations

import unittest

import numpy as np

from inference.rectangles import (
    area,
    covered,
    few_rectangles,
    grown,
    matched,
    overlaps,
    painted,
    rectangles,
)


def blob(shape: tuple[int, int], seed: int, share: float = 0.3) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < share


def disc(side: int = 40, radius: float = 12) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    return x**2 + y**2 <= radius**2


class Rectangles(unittest.TestCase):
    def test_they_cover_any_mask_and_nothing_else_once(self) -> None:
        for seed in range(20):
            mask = blob((17, 23), seed)
            found = rectangles(mask, 10_000)
            count = np.zeros(mask.shape, int)
            for x0, y0, x1, y1 in found:
                count[y0:y1, x0:x1] += 1
            np.testing.assert_array_equal(count, mask.astype(int))

    def test_a_box_is_one_rectangle_and_nothing_is_none(self) -> None:
        mask = np.zeros((9, 9), bool)
        self.assertEqual(rectangles(mask, 10), [])
        mask[2:7, 1:4] = True
        self.assertEqual(rectangles(mask, 10), [[1, 2, 4, 7]])
        self.assertEqual(rectangles(mask, 10, at=(100, 200)), [[101, 202, 104, 207]])

    def test_equal_runs_on_both_sides_of_a_gap_are_two(self) -> None:
        mask = np.ones((5, 3), bool)
        mask[2] = False
        self.assertEqual(len(rectangles(mask, 10)), 2)

    def test_with_few_allowed_they_cover_most_of_the_mask_and_still_nothing_else(self) -> None:
        mask = disc()
        exact = rectangles(mask, 1000)
        for most in (12, 6, 3, 1):
            found = rectangles(mask, most)
            self.assertLessEqual(len(found), most)
            inside = painted(found, (0, 0, 40, 40))
            self.assertFalse((inside & ~mask).any())
            self.assertGreater(sum(map(area, found)), 0.35 * mask.sum(), most)
        self.assertGreater(len(exact), 12)
        self.assertEqual(rectangles(mask, 0), [])

    def test_with_room_around_a_mask_a_third_of_them_is_enough(self) -> None:
        for seed in range(10):
            least = blob((23, 31), seed, 0.2)
            greatest = grown(least, 1) & ~blob((23, 31), seed + 100, 0.1) | least
            found = few_rectangles(least, greatest, at=(5, 7))
            count = np.zeros((30, 36), int)
            for x0, y0, x1, y1 in found:
                count[y0:y1, x0:x1] += 1
            count = count[7:, 5:]
            self.assertLessEqual(count.max(), 1)
            self.assertTrue((count > 0)[least].all())
            self.assertFalse((count > 0)[~greatest].any())
        exact, few = rectangles(grown(disc(), 1), 1000), few_rectangles(disc(), grown(disc(), 2))
        self.assertLess(len(few), 0.6 * len(exact), (len(few), len(exact)))

    def test_growing_reaches_all_neighbours_and_ends_at_the_edge(self) -> None:
        mask = np.zeros((7, 9), bool)
        mask[0, 8] = mask[4, 3] = True
        wide = grown(mask, 2)
        expected = np.zeros_like(mask)
        expected[0:3, 6:9] = expected[2:7, 1:6] = True
        np.testing.assert_array_equal(wide, expected)
        np.testing.assert_array_equal(grown(mask, 0), mask)
        self.assertTrue(grown(np.ones((1, 1), bool), 2).all())


class Boxes(unittest.TestCase):
    def test_covered_pixels_are_those_that_are_painted(self) -> None:
        regions = [[0, 0, 5, 5], [8, 2, 12, 20]]
        boxes = np.array([[3, 3, 10, 10], [20, 20, 30, 30], [0, 0, 5, 5]])
        image = painted(regions, (0, 0, 40, 40))
        expected = [int(image[y0:y1, x0:x1].sum()) for x0, y0, x1, y1 in boxes]
        self.assertEqual(covered(boxes, regions).tolist(), expected)
        self.assertEqual(covered(boxes, []).tolist(), [0, 0, 0])

    def test_painting_a_window_cuts_what_reaches_over_it(self) -> None:
        whole = painted([[0, 0, 6, 6]], (0, 0, 10, 10))
        np.testing.assert_array_equal(painted([[0, 0, 6, 6]], (4, 3, 9, 8)), whole[3:8, 4:9])

    def test_the_box_most_like_another_is_found(self) -> None:
        a = np.array([[0, 0, 10, 10], [50, 50, 60, 60], [20, 0, 30, 10]])
        b = np.array([[21, 0, 31, 10], [0, 0, 10, 9], [0, 0, 10, 10]])
        self.assertEqual(matched(a, b, 0.5).tolist(), [2, -1, 0])
        self.assertEqual(matched(a, b[:0], 0.5).tolist(), [-1, -1, -1])
        np.testing.assert_allclose(overlaps(a[:1], b[1:2]), [0.9])


if __name__ == "__main__":
    unittest.main()
