"""The detector's geometry by arithmetic, and what it does with odd images and folders."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torchvision.models.detection.roi_heads import project_masks_on_boxes

from inference import checkpoint
from inference.checkpoint import ModelMeta
from inference.detector import (
    MARGIN,
    TILE,
    BoxMask,
    Detections,
    Detector,
    _spans,
    cell_centres,
    paste,
)
from inference.detector_network import DetectorNetwork
from inference.devices import fast_in_bfloat16
from inference.errors import InferenceError
from inference.labels import cell_geometry
from inference.normalize import normalize
from training.synthetic import draw_image

TINY = {
    "name": "mask_rcnn",
    "backbone": "small",
    "width": 8,
    "anchors": {"sizes": [16, 24, 40], "ratios": [0.5, 1.0, 2.0]},
    "detections": 50,
}


def tiny_meta(channels=("cytoplasm", "nucleus"), types=("HEK", "N2a"), **fields):
    return ModelMeta("detector", TINY, channels, types, diameter=27.0, **fields)


def tiny_detector(**fields):
    """An untrained detector: it answers at random, but it answers."""
    torch.manual_seed(0)
    meta = tiny_meta(**fields)
    network = DetectorNetwork(TINY, len(meta.channels), len(meta.types))
    return Detector(network, meta, torch.device("cpu"))


def square(x0, y0, side, score):
    return BoxMask(x0, y0, np.ones((side, side), bool)), score


def detections(*cells):
    boxes = [[m.x0, m.y0, m.x0 + m.mask.shape[1], m.y0 + m.mask.shape[0]] for m, _ in cells]
    scores = np.array([score for _, score in cells], np.float32)
    return Detections(np.array(boxes, np.float32), scores, [m for m, _ in cells])


class DeviceTests(unittest.TestCase):
    def test_both_models_ask_the_same_of_the_processor(self):
        for answer in (True, False):
            with mock.patch.object(torch.cpu, "_is_avx512_bf16_supported", lambda a=answer: a):
                wanted = fast_in_bfloat16(torch.device("cpu"))
                self.assertEqual(tiny_detector().half, wanted)

    def test_apples_gpus_get_no_double_floats_and_others_the_usual_ones(self):
        geometry = cell_geometry(draw_image("mixed", (96, 112), 3).labels)
        for name, kind in (("mps", np.float32), ("cpu", np.float64), ("cuda", np.float64)):
            centres = cell_centres(geometry, torch.device(name))
            self.assertEqual(centres.dtype, kind)
            np.testing.assert_allclose(centres, geometry.centroids + 0.5, rtol=1e-6)


class LabelTests(unittest.TestCase):
    def test_where_masks_overlap_the_higher_score_wins(self):
        labels, kept = detections(square(0, 0, 10, 0.6), square(6, 0, 10, 0.9)).to_labels((12, 20))
        self.assertEqual(kept.tolist(), [1, 0])
        self.assertEqual((labels == 1).sum(), 100)
        self.assertEqual((labels == 2).sum(), 60)

    def test_a_second_sight_of_the_same_cell_is_left_out(self):
        _, kept = detections(square(0, 0, 10, 0.9), square(2, 2, 10, 0.8)).to_labels((20, 20))
        self.assertEqual(kept.tolist(), [0])

    def test_a_cell_cut_in_two_by_another_keeps_its_larger_piece(self):
        long = BoxMask(0, 4, np.ones((3, 20), bool)), 0.5
        labels, _ = detections(long, square(6, 2, 6, 0.9)).to_labels((12, 20))
        ys, xs = np.nonzero(labels == 2)
        self.assertEqual((xs.min(), xs.max(), len(ys)), (12, 19, 24))

    def test_no_detection_gives_an_empty_label_image(self):
        empty = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), [])
        labels, kept = empty.to_labels((5, 7))
        self.assertEqual((labels.shape, labels.max(), kept.size), ((5, 7), 0, 0))


class PasteTests(unittest.TestCase):
    def test_a_full_mask_fills_its_box_exactly(self):
        pasted = paste(
            np.ones((28, 28), np.float32), np.array([3, 5, 23, 45], np.float32), (50, 50)
        )
        self.assertEqual((pasted.x0, pasted.y0, pasted.mask.shape), (3, 5, (40, 20)))
        self.assertTrue(pasted.mask.all())

    def test_half_a_mask_fills_half_its_box(self):
        soft = np.zeros((28, 28), np.float32)
        soft[:, :14] = 1
        pasted = paste(soft, np.array([0, 0, 56, 28], np.float32), (60, 60))
        self.assertTrue(pasted.mask[:, :28].all())
        self.assertFalse(pasted.mask[:, 29:].any())

    def test_what_the_training_is_shown_comes_back_where_it_was(self):
        y, x = np.mgrid[:80, :90]
        for cy, cx, ry, rx in ((30.3, 40.7, 12, 20), (25.5, 60.1, 9, 8), (50.2, 30.9, 22, 15)):
            cell = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
            box = cell_geometry(cell.astype(np.uint8)).boxes.astype(np.float32)
            shown = project_masks_on_boxes(
                torch.from_numpy(cell[None].astype(np.float32)),
                torch.from_numpy(box),
                torch.zeros(1, dtype=torch.int64),
                28,
            )
            pasted = paste(shown[0].numpy(), box[0], cell.shape)
            drawn = np.zeros(cell.shape, bool)
            drawn[pasted.place] = pasted.mask
            self.assertGreater((drawn & cell).sum() / (drawn | cell).sum(), 0.96)
            for axis in (0, 1):
                off = np.nonzero(drawn)[axis].mean() - np.nonzero(cell)[axis].mean()
                self.assertLess(abs(off), 0.15)

    def test_a_box_beyond_the_image_is_cut_at_its_edge(self):
        box = np.array([-10, -10, 10, 30], np.float32)
        pasted = paste(np.ones((28, 28), np.float32), box, (20, 20))
        self.assertEqual((pasted.x0, pasted.y0, pasted.mask.shape), (0, 0, (20, 10)))


class TileTests(unittest.TestCase):
    def test_every_point_of_a_long_axis_is_one_tiles_own_and_seen_with_its_surroundings(self):
        length = 5 * TILE // 2
        spans = list(_spans(length))
        self.assertGreater(len(spans), 2)
        for point in np.linspace(0, length, 400):
            own = [span for span in spans if span[2] <= point < span[3]]
            self.assertEqual(len(own), 1)
            start, stop = own[0][:2]
            self.assertTrue(start <= max(0, point - MARGIN))
            self.assertTrue(stop >= min(length, point + MARGIN))

    def test_a_small_image_is_one_tile(self):
        self.assertEqual(list(_spans(300)), [(0, 300, -np.inf, np.inf)])


class DetectorTests(unittest.TestCase):
    def test_cells_lie_within_the_image(self):
        drawn = draw_image("mixed", (100, 140), 1)
        found = tiny_detector().detect(drawn.image)
        labels, kept = found.to_labels((100, 140))
        self.assertEqual(labels.max(), len(kept))
        for mask in found.masks:
            self.assertTrue(mask.x0 >= 0 and mask.x0 + mask.mask.shape[1] <= 140)
            self.assertTrue(mask.y0 >= 0 and mask.y0 + mask.mask.shape[0] <= 100)

    def test_given_instances_are_named_one_by_one_in_order_of_their_ids(self):
        drawn = draw_image("mixed", (100, 140), 1)
        ids, probabilities = tiny_detector().classify(drawn.image, drawn.labels * 3)
        self.assertEqual(ids.tolist(), [3 * label for label in sorted(drawn.types)])
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)

    def test_a_type_depends_on_the_cells_own_pixels_and_not_on_its_stain_strength(self):
        drawn = draw_image("mixed", (100, 140), 1)
        detector = tiny_detector()
        _, before = detector.classify(drawn.image, drawn.labels)
        _, stronger = detector.classify(drawn.image.astype(np.float32) * 7 + 100, drawn.labels)
        np.testing.assert_allclose(before, stronger, atol=0.02)
        other = np.where(drawn.labels > 1, drawn.image[:, ::-1], drawn.image)
        _, among_others = detector.classify(other, drawn.labels)
        np.testing.assert_allclose(among_others[0], before[0], atol=0.02)
        self.assertGreater(np.abs(among_others[1:] - before[1:]).max(), 0.02)

    def test_flat_and_tiny_images_have_no_cells_or_few_but_raise_nothing(self):
        detector = tiny_detector()
        for shape in ((2, 64, 64), (2, 5, 3), (2, 1, 1)):
            found = detector.detect(np.zeros(shape, np.uint16))
            self.assertEqual(found.boxes.shape[1], 4)
        ids, probabilities = detector.classify(
            np.zeros((2, 9, 9), np.uint8), np.zeros((9, 9), np.uint16)
        )
        self.assertEqual((ids.size, probabilities.shape), (0, (0, 2)))

    def test_without_a_hint_a_detector_of_many_magnifications_measures_the_cells_itself(self):
        many = tiny_detector(settings={"data_diameter": 30.0, "scaling": "image"})
        image = draw_image("HEK", (96, 96), 2).image
        measured = many.estimate_diameter(normalize(image))
        by_itself, hinted = many.detect(image), many.detect(image, measured)
        np.testing.assert_allclose(by_itself.boxes, hinted.boxes)

    def test_one_channel_and_no_types_work_too(self):
        image = draw_image("HEK", (64, 64), 2).image[:1]
        detector = tiny_detector(channels=("nucleus",), types=())
        self.assertEqual(detector.detect(image).boxes.shape[1], 4)
        labels = np.ones((64, 64), np.uint16)
        self.assertEqual(detector.classify(image, labels)[1].shape, (1, 0))

    def test_an_image_of_other_channels_is_refused(self):
        with self.assertRaisesRegex(InferenceError, "2 channels"):
            tiny_detector().detect(np.zeros((3, 20, 20)))

    def test_all_images_are_scaled_alike_unless_the_training_saw_many_magnifications(self):
        alike = tiny_detector(settings={"data_diameter": 54.0, "scaling": "data"})
        self.assertEqual(alike.zoom(10.0), 0.5)
        own = tiny_detector(settings={"data_diameter": 54.0, "scaling": "image"})
        self.assertEqual(own.zoom(13.5), 2.0)
        self.assertEqual(own.zoom(), 0.5)
        fixed = tiny_detector(settings={"scaling": "image"}, fixed_diameter=9.0)
        self.assertEqual(fixed.zoom(13.5), 3.0)


class FolderTests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_a_saved_detector_answers_as_before(self):
        detector = tiny_detector(calibration={"temperatures": [2.0, 0.5]})
        checkpoint.save(self.folder, detector.network.state_dict(), detector.meta)
        loaded = Detector.load(self.folder, "cpu")
        drawn = draw_image("mixed", (80, 80), 1)
        _, before = detector.classify(drawn.image, drawn.labels)
        _, after = loaded.classify(drawn.image, drawn.labels)
        np.testing.assert_array_equal(before, after)
        self.assertEqual(loaded.meta, detector.meta)

    def test_a_segmenters_folder_is_refused(self):
        meta = ModelMeta("segmenter", {}, ("nucleus",))
        checkpoint.save(self.folder, {"a": torch.zeros(1)}, meta)
        with self.assertRaisesRegex(InferenceError, "not a detector"):
            Detector.load(self.folder)

    def test_weights_of_another_architecture_are_refused(self):
        checkpoint.save(self.folder, {"a": torch.zeros(1)}, tiny_meta())
        with self.assertRaisesRegex(InferenceError, "do not fit"):
            Detector.load(self.folder)

    def test_an_unknown_backbone_is_refused_by_name(self):
        with self.assertRaisesRegex(InferenceError, "vit"):
            DetectorNetwork({**TINY, "backbone": "vit"}, 2, 2)

    def test_the_large_backbone_takes_the_tensors_of_torchvisions_own(self):
        from torchvision.models.detection import maskrcnn_resnet50_fpn_v2

        theirs = maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None).state_dict()
        anchors = {"sizes": [16, 24, 32, 48], "ratios": [0.5, 1.0, 2.0]}
        network = DetectorNetwork(
            {"backbone": "resnet50_fpn_v2", "norm": "frozen", "anchors": anchors}, 3, 2
        )
        ours = network.rcnn.state_dict()
        # Everything but the class-dependent last layers.
        different = {
            name for name in ours if name not in theirs or ours[name].shape != theirs[name].shape
        }
        self.assertTrue(all("predictor" in name for name in different), different)
