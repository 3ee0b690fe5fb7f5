"""Metrics on shapes whose overlaps are known by arithmetic."""

from __future__ import annotations

import unittest
import warnings

import numpy as np
from cellpose import metrics as peer

from training import metrics as under_test
from training.metrics import ScoredCells, TypedCells


def squares(*corners: tuple[int, int], side: int = 10, shape=(40, 60)) -> np.ndarray:
    """A label image of squares (x, y), ids 1, 2, …"""
    labels = np.zeros(shape, np.uint16)
    for label, (x, y) in enumerate(corners, 1):
        labels[y : y + side, x : x + side] = label
    return labels


EMPTY = np.zeros((40, 60), np.uint16)


class AveragePrecisionTest(unittest.TestCase):
    def test_a_shift_passes_the_thresholds_below_its_iou(self):
        # 10 × 10 squares shifted by 1, 2, 4 px: IoU 90/110 = .818, 80/120 = .667, 60/140 = .429.
        true = squares((0, 0), (20, 0), (40, 0))
        predicted = squares((1, 0), (22, 0), (44, 0))
        ap = under_test.average_precision([true], [predicted])[0]
        # At .5: 2 hits, 1 extra, 1 missed. At .75: 1, 2, 2.
        np.testing.assert_allclose(ap, [2 / 4, 1 / 5, 0])

    def test_matching_is_one_to_one(self):
        true = squares((0, 0))
        halves = true.copy()
        halves[:, 5:] *= 2  # two halves, each with an IoU of exactly one half
        self.assertEqual(under_test.match_counts(true, halves, 0.5), (1, 1, 0))

    def test_nothing_to_find_and_nothing_found_is_perfect(self):
        some = squares((0, 0))
        ap = under_test.average_precision([EMPTY, EMPTY, some], [EMPTY, some, EMPTY], [0.5])
        self.assertEqual(ap[:, 0].tolist(), [1.0, 0.0, 0.0])

    def test_figures_equal_cellposes_on_random_images(self):
        rng = np.random.default_rng(0)
        true, predicted = [], []
        for _ in range(5):
            corners = rng.integers(0, 30, (8, 2))
            true.append(squares(*map(tuple, corners)))
            predicted.append(squares(*map(tuple, corners + rng.integers(-2, 3, (8, 2)).clip(0))))
        true = [under_test.compact(a)[0] for a in true]
        predicted = [under_test.compact(a)[0] for a in predicted]
        ours = under_test.average_precision(true, predicted)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = peer.average_precision(true, predicted)[0]
        np.testing.assert_allclose(ours, theirs, atol=1e-6)

    def test_ids_need_not_be_consecutive(self):
        true = squares((0, 0)).astype(np.uint32) * 4_000_000_000
        self.assertEqual(under_test.match_counts(true, squares((0, 0)) * 9, 0.9), (1, 0, 0))

    def test_it_rejects_thresholds_where_matches_are_ambiguous(self):
        with self.assertRaises(ValueError):
            under_test.match(EMPTY, EMPTY, 0.3)


class QualityTest(unittest.TestCase):
    def test_panoptic_quality_by_hand(self):
        # One match of IoU 80/120, one extra, one missed: (2/3) / (1 + ½ + ½).
        true, predicted = squares((0, 0), (30, 20)), squares((2, 0), (45, 20))
        self.assertAlmostEqual(under_test.panoptic_quality(true, predicted), 1 / 3, places=6)
        self.assertEqual(under_test.panoptic_quality(EMPTY, EMPTY), 1.0)

    def test_aggregated_jaccard_by_hand(self):
        # 80 shared over 120, a missed cell of 100 and an unused one of 100.
        true, predicted = squares((0, 0), (30, 20)), squares((2, 0), (45, 20))
        self.assertAlmostEqual(under_test.aggregated_jaccard(true, predicted), 80 / 320, places=6)
        self.assertEqual(under_test.aggregated_jaccard(EMPTY, EMPTY), 1.0)
        self.assertEqual(under_test.aggregated_jaccard(EMPTY, true), 0.0)

    def test_count_error_is_relative_to_the_truth(self):
        two, three = squares((0, 0), (20, 0)), squares((0, 0), (20, 0), (40, 0))
        self.assertAlmostEqual(under_test.count_error(three, two), 1 / 3)
        self.assertEqual(under_test.count_error(EMPTY, two), 2.0)


