"""What an oracle's answers cost and tell, by hand on small label images."""

from __future__ import annotations

import unittest

import numpy as np

from training.annotation_cost import AnnotationCost, Edits
from training.oracle import (
    Shown,
    Truth,
    answer_cell,
    answer_point,
    answer_region,
    edits_between,
    nothing_shown,
)


def squares(*places: tuple[int, int, int], size: int = 10, shape=(40, 60)):
    """A label image of squares: (label, top, left)."""
    labels = np.zeros(shape, np.uint16)
    for label, top, left in places:
        labels[top : top + size, left : left + size] = label
    return labels


def filled(shape, regions):
    area = np.zeros(shape, int)
    for x0, y0, x1, y1 in regions:
        area[y0:y1, x0:x1] += 1
    return area


class EditsTests(unittest.TestCase):
    def test_a_right_prediction_is_only_looked_at(self):
        labels = squares((1, 5, 5), (2, 5, 30))
        self.assertEqual(edits_between(Truth(labels), Shown(labels)), Edits(looked=2))

    def test_missing_and_extra_cells_are_added_and_deleted(self):
        true, predicted = squares((1, 5, 5), (2, 5, 30)), squares((1, 5, 5), (7, 25, 45))
        found = edits_between(Truth(true), Shown(predicted))
        self.assertEqual(found, Edits(looked=1, added=1, deleted=1))

    def test_a_border_is_redrawn_by_how_far_it_is_off(self):
        true, predicted = squares((1, 5, 5)), np.zeros((40, 60), np.uint16)
        predicted[5:15, 5:11] = 1  # 6 of 10 columns: IoU 0.6
        found = edits_between(Truth(true), Shown(predicted))
        self.assertAlmostEqual(found.redrawn, 0.8, places=5)
        self.assertEqual((found.looked, found.added, found.deleted), (1, 0, 0))

    def test_a_nearly_right_border_is_left_alone(self):
        true, predicted = squares((1, 5, 5)), squares((1, 5, 5))
        predicted[5, 5:15] = 0  # IoU 0.9
        self.assertEqual(edits_between(Truth(true), Shown(predicted)), Edits(looked=1))

    def test_one_mask_over_two_cells_is_cut_once(self):
        true, predicted = squares((1, 5, 5), (2, 5, 15)), np.zeros((40, 60), np.uint16)
        predicted[5:15, 5:25] = 3
        # IoU with each is exactly 0.5, so one of them matches and the other is cut off.
        found = edits_between(Truth(true), Shown(predicted))
        self.assertEqual((found.split, found.added, found.deleted), (1, 0, 0))

    def test_three_cells_in_one_mask_take_two_cuts_and_nothing_else(self):
        true = squares((1, 5, 5), (2, 5, 15), (3, 5, 25))
        predicted = np.zeros((40, 60), np.uint16)
        predicted[5:15, 5:35] = 1
        self.assertEqual(edits_between(Truth(true), Shown(predicted)), Edits(split=2))

    def test_three_pieces_of_one_cell_are_merged_twice(self):
        true = np.zeros((40, 60), np.uint16)
        true[5:15, 5:35] = 1
        predicted = squares((1, 5, 5), (2, 5, 15), (3, 5, 25))
        self.assertEqual(edits_between(Truth(true), Shown(predicted)), Edits(merged=2))

    def test_a_mask_far_too_small_is_drawn_anew_instead_of_deleted_and_added(self):
        true, predicted = squares((1, 5, 5)), squares((4, 6, 6), size=5)
        self.assertEqual(edits_between(Truth(true), Shown(predicted)), Edits(redrawn=1.0))

    def test_wrong_types_of_right_cells_are_retyped_where_the_truth_is_known(self):
        labels = squares((1, 5, 5), (2, 5, 30), (3, 25, 5))
        truth = Truth(labels, {1: "A", 2: "B"})
        found = edits_between(truth, Shown(labels, {1: "B", 2: "B", 3: "A"}))
        self.assertEqual(found, Edits(looked=3, retyped=1))

    def test_minutes_are_the_sum_of_the_edits(self):
        cost = AnnotationCost(opened=6, looked=1, added=10, redrawn=8)
        edits = Edits(opened=2, looked=8, added=3, redrawn=0.5)
        self.assertAlmostEqual(cost.minutes(edits), (12 + 8 + 30 + 4) / 60)
        self.assertEqual(edits + Edits(added=1), Edits(opened=2, looked=8, added=4, redrawn=0.5))


