"""What the detector is taught: whole runs on tiny snapshots, and the rules of its targets."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import numpy as np
import torch
from torch import nn

from inference import checkpoint
from inference.detector import Detector
from inference.errors import InferenceError
from tests.training.drawn_snapshots import QUICK, TYPES, TemporaryFolder, drawn
from training.config import TrainConfig
from training.dataset import PREPARED, open_snapshot
from training.detector_learner import roughened, type_weights
from training.detector_samples import (
    FADE_CELLS,
    UNKNOWN,
    WEAK_WEIGHT,
    prepare,
    random_crop,
    target,
    weak_weight,
)
from training.detector_start import coco_state, measured_anchors, measured_scale
from training.errors import TrainingError
from training.evaluate import evaluate
from training.prepared import Store
from training.train import train


class RunTests(TemporaryFolder):
    def test_a_run_leaves_a_detector_that_detects_and_can_be_evaluated_and_tuned(self):
        snapshot = self.snapshot(
            drawn("HEK", 1),
            drawn("N2a", 2, source="prediction"),
            drawn("mixed", 3, split="validation"),
            drawn("mixed", 4, split="test"),
        )
        config = TrainConfig.for_family("detector", QUICK)
        result = train(config, snapshot, self.folder / "run")
        self.assertEqual(set(result.epochs[0].metrics) >= {"ap50", "type_accuracy"}, True)
        detector = Detector.load(self.folder / "run")
        self.assertEqual(detector.meta.types, ("HEK", "N2a"))
        self.assertEqual(len(detector.meta.calibration["temperatures"]), 2)
        figures = evaluate(self.folder / "run", snapshot, "test")
        self.assertTrue({"map", "type_accuracy_mixed", "predicted_share"} <= set(figures))
        tuned = train(config, snapshot, self.folder / "tuned", base=self.folder / "run")
        self.assertEqual(tuned.meta.lineage["start"], "base")
        self.assertEqual(tuned.meta.architecture, result.meta.architecture)

    def test_without_types_the_detector_still_learns_to_find(self):
        image = drawn("HEK", 1)
        image["cell_types"] = {}
        snapshot = self.snapshot(image, types=[], channels=["cytoplasm", "nucleus"])
        learner = self.learner(snapshot)
        loss = learner.loss(next(learner.batches(1)))
        self.assertTrue(torch.isfinite(loss))
        self.assertEqual(learner.meta().types, ())

    def test_a_batch_is_the_same_at_every_call_so_a_resumed_run_repeats_it(self):
        learner = self.learner(self.snapshot(drawn("HEK", 1), drawn("N2a", 2)))
        first, again = next(learner.batches(3)), next(learner.batches(3))
        torch.testing.assert_close(first.images, again.images)
        self.assertEqual(first.names, again.names)
        other = next(learner.batches(4))
        self.assertFalse(torch.equal(first.images[0], other.images[0]))

    def test_images_without_a_single_cell_cannot_teach(self):
        empty = {"pixels": np.ones((2, 64, 64)), "labels": np.zeros((64, 64), np.uint16)}
        with self.assertRaisesRegex(TrainingError, "has a cell"):
            self.learner(self.snapshot(empty))

    def test_an_empty_image_among_others_is_a_negative(self):
        empty = {"pixels": np.ones((2, 64, 64)), "labels": np.zeros((64, 64), np.uint16)}
        learner = self.learner(self.snapshot(drawn("HEK", 1), empty), crops_per_epoch=8)
        for batch in learner.batches(1):
            self.assertTrue(torch.isfinite(learner.loss(batch)))


class BaseTests(TemporaryFolder):
    def test_new_types_start_a_new_type_layer_and_keep_the_rest(self):
        first = self.learner(self.snapshot(drawn("HEK", 1)))
        checkpoint.save(self.folder / "base", first.model.state_dict(), first.meta())
        snapshot = self.snapshot(drawn("HEK", 1), types=["HEK", "N2a", "CHO"])
        second = self.learner(snapshot, base=self.folder / "base")
        self.assertEqual(second.meta().types, ("HEK", "N2a", "CHO"))
        before, after = first.model.state_dict(), second.model.state_dict()
        torch.testing.assert_close(before["types.stem.weight"], after["types.stem.weight"])
        self.assertEqual(after["types.name.weight"].shape[0], 3)

    def test_a_segmenter_is_no_base(self):
        meta = checkpoint.ModelMeta("segmenter", {}, ("cytoplasm", "nucleus"))
        checkpoint.save(self.folder / "base", {"a": torch.zeros(1)}, meta)
        with self.assertRaisesRegex(TrainingError, "no detector"):
            self.learner(self.snapshot(drawn()), base=self.folder / "base")

    def test_coco_weights_that_cannot_be_had_are_refused_in_words(self):
        hub, torch_dir = torch.hub.get_dir(), self.folder / "hub"
        torch.hub.set_dir(torch_dir)
        self.addCleanup(torch.hub.set_dir, hub)
        torch_dir.write_text("a file where the cache should be: no download can be stored")
        with self.assertRaisesRegex(InferenceError, "Train from scratch"):
            coco_state("resnet50_fpn_v2", 2)
        with self.assertRaisesRegex(TrainingError, "resnet50_fpn_v2 only"):
            self.learner(self.snapshot(drawn()), start="coco", backbone="small")

    def test_a_backbones_own_weights_can_be_loaded_from_a_file(self):
        first = self.learner(self.snapshot(drawn()))
        file = self.folder / "backbone.pt"
        torch.save(first.model.rcnn.backbone.state_dict(), file)
        second = self.learner(self.snapshot(drawn()), start=f"file:{file}", seed=5)
        torch.testing.assert_close(
            first.model.rcnn.backbone.state_dict(), second.model.rcnn.backbone.state_dict()
        )

    def test_a_file_of_other_weights_or_none_is_refused(self):
        file = self.folder / "other.pt"
        torch.save(nn.Linear(2, 2).state_dict(), file)
        snapshot = self.snapshot(drawn())
        with self.assertRaisesRegex(TrainingError, "fits 0 of"):
            self.learner(snapshot, start=f"file:{file}")
        file.write_text("no weights")
        with self.assertRaisesRegex(TrainingError, "cannot be read"):
            self.learner(snapshot, start=f"file:{file}")
        with self.assertRaisesRegex(TrainingError, "vit"):
            self.learner(snapshot, backbone="vit")


class SampleTests(TemporaryFolder):
    def prepared(self, **fields):
        snapshot = open_snapshot(self.snapshot(drawn("mixed", 5, **fields)))
        store = Store(snapshot.folder / PREPARED, snapshot.folder / PREPARED)
        return prepare(snapshot.images[0], TYPES, store)

    def test_cells_of_unknown_type_teach_shape_and_not_type(self):
        untyped = self.prepared(cell_types={"1": "HEK"})
        self.assertEqual(untyped.types[1], 0)
        self.assertTrue((untyped.types[2:] == UNKNOWN).all())
        learner = self.learner(self.snapshot(drawn("mixed", 5, cell_types={})))
        batch = next(learner.batches(1))
        learner.loss(batch).backward()
        gradients = [p.grad for p in learner.model.types.parameters()]
        self.assertTrue(all(g is None or not g.any() for g in gradients))
        self.assertTrue(learner.model.rcnn.roi_heads.mask_head[0][0].weight.grad.any())

    def test_predicted_labels_weigh_less_than_corrected_ones(self):
        self.assertEqual(self.prepared().weight, 1.0)
        self.assertEqual(self.prepared(source="prediction").weight, WEAK_WEIGHT)
        self.assertEqual(self.prepared(source="prediction", weight=0.5).weight, WEAK_WEIGHT / 2)

    def test_predicted_labels_fade_as_people_type_cells(self):
        def weight(typed):
            types = {str(label): "HEK" for label in range(1, typed + 1)}
            corrected = drawn("mixed", 5, cell_types=types)
            predicted = drawn("HEK", 6, source="prediction")
            images = open_snapshot(self.snapshot(corrected, predicted)).images
            return weak_weight(images)

        self.assertEqual(weight(0), WEAK_WEIGHT)
        self.assertAlmostEqual(weight(FADE_CELLS), WEAK_WEIGHT / 2)
        types = {str(label): "HEK" for label in range(1, FADE_CELLS + 1)}
        many = [drawn("HEK", seed, source="prediction") for seed in range(6, 18)]
        corrected = drawn("mixed", 5, cell_types=types)
        few = open_snapshot(self.snapshot(corrected, *many)).images
        self.assertAlmostEqual(12 * weak_weight(few), 1.0)  # half of what is shown
        held = drawn("mixed", 7, split="validation")
        predicted = drawn("HEK", 6, source="prediction")
        learner = self.learner(self.snapshot(drawn("mixed", 5), predicted, held))
        first, second = (sample.weight for sample in learner.samples)
        self.assertEqual(first, 1.0)
        self.assertLess(second, WEAK_WEIGHT)

    def test_nothing_outside_complete_windows_is_ever_shown(self):
        sample = self.prepared(complete_regions=[[10, 20, 70, 80], [70, 65, 128, 500]])
        bright = sample.planes.copy()
        for x0, y0, x1, y1 in sample.regions:
            bright[:, y0:y1, x0:x1] = 0
        np.save(self.folder / "bright.npy", bright * 1000)
        hidden = replace(sample, planes_file=self.folder / "bright.npy")
        rng = np.random.default_rng(0)
        for _ in range(20):
            image, _ = random_crop(hidden, 1.0, 64, rng)
            self.assertLess(float(image.abs().max()), 5.0)

    def test_boxes_masks_and_centres_fit_the_labels(self):
        labels = np.zeros((40, 50), np.int64)
        labels[10:20, 5:25] = 3
        labels[0, 0:9] = 1  # a sliver
        made = target(labels, np.array([UNKNOWN, 0, 0, 1]))
        self.assertEqual(made["boxes"].tolist(), [[5, 10, 25, 20]])
        self.assertEqual(made["types"].tolist(), [1])
        self.assertEqual(made["centres"].tolist(), [[15, 15]])
        self.assertEqual(int(made["masks"].sum()), 200)

    def test_the_window_that_is_read_for_a_crop_holds_all_that_it_shows(self):
        sample = self.prepared(complete_regions=[[10, 20, 90, 90]])
        for seed in range(20):
            image, made = random_crop(sample, 1.3, 32, np.random.default_rng(seed))
            with mock.patch("training.detector_samples._seen", lambda matrix, side, region: region):
                whole, expected = random_crop(sample, 1.3, 32, np.random.default_rng(seed))
            torch.testing.assert_close(image, whole, atol=2e-3, rtol=0)
            self.assertTrue(torch.equal(made["owners"], expected["owners"]))

    def test_crops_keep_a_cells_size_at_the_zoom_asked_for(self):
        sample = self.prepared()
        whole = float((sample.labels > 0).mean())
        rng = np.random.default_rng(1)
        areas = [
            random_crop(sample, 0.5, 64, rng)[1]["masks"].sum().item() / 64**2 for _ in range(30)
        ]
        self.assertAlmostEqual(float(np.mean(areas)), whole, delta=0.35 * whole)


class MeasureTests(TemporaryFolder):
    def samples(self, *images):
        opened = open_snapshot(self.snapshot(*images))
        store = Store(opened.folder / PREPARED, opened.folder / PREPARED)
        return [prepare(image, TYPES, store) for image in opened.images]

    def test_images_of_one_magnification_are_scaled_alike_and_of_many_each_on_its_own(self):
        alike = self.samples(drawn("HEK", 1), drawn("N2a", 2))
        self.assertEqual(measured_scale(alike)["scaling"], "data")
        large = drawn("HEK", 1)
        large["pixels"] = np.kron(large["pixels"], np.ones((1, 3, 3), np.uint16))
        large["labels"] = np.kron(large["labels"], np.ones((3, 3), np.uint16))
        self.assertEqual(measured_scale(self.samples(drawn("HEK", 1), large))["scaling"], "image")

    def test_anchors_grow_from_map_to_map_and_follow_the_cells_slenderness(self):
        square = np.zeros((90, 90), np.uint16)
        square[10:30, 10:30] = 1
        flat = np.zeros((90, 90), np.uint16)
        flat[10:20, 10:60] = 1
        pixels = np.random.default_rng(0).normal(size=(2, 90, 90))
        made = [self.samples({"pixels": pixels, "labels": labels})[0] for labels in (square, flat)]
        for sample, slender in zip(made, (1.4, 4.0), strict=True):
            anchors = measured_anchors([sample], measured_scale([sample]), 3)
            self.assertEqual(len(anchors["sizes"]), 3)
            self.assertEqual(anchors["sizes"], sorted(anchors["sizes"]))
            self.assertAlmostEqual(anchors["ratios"][-1], slender, places=2)

    def test_rare_types_weigh_more_and_at_most_tenfold(self):
        samples = self.samples(drawn("HEK", 1), drawn("HEK", 2), drawn("mixed", 3))
        hek, n2a = type_weights(samples, 2).tolist()
        self.assertGreater(n2a, 1.9 * hek)
        hek, n2a = type_weights(self.samples(drawn("HEK", 1, (256, 256))), 2).tolist()
        self.assertAlmostEqual(n2a / hek, 10.0, places=3)

    def test_roughened_masks_stay_masks_and_never_vanish(self):
        places = torch.zeros(2, 2, 64, 64)
        places[:, 1] = 1
        places[0, 0, 20:40, 20:40] = 1
        places[1, 0, 30:32, 10:50] = 1  # thinner than any opening
        torch.manual_seed(0)
        for _ in range(40):
            masks = roughened(places)[:, :1]
            self.assertEqual(set(masks.unique().tolist()) - {0.0, 1.0}, set())
            self.assertGreater(float(masks[0].sum()), 200)


def shapes(seed, kinds):
    """Touching disks and bars of one brightness on a grid, each of a kind drawn from ``kinds``."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((96, 96), np.uint16)
    y, x = np.mgrid[:24, :24] - 11.5
    types = {}
    for label in range(1, 17):
        row, column = 24 * ((label - 1) // 4), 24 * ((label - 1) % 4)
        types[label] = str(rng.choice(kinds))
        if types[label] == "HEK":
            mask = x**2 + y**2 < rng.uniform(7, 11) ** 2
        else:
            turn = rng.uniform(0, np.pi)
            across = x * np.sin(turn) - y * np.cos(turn)
            mask = (abs(across) < rng.uniform(2, 4)) & (x**2 + y**2 < 12**2)
        labels[row : row + 24, column : column + 24][mask] = label
    light = np.where(labels > 0, 500, 100) + rng.normal(0, 30, (2, 96, 96))
    return light.clip(0).astype(np.uint16), labels, types


class CalibrationTests(TemporaryFolder):
    def test_weights_that_take_the_place_of_damaged_ones_bring_their_calibration(self):
        snapshot = self.snapshot(drawn("HEK", 1), drawn("mixed", 2, split="validation"))
        config = TrainConfig.for_family("detector", QUICK | {"epochs": 2})
        run = self.folder / "run"
        first = train(config, snapshot, run)
        self.assertEqual(len(first.meta.calibration["temperatures"]), 2)
        self.assertEqual(checkpoint.load_meta(run), first.meta)
        again = train(config, snapshot, run)
        self.assertEqual(again.meta, first.meta)
        weights = run / checkpoint.WEIGHTS
        weights.write_bytes(weights.read_bytes()[:-100])
        with self.assertLogs("training.engine", "WARNING"):
            mended = train(config, snapshot, run)
        self.assertEqual(mended.best_epoch, 2)
        self.assertEqual(checkpoint.load_meta(run), mended.meta)
        self.assertEqual(len(mended.meta.calibration["temperatures"]), 2)


class LearningTests(TemporaryFolder):
    def test_single_type_cultures_alone_teach_the_types_of_a_mixed_one(self):
        images = []
        for seed in range(6):
            pixels, labels, types = shapes(seed, [TYPES[seed % 2]])
            cell_types = {str(label): name for label, name in types.items()}
            images.append({"pixels": pixels, "labels": labels, "cell_types": cell_types})
        torch.manual_seed(0)
        learner = self.learner(self.snapshot(*images), crops_per_epoch=60)
        head = learner.model.types
        optimizer = torch.optim.AdamW(head.parameters(), lr=2e-3)
        for batch in learner.batches(1):
            loss = learner._type_loss(batch.images, batch.targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        detector = Detector(learner.model, learner.meta(), torch.device("cpu"))
        right = []
        for seed in range(3):
            pixels, labels, types = shapes(100 + seed, TYPES)
            ids, probabilities = detector.classify(pixels, labels)
            named = probabilities.argmax(axis=1)
            right += [TYPES[n] == types[i] for i, n in zip(ids, named, strict=True)]
        self.assertGreater(np.mean(right), 0.85)
