"""The segmenter on real arrays, against cellpose where the diameter is given."""

from __future__ import annotations

import logging
import tempfile
import unittest
import warnings
from pathlib import Path

import numpy as np
import torch
from cellpose.models import CellposeModel
from cellpose.resnet_torch import CPnet

from inference import checkpoint
from inference.checkpoint import ModelMeta
from inference.errors import InferenceError
from inference.segmenter import Segmenter, SegmenterSettings, build_net

NBASE = [2, 4, 8, 8, 8]
SMALL = {"name": "cpnet", "nbase": NBASE}


def disks(shape=(90, 120), radius=8, dtype=np.uint16):
    """Bright disks on a noisy ground."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.random.default_rng(0).normal(100, 5, shape)
    for cy in range(15, shape[0], 24):
        for cx in range(15, shape[1], 24):
            image += 150.0 * ((y - cy) ** 2 + (x - cx) ** 2 <= radius**2)
    return image.astype(dtype)


def small_segmenter(channels=("nucleus",), **meta):
    torch.manual_seed(0)
    state = build_net(SMALL).state_dict()
    return Segmenter(state, ModelMeta("segmenter", SMALL, channels, **meta), device="cpu")


class AgainstCellposeTest(unittest.TestCase):
    """The peer runs the same random weights (full width: cellpose knows no other)."""

    @classmethod
    def setUpClass(cls):
        logging.getLogger("cellpose").setLevel(logging.ERROR)
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.file = Path(folder.name) / "model"
        torch.manual_seed(2)
        torch.save(CPnet([2, 32, 64, 128, 256], nout=3, sz=3).state_dict(), cls.file)
        cls.peer = CellposeModel(gpu=False, pretrained_model=str(cls.file))

    def compare(self, image, channels, roles, diameter):
        state, meta = checkpoint.import_cellpose(self.file, roles, fixed_diameter=diameter)
        ours = Segmenter(state, meta, device="cpu").segment(image)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, (_, flows, cellprob), style = self.peer.eval(
                image if len(image) > 1 else image[0],
                diameter=diameter,
                channels=channels,
                channel_axis=0 if len(image) > 1 else None,
            )
        self.assertEqual(ours.diameter, diameter)
        np.testing.assert_allclose(ours.flows, flows, atol=2e-3)
        np.testing.assert_allclose(ours.cellprob, cellprob, atol=2e-3)
        np.testing.assert_allclose(ours.style, style, atol=1e-3)

    def test_one_channel_8_bit_at_the_networks_own_diameter(self):
        self.compare(disks(dtype=np.uint8)[None], [0, 0], ("nucleus",), 30.0)

    def test_two_channels_16_bit_enlarged_over_several_tiles(self):
        image = np.stack([disks((130, 170)), disks((130, 170), radius=4)])
        self.compare(image, [1, 2], ("cytoplasm", "nucleus"), 13.0)

    def test_floats_shrunk(self):
        self.compare(disks(dtype=np.float32)[None] / 300, [0, 0], ("nucleus",), 47.0)


class OddImagesTest(unittest.TestCase):
    def test_empty_constant_and_tiny_images_hold_no_cells(self):
        segmenter = small_segmenter(fixed_diameter=30.0)
        for shape in ((1, 0, 0), (1, 0, 40), (1, 1, 1), (1, 2, 300), (1, 64, 64)):
            for value in (0, 7):
                image = np.full(shape, value, np.uint16)
                result = segmenter.segment(image)
                with self.subTest(shape=shape, value=value):
                    self.assertEqual(result.labels.shape, shape[1:])
                    self.assertEqual(result.cellprob.shape, shape[1:])
                    self.assertEqual(result.flows.shape, (2, *shape[1:]))

    def test_without_a_diameter_odd_images_do_not_fail_either(self):
        segmenter = small_segmenter()
        for shape in ((1, 1, 1), (1, 3, 50), (1, 60, 40)):
            result = segmenter.segment(np.zeros(shape, np.float32))
            self.assertEqual(result.labels.max(), 0)
            self.assertEqual(result.diameter, 30.0)

    def test_a_network_in_doubt_stays_near_the_cells_it_learnt_from(self):
        # These random weights find specks, and without bounds enlarge the image sixfold.
        torch.manual_seed(5)
        state = build_net(SMALL).state_dict()
        learnt = {"training_diameters": {"median": 50.0, "low": 40.0, "high": 60.0}}
        found = {}
        for name, settings in (("free", {}), ("learnt", learnt)):
            meta = ModelMeta("segmenter", SMALL, ("nucleus",), settings=settings)
            found[name] = Segmenter(state, meta, device="cpu").segment(disks()[None]).diameter
        self.assertEqual(found, {"free": 5.0, "learnt": 20.0})

    def test_values_that_are_not_finite_are_refused(self):
        for value in (np.nan, np.inf, -np.inf):
            image = disks(dtype=np.float32)
            image[9, 9] = value
            with self.assertRaisesRegex(InferenceError, "NaN or infinite"):
                small_segmenter(fixed_diameter=16.0).segment(image[None])

    def test_the_kind_of_number_does_not_change_the_result(self):
        segmenter = small_segmenter(fixed_diameter=20.0)
        image = disks(dtype=np.uint8)
        first = segmenter.segment(image[None]).cellprob
        for other in (image.astype(np.uint16) * 200, image.astype(np.float64) / 1e6):
            np.testing.assert_allclose(segmenter.segment(other[None]).cellprob, first, atol=1e-3)

    def test_it_rejects_a_diameter_that_would_blow_the_image_up(self):
        with self.assertRaisesRegex(InferenceError, "0.5 px is too small"):
            small_segmenter().segment(
                np.ones((1, 64, 64), np.uint8), SegmenterSettings(diameter=0.5)
            )

    def test_it_rejects_images_of_other_channels_and_odd_arrays(self):
        segmenter = small_segmenter()
        with self.assertRaisesRegex(InferenceError, "1 channels .nucleus.; the image has 2"):
            segmenter.segment(np.zeros((2, 9, 9), np.uint8))
        with self.assertRaisesRegex(InferenceError, "real-valued"):
            segmenter.segment(np.zeros((1, 9, 9), np.complex64))


class LoadingTest(unittest.TestCase):
    def test_a_saved_segmenter_says_the_same_again(self):
        segmenter = small_segmenter(("cytoplasm", "nucleus"), fixed_diameter=24.0)
        image = np.stack([disks(), disks(radius=3)])
        with tempfile.TemporaryDirectory() as folder:
            checkpoint.save(Path(folder), segmenter.net.state_dict(), segmenter.meta)
            again = Segmenter.load(Path(folder), device="cpu")
        np.testing.assert_array_equal(
            again.segment(image).cellprob, segmenter.segment(image).cellprob
        )

    def test_it_rejects_a_detector_and_weights_of_another_width(self):
        state = build_net({"nbase": [2, 8, 8, 8, 8]}).state_dict()
        with self.assertRaisesRegex(InferenceError, "do not fit"):
            Segmenter(state, ModelMeta("segmenter", SMALL, ("nucleus",)), device="cpu")
        with self.assertRaisesRegex(InferenceError, "is a detector"):
            Segmenter(state, ModelMeta("detector", SMALL, ("nucleus",)), device="cpu")

    def test_a_given_diameter_beats_the_fixed_one(self):
        result = small_segmenter(fixed_diameter=30.0).segment(
            disks()[None], SegmenterSettings(diameter=15.0)
        )
        self.assertEqual(result.diameter, 15.0)