class TypesTest(unittest.TestCase):
    """Four cells: two HEK, one N2a, one of unknown type."""

    true = TypedCells(squares((0, 0), (15, 0), (30, 0), (45, 0)), {1: "HEK", 2: "HEK", 3: "N2a"})

    def test_confusion_missed_and_extra_cells_are_counted(self):
        # HEK found as HEK, HEK found as N2a, N2a missed, the unknown found, one extra N2a.
        answer = TypedCells(
            squares((0, 0), (15, 0), (45, 0), (0, 20)), {1: "HEK", 2: "N2a", 3: "HEK", 4: "N2a"}
        )
        figures = under_test.type_metrics([self.true], [answer], ["HEK", "N2a"])
        self.assertEqual(figures["confusion"], {"HEK→HEK": 1, "HEK→N2a": 1})
        self.assertEqual(figures["missed"], {"N2a": 1})
        self.assertEqual(figures["extra"], {"N2a": 1})
        self.assertEqual(figures["type_accuracy"], 0.5)
        hek = figures["per_type"]["HEK"]
        self.assertEqual((hek["precision"], hek["recall"], hek["ap50"]), (1.0, 0.5, 0.5))
        self.assertEqual(figures["per_type"]["N2a"]["f1"], 0.0)

    def test_scores_nobody_could_earn_are_none(self):
        nothing = TypedCells(EMPTY, {})
        figures = under_test.type_metrics([nothing], [nothing], ["HEK"])
        self.assertIsNone(figures["type_accuracy"])
        self.assertIsNone(figures["per_type"]["HEK"]["f1"])

    def test_shares_are_of_typed_cells(self):
        self.assertEqual(
            under_test.type_shares([self.true], ["HEK", "N2a"]), {"HEK": 2 / 3, "N2a": 1 / 3}
        )
        self.assertEqual(under_test.type_shares([], ["HEK"]), {})


class MeanAveragePrecisionTest(unittest.TestCase):
    true = TypedCells(squares((0, 0), (20, 0)), {1: "HEK", 2: "HEK"})

    def scored(self, labels, scores, name="HEK"):
        return ScoredCells(labels, dict.fromkeys(scores, name), scores)

    def test_perfect_masks_earn_one_whatever_their_scores(self):
        perfect = self.scored(self.true.labels, {1: 0.1, 2: 0.9})
        value = under_test.mean_average_precision([self.true], [perfect], ["HEK"])
        self.assertAlmostEqual(value, 1.0)

    def test_an_extra_cell_costs_only_what_it_outranks(self):
        labels = squares((0, 0), (20, 0), (40, 20))
        below = self.scored(labels, {1: 0.9, 2: 0.8, 3: 0.1})
        above = self.scored(labels, {1: 0.8, 2: 0.7, 3: 0.9})
        value = under_test.mean_average_precision([self.true], [below], ["HEK"])
        self.assertAlmostEqual(value, 1.0)
        # Ranked first, the extra cell holds precision at 2/3 over all recalls.
        value = under_test.mean_average_precision([self.true], [above], ["HEK"])
        self.assertAlmostEqual(value, 2 / 3)

    def test_the_wrong_type_earns_nothing(self):
        wrong = self.scored(self.true.labels, {1: 0.9, 2: 0.9}, "N2a")
        value = under_test.mean_average_precision([self.true], [wrong], ["HEK", "N2a"])
        self.assertEqual(value, 0.0)

    def test_without_true_cells_there_is_no_figure(self):
        nothing = self.scored(EMPTY, {})
        self.assertIsNone(under_test.mean_average_precision([nothing], [nothing], ["HEK"]))


class StatisticsTest(unittest.TestCase):
    def test_wilson_interval_of_a_published_example(self):
        # Newcombe 1998, table I: 81 of 263, Wilson without continuity correction.
        low, high = under_test.wilson_interval(81, 263)
        self.assertAlmostEqual(low, 0.2553, places=4)
        self.assertAlmostEqual(high, 0.3662, places=4)
        self.assertEqual(under_test.wilson_interval(0, 0), (0.0, 1.0))

    def test_calibration_error_is_the_gap_between_confidence_and_truth(self):
        confidence = np.full(10, 0.95)
        right = np.arange(10) < 7
        self.assertAlmostEqual(under_test.calibration_error(confidence, right), 0.25)
