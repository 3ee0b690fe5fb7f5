"""Two models' cells become one label image, and none is lost on the way."""

from __future__ import annotations

import unittest

import cv2
import numpy as np

from inference.detector import BoxMask, Detections
from inference.fusion import fuse
from inference.fusion_rule import DETECTOR, Curve, FusionRule
from inference.labels import cell_ids
from inference.segmenter import Segmentation
from inference.unseen import suspected
from tests.inference.test_detector_inference import tiny_detector

SHAPE = (60, 80)
EMPTY = np.zeros(0, np.float32)
NO_DETECTIONS = Detections(EMPTY.reshape(0, 4), EMPTY, [])
IMAGE = np.random.default_rng(0).random((2, *SHAPE), np.float32)


def segmentation(*squares, logit=3.0):
    """Squares (x0, y0, side) with one logit inside and its negative outside."""
    labels = np.zeros(SHAPE, np.uint16)
    for number, (x0, y0, side) in enumerate(squares, 1):
        labels[y0 : y0 + side, x0 : x0 + side] = number
    cellprob = np.where(labels > 0, logit, -logit).astype(np.float32)
    flows = np.zeros((2, *SHAPE), np.float32)
    return Segmentation(labels, cellprob, flows, 20.0, np.zeros(8, np.float32))


def detections(*squares):
    """Squares (x0, y0, side, score)."""
    masks = [BoxMask(x, y, np.ones((side, side), bool)) for x, y, side, _ in squares]
    boxes = np.array([[x, y, x + side, y + side] for x, y, side, _ in squares], np.float32)
    scores = np.array([score for *_, score in squares], np.float32)
    return Detections(boxes, scores, masks)


class FusionTests(unittest.TestCase):
    def test_masks_are_the_segmenters_and_the_iou_tells_how_far_the_models_agree(self):
        drawn = segmentation((10, 10, 20))
        fused = fuse(drawn, detections((15, 10, 20, 0.9)), IMAGE, None)
        np.testing.assert_array_equal(fused.labels, drawn.labels)
        cell = fused.cells[0]
        self.assertEqual(cell.seen_by, "both")
        self.assertAlmostEqual(cell.iou or 0, 300 / 500, places=5)
        self.assertAlmostEqual(cell.detector_score or 0, 0.9, places=5)
        self.assertAlmostEqual(cell.segmenter_score or 0, 1 / (1 + np.exp(-3)), places=4)

    def test_cells_of_an_image_that_the_models_are_blind_to_are_suspected(self):
        image = np.full((2, *SHAPE), 0.05, np.float32)
        for x, y in ((15, 15), (50, 15), (30, 42)):
            cv2.circle(image[0], (x, y), 9, 1.0, cv2.FILLED)
        fused = fuse(segmentation(), NO_DETECTIONS, image, None)
        none_shown = suspected(fused.peaks)
        self.assertEqual((len(fused.cells), len(fused.missed), len(none_shown)), (0, 0, 3))
        one = suspected(fuse(segmentation((6, 6, 19)), NO_DETECTIONS, image, None).peaks)
        self.assertEqual(len(one), 2)
        self.assertLess(one[0][2], none_shown[0][2])

    def test_a_cell_the_detector_is_sure_of_is_added_and_marked(self):
        fused = fuse(segmentation((0, 0, 10)), detections((40, 30, 20, 0.8)), IMAGE, None)
        self.assertEqual([cell.seen_by for cell in fused.cells], ["segmenter", "detector"])
        self.assertEqual((fused.labels == 2).sum(), 400)
        self.assertIsNone(fused.cells[1].segmenter_score)
        self.assertIsNone(fused.cells[0].detector_score)

    def test_a_speck_takes_no_cells_place(self):
        rule = FusionRule(detector=Curve(1.0, 1.0, 1.0, 5.0), segmenter=Curve(1.0, 1.0, 1.0, 0.0))
        fused = fuse(segmentation((10, 10, 5)), detections((11, 11, 3, 0.99)), IMAGE, None, rule)
        self.assertEqual([cell.seen_by for cell in fused.cells], ["segmenter"])
        self.assertEqual((fused.labels > 0).sum(), 25)

    def test_a_cell_the_detector_is_unsure_of_is_left_out(self):
        fused = fuse(segmentation((0, 0, 10)), detections((40, 30, 20, 0.3)), IMAGE, None)
        self.assertEqual(len(fused.cells), 1)

    def test_an_added_cell_takes_no_pixel_from_another(self):
        drawn = segmentation((10, 10, 20))
        fused = fuse(drawn, detections((28, 10, 20, 0.9)), IMAGE, None)
        np.testing.assert_array_equal(fused.labels == 1, drawn.labels == 1)
        self.assertEqual((fused.labels == 2).sum(), 18 * 20)

    def test_a_detection_inside_a_drawn_cell_is_not_added_over_it(self):
        fused = fuse(segmentation((0, 0, 40)), detections((5, 5, 10, 0.95)), IMAGE, None)
        self.assertEqual(len(fused.cells), 1)
        self.assertEqual(fused.cells[0].seen_by, "segmenter")

    def test_each_detection_confirms_one_cell_only(self):
        drawn = segmentation((0, 0, 20), (20, 0, 20))
        both = BoxMask(0, 0, np.ones((20, 40), bool))
        one = Detections(
            np.array([[0, 0, 40, 20]], np.float32),
            np.array([0.9], np.float32),
            [both],
        )
        fused = fuse(drawn, one, IMAGE, None)
        self.assertEqual(sorted(cell.seen_by for cell in fused.cells), ["both", "segmenter"])

    def test_labels_are_numbered_without_gaps_whatever_the_segmenter_wrote(self):
        drawn = segmentation((0, 0, 10), (20, 0, 10))
        drawn.labels[drawn.labels == 1] = 7
        fused = fuse(drawn, detections((50, 40, 15, 0.9)), IMAGE, None)
        np.testing.assert_array_equal(cell_ids(fused.labels), [1, 2, 3])
        self.assertEqual([cell.label for cell in fused.cells], [1, 2, 3])

    def test_no_cell_of_many_overlapping_ones_is_lost(self):
        squares = [(x, y, 12) for x in range(0, 66, 13) for y in range(0, 46, 13)]
        seen = [(x + 2, y + 1, 12, 0.9) for x, y, _ in squares]
        fused = fuse(segmentation(*squares), detections(*seen), IMAGE, None)
        self.assertEqual(len(fused.cells), len(squares))
        self.assertTrue(all(cell.seen_by == "both" for cell in fused.cells))

    def test_every_final_cell_is_typed_added_ones_too(self):
        fused = fuse(
            segmentation((0, 0, 10)), detections((40, 30, 20, 0.8)), IMAGE, tiny_detector()
        )
        for cell in fused.cells:
            self.assertAlmostEqual(sum(cell.probabilities), 1.0, places=4)

    def test_nothing_seen_by_anyone_is_an_empty_image(self):
        fused = fuse(segmentation(), NO_DETECTIONS, IMAGE, tiny_detector())
        self.assertEqual((fused.labels.max(), fused.cells), (0, []))

    def test_the_segmenter_alone_will_do(self):
        fused = fuse(segmentation((0, 0, 10)), None, IMAGE, None)
        self.assertEqual(fused.cells[0].seen_by, "segmenter")
        self.assertEqual(fused.cells[0].probabilities, ())


