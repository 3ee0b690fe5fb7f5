"""Images seen window by window come out as if they had been seen whole."""

from __future__ import annotations

import errno
import os
import unittest
from unittest import mock

import numpy as np
from scipy import ndimage

from inference.detector import BoxMask, Detections
from inference.errors import InferenceError
from inference.fusion_rule import UNFITTED
from inference.labels import cell_geometry, iou_pairs
from inference.normalize import normalize
from inference.predictor import Predictor
from inference.segmenter import Segmentation
from inference.unseen import suspected
from inference.windows import see_in_windows, windows
from tests.inference.test_detector_inference import tiny_detector
from tests.inference.test_predictor_inference import tiny_segmenter
from training.synthetic import draw_image


class Threshold:
    """Sees every bright piece as a cell, those at a window's edge cut off, as any model would."""

    detector = None

    def __init__(self, detects=False, sees=True):
        self.detects = detects
        self.level = 0.5 if sees else 2.0
        self.seen = []

    def seen_planes(self, planes, diameter=None):
        self.seen.append((planes.shape, diameter))
        bright = planes[0] > self.level
        labels = ndimage.label(bright)[0].astype(np.uint32)
        cellprob = np.where(bright, 3, -3).astype(np.float32)
        flows = np.zeros((2, *bright.shape), np.float32)
        found = Segmentation(labels, cellprob, flows, diameter or 12.0, np.zeros(8, np.float32))
        return found, self._detections(labels) if self.detects else None

    def _detections(self, labels):
        masks = [
            BoxMask(place[1].start, place[0].start, labels[place] == number)
            for number, place in enumerate(ndimage.find_objects(labels), 1)
        ]
        boxes = np.array([[m.x0, m.y0, m.x0 + 1, m.y0 + 1] for m in masks], np.float32)
        return Detections(boxes.reshape(-1, 4), np.full(len(masks), 0.9, np.float32), masks)


def scattered(shape, count, seed=0):
    """Discs that do not touch, of 4 to 16 px, also across the edges of windows."""
    rng = np.random.default_rng(seed)
    taken = np.zeros(shape, bool)
    image = np.zeros((1, *shape), np.uint16)
    y, x = np.mgrid[: shape[0], : shape[1]]
    for _ in range(count):
        cy, cx, r = rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), rng.uniform(2, 8)
        distance = np.hypot(y - cy, x - cx)
        if not (taken & (distance < r + 2)).any():
            taken |= distance < r
            image[0][distance < r] = 1000
    return image


