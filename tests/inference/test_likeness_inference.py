"""Which cells are unusual, near and worth asking about, on constructed vectors."""

from __future__ import annotations

import unittest
from dataclasses import replace

import numpy as np

from inference.likeness import Askable, choose, distances, measures, unusual


def askable(scores: list[float], **columns: list[int] | np.ndarray) -> Askable:
    count = len(scores)
    vectors = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)
    given = {
        "images": np.arange(count),
        "types": np.zeros(count, int),
        "vectors": vectors,
    } | {name: np.asarray(column) for name, column in columns.items()}
    return Askable(scores=np.array(scores), **given)


class Likeness(unittest.TestCase):
    def test_the_one_unlike_its_type_comes_first_though_it_is_like_another_type(self) -> None:
        rng = np.random.default_rng(1)
        centres = np.repeat([[1.0, 0.0], [0.0, 1.0]], 20, axis=0)
        vectors = (centres + rng.normal(0, 0.05, (40, 2))).astype(np.float32)
        types = np.repeat([0, 1], 20)
        types[7] = 1  # looks like type 0
        found = unusual(vectors, types)
        self.assertEqual(int(found.argmax()), 7)

    def test_without_a_vector_nothing_is_said(self) -> None:
        vectors = np.zeros((3, 4), np.float32)
        vectors[1] = np.nan
        found = unusual(vectors, np.zeros(3, int))
        self.assertEqual(np.isnan(found).tolist(), [False, True, False])
        self.assertTrue(np.isnan(distances(vectors, 0)[1]))

    def test_the_nearest_is_the_cell_itself(self) -> None:
        vectors = np.array([[0, 0], [3, 4], [1, 0]], np.float32)
        self.assertEqual(distances(vectors, 0).tolist(), [0, 5, 1])

    def test_measures_tell_a_large_and_a_long_cell_from_round_ones(self) -> None:
        boxes = np.array([[0, 0, 10, 10]] * 8 + [[0, 0, 40, 40], [0, 0, 40, 4]], float)
        areas = np.array([78.0] * 8 + [1250, 120])
        found = unusual(measures(areas, boxes, np.full(10, np.nan)), np.zeros(10, int))
        self.assertEqual(set(np.argsort(-found)[:2].tolist()), {8, 9})
        self.assertTrue(np.isfinite(found).all())


class Choosing(unittest.TestCase):
    def test_an_obviously_uncertain_cell_comes_first(self) -> None:
        cells = askable([0.1, 0.95, 0.3])
        self.assertEqual(choose(cells, 2, per_image=4), [1, 2])

    def test_no_image_has_more_than_its_share(self) -> None:
        cells = askable([0.9, 0.8, 0.7, 0.1], images=[5, 5, 5, 6])
        self.assertEqual(choose(cells, 4, per_image=2), [0, 1, 3])

    def test_duplicates_are_spread(self) -> None:
        vectors = np.random.default_rng(2).normal(size=(30, 8)).astype(np.float32)
        vectors[1] = vectors[0] + 0.001
        scores = [0.99, 0.98] + [0.5] * 28
        chosen = choose(askable(scores, vectors=vectors), 10, per_image=4)
        self.assertIn(0, chosen)
        self.assertNotIn(1, chosen)

    def test_cells_without_vectors_are_no_duplicates(self) -> None:
        cells = askable([0.9, 0.8, 0.7], vectors=np.full((3, 8), np.nan, np.float32))
        self.assertEqual(choose(cells, 3, per_image=4), [0, 1, 2])

    def test_a_type_that_is_rare_gets_its_turn(self) -> None:
        scores = [0.8] * 20 + [0.7]
        cells = askable(scores, types=[0] * 20 + [1])
        self.assertIn(20, choose(cells, 8, per_image=4))

    def test_what_looks_like_what_was_answered_for_waits(self) -> None:
        rng = np.random.default_rng(3)
        looks = rng.normal(size=(30, 6)).astype(np.float32)
        looks[1] += 9  # like nothing else
        scores = [0.5] * 30
        answered = looks[2:] + 0.01
        plain = askable(scores, vectors=rng.normal(size=(30, 8)))
        cells = replace(plain, looks=looks, answered=answered)
        self.assertEqual(choose(plain, 2, per_image=4), [0, 1])
        self.assertEqual(choose(cells, 2, per_image=4), [1, 0])
        # Those chosen count as answered: no two alike.
        looks[5] = looks[1]
        again = replace(plain, looks=looks, answered=answered[:0])
        chosen = choose(again, 6, per_image=4)
        self.assertEqual(len({1, 5} & set(chosen)), 1)

    def test_a_cell_that_cannot_be_compared_is_still_asked_about(self) -> None:
        looks = np.full((3, 4), np.nan, np.float32)
        cells = replace(askable([0.2, 0.9, 0.5]), looks=looks, answered=looks)
        self.assertEqual(choose(cells, 3, per_image=4), [1, 2, 0])

    def test_what_is_worth_nothing_is_not_chosen(self) -> None:
        self.assertEqual(choose(askable([-np.inf, 0.5, -np.inf]), 3, per_image=9), [1])

    def test_of_no_cell_none_is_chosen(self) -> None:
        self.assertEqual(choose(askable([], vectors=np.zeros((0, 8))), 5, per_image=4), [])


if __name__ == "__main__":
    unittest.main()