class RegionTests(unittest.TestCase):
    def setUp(self):
        self.truth = Truth(squares((1, 5, 5), (2, 5, 22), (3, 25, 45)))

    def test_a_whole_image_is_charged_all_its_cells(self):
        answer = answer_region(self.truth, nothing_shown((40, 60)), None)
        self.assertEqual((answer.cells, answer.ids), (3, (1, 2, 3)))
        self.assertEqual(answer.regions, ((0, 0, 60, 40),))
        self.assertEqual(answer.edits, Edits(opened=1, added=3))

    def test_a_window_is_charged_the_cells_it_shows_and_knows_nothing_beyond(self):
        answer = answer_region(self.truth, nothing_shown((40, 60)), (0, 0, 25, 20))
        self.assertEqual((answer.ids, answer.regions), ((1, 2), ((0, 0, 25, 20),)))

    def test_what_is_known_already_costs_nothing_more(self):
        shown = Shown(self.truth.labels)
        answer = answer_region(self.truth, shown, None, known=(1, 3))
        self.assertEqual((answer.cells, answer.ids), (1, (2,)))
        self.assertEqual(answer.edits, Edits(opened=1, looked=1))

    def test_an_empty_window_costs_opening_it(self):
        answer = answer_region(self.truth, nothing_shown((40, 60)), (0, 20, 20, 40))
        self.assertEqual((answer.cells, answer.edits), (0, Edits(opened=1)))


class CellTests(unittest.TestCase):
    shape = (40, 60)

    def test_a_right_cell_is_accepted_and_its_surroundings_become_known(self):
        labels = squares((1, 10, 10), (2, 10, 21))
        answer = answer_cell(Truth(labels), Shown(labels), 1)
        self.assertEqual((answer.cells, answer.ids), (1, (1,)))
        self.assertEqual(answer.edits, Edits(asked=1, looked=1))
        area = filled(self.shape, answer.regions)
        self.assertTrue((area[labels == 1] == 1).all())
        self.assertEqual(int(area[labels == 2].sum()), 0)  # the neighbour was not asked about
        self.assertEqual(int(area[8, 12]), 1)
        self.assertEqual(int(area[30, 40]), 0)

    def test_a_false_cell_is_rejected_and_its_place_is_known_to_be_empty(self):
        truth, shown = Truth(squares((1, 10, 40))), Shown(squares((5, 10, 10), (1, 10, 40)))
        answer = answer_cell(truth, shown, 5)
        self.assertEqual((answer.cells, answer.ids), (1, ()))
        self.assertEqual(answer.edits, Edits(asked=1, deleted=1))
        self.assertEqual(answer.regions, ((10, 10, 20, 20),))

    def test_a_mask_over_two_cells_is_charged_both(self):
        truth = Truth(squares((1, 10, 10), (2, 10, 20)))
        predicted = np.zeros(self.shape, np.uint16)
        predicted[10:20, 10:30] = 9
        answer = answer_cell(truth, Shown(predicted), 9)
        self.assertEqual((answer.cells, answer.ids, answer.edits.split), (2, (1, 2), 1))

    def test_a_missed_cell_at_a_point_is_drawn_and_nothing_elsewhere(self):
        truth = Truth(squares((1, 10, 10), (2, 10, 30)))
        answer = answer_point(truth, (33.0, 14.0), reach=3.0)
        self.assertEqual((answer.cells, answer.ids), (1, (2,)))
        self.assertEqual(answer.edits, Edits(asked=1, added=1))
        self.assertEqual(int(filled(self.shape, answer.regions)[truth.labels == 1].sum()), 0)

    def test_nothing_at_a_point_makes_it_background(self):
        answer = answer_point(Truth(squares((1, 10, 10))), (50.0, 30.0), reach=2.0)
        self.assertEqual((answer.cells, answer.ids, answer.edits), (1, (), Edits(asked=1)))
        self.assertEqual(int(filled(self.shape, answer.regions).sum()), 13)