class WindowTests(unittest.TestCase):
    def test_cores_cover_every_pixel_once_and_windows_reach_beyond(self):
        for shape in ((1, 1), (64, 65), (130, 61), (7, 500)):
            count = np.zeros(shape, int)
            for row in windows(shape, 64, 10):
                for window in row:
                    top, bottom, left, right = window.core
                    count[top:bottom, left:right] += 1
                    self.assertEqual(window.y0, max(0, top - 10))
                    self.assertEqual(window.x1, min(shape[1], right + 10))
                    self.assertLessEqual(max(bottom - top, right - left), 64)
            self.assertTrue((count == 1).all())

    def test_every_cell_is_there_once_and_whole(self):
        image = scattered((301, 420), 260)
        whole, count = ndimage.label(image[0])
        self.assertGreater(count, 100)
        for detects in (False, True):
            for core in (50, 64, 97, 1000):
                seen = see_in_windows(Threshold(detects), image, UNFITTED, core, margin=24)
                self.assertEqual(len(seen.cells), count)
                first, _, iou = iou_pairs(whole, seen.labels)
                self.assertEqual((first.size, iou.min()), (count, 1.0))

    def test_geometry_is_that_of_the_label_image(self):
        seen = see_in_windows(Threshold(), scattered((200, 150), 90), UNFITTED, 64, margin=24)
        measured = cell_geometry(seen.labels)
        np.testing.assert_array_equal(seen.geometry.labels, measured.labels)
        np.testing.assert_array_equal(seen.geometry.boxes, measured.boxes)
        np.testing.assert_array_equal(seen.geometry.areas, measured.areas)
        np.testing.assert_allclose(seen.geometry.centroids, measured.centroids)
        self.assertEqual([cell.label for cell in seen.cells], measured.labels.tolist())
        inner, whole = seen.geometry.inner, np.asarray(seen.labels)
        np.testing.assert_array_equal(whole[inner[:, 1], inner[:, 0]], measured.labels)
        near, nearest = (
            np.hypot(*(each - measured.centroids).T) for each in (inner, measured.inner)
        )
        np.testing.assert_allclose(near, nearest)

    def test_places_that_look_like_cells_are_told_once_where_they_lie(self):
        image = scattered((301, 420), 160)
        blind = Threshold(sees=False)
        seen = see_in_windows(blind, image, UNFITTED, 97, margin=24)
        whole, count = ndimage.label(image[0])
        under = [int(whole[int(y), int(x)]) for x, y, _ in suspected(seen.peaks)]
        self.assertEqual(len(seen.cells), 0)
        self.assertGreater(len(set(under) - {0}), 0.6 * count)
        self.assertLess(len(under), 1.1 * len(set(under)))

    def test_brightness_and_diameter_are_those_of_the_whole_image(self):
        image = scattered((200, 200), 60)
        image[0, :100] //= 3  # a dim half, which is not to be stretched by itself
        eyes = Threshold()
        seen = see_in_windows(eyes, image, UNFITTED, 50, margin=24)
        self.assertEqual(len(seen.cells), ndimage.label(normalize(image)[0] > 0.5)[1])
        told = [diameter for _, diameter in eyes.seen]
        self.assertEqual(set(told[:3]), {None})  # the looks that estimate it
        self.assertEqual(set(told[3:]), {12.0})
        self.assertLessEqual(max(max(shape) for shape, _ in eyes.seen), 98)

    def test_the_margin_goes_with_the_cells_and_each_window_is_told(self):
        eyes, told = Threshold(), []
        image = scattered((300, 300), 60)
        see_in_windows(eyes, image, UNFITTED, 100, on_window=lambda: told.append(1))
        self.assertEqual(len(told), 9)
        self.assertIn(100 + 2 * 64, {shape[1] for shape, _ in eyes.seen})  # the least margin

        def stop():
            raise InterruptedError

        with self.assertRaises(InterruptedError):
            see_in_windows(eyes, image, UNFITTED, 100, on_window=stop)

    def test_without_room_for_the_label_image_it_says_so(self):
        full = OSError(28, "No space left on device")
        with (
            mock.patch("inference.windows.os.posix_fallocate", side_effect=full),
            self.assertRaisesRegex(InferenceError, "no room.*TMPDIR"),
        ):
            see_in_windows(Threshold(), scattered((100, 100), 9), UNFITTED, 64, 8)

    def test_where_room_cannot_be_made_beforehand_it_works_all_the_same(self):
        image = scattered((100, 100), 9)
        count = ndimage.label(image[0])[1]
        place = "inference.windows.os.posix_fallocate"
        for number in (errno.EOPNOTSUPP, errno.EINVAL):
            with mock.patch(place, side_effect=OSError(number, "not supported")):
                seen = see_in_windows(Threshold(), image, UNFITTED, 64, 24)
            self.assertEqual(len(seen.cells), count)
        with mock.patch(place):  # as on macOS
            del os.posix_fallocate
            self.assertEqual(len(see_in_windows(Threshold(), image, UNFITTED, 64, 24).cells), count)

    def test_another_failure_is_not_called_a_lack_of_room(self):
        denied = OSError(errno.EACCES, "Permission denied")
        with (
            mock.patch("inference.windows.os.posix_fallocate", side_effect=denied),
            self.assertRaisesRegex(InferenceError, "cannot be made in .*Permission denied"),
        ):
            see_in_windows(Threshold(), scattered((100, 100), 9), UNFITTED, 64, 8)

    def test_nothing_is_nothing(self):
        seen = see_in_windows(Threshold(), np.zeros((1, 130, 70), np.uint8), UNFITTED, 64, 8)
        self.assertEqual((len(seen.cells), seen.labels.max(), seen.labels.shape), (0, 0, (130, 70)))

    def test_a_pair_of_models_predicts_a_large_image_without_keeping_its_flows(self):
        image = draw_image("mixed", (96, 112), 3).image
        pair = Predictor(tiny_segmenter(), tiny_detector())
        whole = pair.predict(image)
        with mock.patch("inference.predictor.LARGE", 10):  # its one window is the whole image
            large = pair.predict(image)
        self.assertEqual(large.flows, b"")
        # Of many overlapping scraps, as an untrained network sees them, some may be lost.
        self.assertGreater(len(large.cells), 0.9 * len(whole.cells))
        for cell in large.cells:
            self.assertEqual(np.count_nonzero(large.labels == cell.label), cell.area)
            self.assertEqual(set(cell.probabilities), {"HEK", "N2a"})