class RuleTests(unittest.TestCase):
    """What a rule that was fitted on validation images changes."""

    def test_a_lone_cell_stays_by_its_chance_whichever_model_sees_it(self):
        rule = FusionRule(least=0.4, segmenter=Curve(1, 0, 0, -3), detector=Curve(1, 0, 0, 0))
        drawn = segmentation((0, 0, 10))
        unsure = segmentation((0, 0, 10), logit=0.5)
        seen = detections((40, 30, 20, 0.5), (20, 40, 15, 0.2))
        kept = [fuse(s, seen, IMAGE, None, rule).cells for s in (drawn, unsure)]
        self.assertEqual([cell.seen_by for cell in kept[0]], ["segmenter", "detector"])
        self.assertEqual([cell.seen_by for cell in kept[1]], ["detector"])
        self.assertAlmostEqual(kept[0][0].chance, 0.5, places=2)
        self.assertAlmostEqual(kept[0][1].chance, 0.5, places=2)

    def test_what_the_segmenter_has_under_a_lone_detection_counts(self):
        rule = FusionRule(segmenter=Curve(1, 0, 0, 0), detector=Curve(0, 0, 4, -2))
        drawn = segmentation((0, 0, 10))
        drawn.cellprob[30:50, 40:60] = 2.0  # foreground of which it made no cell
        seen = detections((40, 30, 20, 0.5), (15, 30, 20, 0.5))
        fused = fuse(drawn, seen, IMAGE, None, rule)
        self.assertEqual([cell.seen_by for cell in fused.cells], ["segmenter", "detector"])
        self.assertEqual(fused.labels[40, 50], 2)

    def test_cells_both_see_stay_whatever_their_chance(self):
        rule = FusionRule(least=0.9, segmenter=Curve(1, 0, 0, -9), detector=Curve(1, 0, 0, -9))
        fused = fuse(segmentation((0, 0, 20)), detections((0, 0, 20, 0.9)), IMAGE, None, rule)
        self.assertEqual([cell.seen_by for cell in fused.cells], ["both"])
        self.assertLess(fused.cells[0].chance, 0.2)

    def test_two_probable_cells_take_the_place_of_one_that_swallows_them(self):
        drawn = segmentation((0, 0, 40))
        halves = [(0, 0, 20, 0.9), (20, 0, 20, 0.9), (0, 20, 20, 0.9), (20, 20, 20, 0.9)]
        rule = FusionRule(segmenter=Curve(1, 0, 0, -3), detector=Curve(1, 0, 0, 0))
        fused = fuse(drawn, detections(*halves), IMAGE, None, rule)
        self.assertEqual(len(fused.cells), 4)
        np.testing.assert_array_equal(np.bincount(fused.labels.ravel())[1:], [400] * 4)
        doubted = [(x, y, side, 0.3) for x, y, side, _ in halves]
        fused = fuse(drawn, detections(*doubted), IMAGE, None, rule)
        self.assertEqual([cell.seen_by for cell in fused.cells], ["segmenter"])
        self.assertEqual(len(fuse(drawn, detections(*halves), IMAGE, None).cells), 1)

    def test_a_weak_detection_does_not_decide_whose_borders_are_drawn(self):
        drawn = segmentation((10, 10, 20))
        rule = FusionRule(segmenter=Curve(1, 0, 0, 0), detector=Curve(1, 0, 0, 9))
        sure = (12, 10, 20, 0.95)
        alone = fuse(drawn, detections(sure), IMAGE, None, rule)
        np.testing.assert_array_equal(alone.labels, drawn.labels)
        weak = FusionRule(segmenter=Curve(1, 0, 0, 0), detector=Curve(3, 0, 0, 1))
        beside = fuse(drawn, detections(sure, (10, 25, 6, 0.1)), IMAGE, None, weak)
        np.testing.assert_array_equal(beside.labels, drawn.labels)

    def test_detections_that_lap_over_each_other_are_both_drawn_instead_of_one_blob(self):
        drawn = segmentation((0, 0, 34), logit=0.2)
        rule = FusionRule(segmenter=Curve(1, 0, 0, -3), detector=Curve(1, 0, 0, 0))
        lapping = detections((0, 0, 20, 0.9), (11, 0, 20, 0.8))  # 45 % of the second is the first's
        fused = fuse(drawn, lapping, IMAGE, None, rule)
        self.assertEqual([cell.seen_by for cell in fused.cells].count("detector") > 0, True)
        self.assertEqual(len(fused.cells), 2)

    def test_masks_have_no_hole_where_a_detection_was_not_chosen(self):
        rule = FusionRule(
            borders=DETECTOR, segmenter=Curve(1, 0, 0, 0), detector=Curve(1, 4, 0, -3.5)
        )
        drawn = segmentation((10, 10, 20))
        seen = detections((10, 10, 20, 0.8), (24, 24, 10, 0.9))  # the second over a corner, alone
        fused = fuse(drawn, seen, IMAGE, None, rule)
        self.assertEqual([cell.seen_by for cell in fused.cells], ["both"])
        self.assertEqual((fused.labels == 1).sum(), 400)

    def test_one_probable_cell_takes_the_place_of_pieces(self):
        drawn = segmentation((0, 0, 20), (20, 0, 20), (0, 20, 20), (20, 20, 20), logit=0.2)
        rule = FusionRule(segmenter=Curve(1, 0, 0, -1), detector=Curve(1, 0, 0, 0))
        fused = fuse(drawn, detections((0, 0, 40, 0.95)), IMAGE, None, rule)
        self.assertEqual([cell.seen_by for cell in fused.cells], ["detector"])
        self.assertEqual((fused.labels == 1).sum(), 1600)

    def test_a_cell_two_models_draw_differently_is_drawn_by_the_surer_one(self):
        drawn = segmentation((10, 10, 20), logit=0.5)
        seen = detections((20, 10, 20, 0.95))  # IoU of a third
        rule = FusionRule(segmenter=Curve(1, 0, 0, 0), detector=Curve(1, 0, 0, 0))
        fused = fuse(drawn, seen, IMAGE, None, rule)
        self.assertEqual([cell.seen_by for cell in fused.cells], ["both"])
        np.testing.assert_array_equal(np.flatnonzero(fused.labels[15]), np.arange(20, 40))

    def test_borders_are_the_detectors_where_it_draws_the_better_ones(self):
        rule = FusionRule(borders=DETECTOR)
        drawn = segmentation((10, 10, 20), (50, 10, 20))
        fused = fuse(drawn, detections((13, 10, 20, 0.9)), IMAGE, None, rule)
        self.assertEqual([cell.seen_by for cell in fused.cells], ["both", "segmenter"])
        np.testing.assert_array_equal(np.flatnonzero(fused.labels[15] == 1), np.arange(13, 33))
        np.testing.assert_array_equal(fused.labels == 2, drawn.labels == 2)

    def test_a_lone_segmented_cell_takes_no_pixel_from_the_detectors_masks(self):
        rule = FusionRule(borders=DETECTOR)
        drawn = segmentation((10, 10, 20), (30, 10, 20))
        fused = fuse(drawn, detections((14, 10, 20, 0.9)), IMAGE, None, rule)
        self.assertEqual((fused.labels == 1).sum(), 400)
        self.assertEqual((fused.labels == 2).sum(), 16 * 20)

    def test_the_segmenter_alone_knows_no_rule(self):
        rule = FusionRule(least=0.99, segmenter=Curve(1, 0, 0, -9))
        self.assertEqual(len(fuse(segmentation((0, 0, 10)), None, IMAGE, None, rule).cells), 1)
