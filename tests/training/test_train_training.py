"""Runs of the segmenter's training: they learn, stop, resume, and refuse what cannot work."""

from __future__ import annotations

import itertools
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from inference import checkpoint
from inference.files import file_sha256
from inference.flows import masks_to_flows
from inference.segmenter import Segmenter
from tests.training.snapshots import disks, write_disks, write_snapshot
from training.batches import prefetch
from training.config import TrainConfig
from training.dataset import PREPARED, open_snapshot
from training.errors import Cancelled, TrainingError
from training.evaluate import evaluate
from training.kept import BAD_BATCH, CHECKPOINT
from training.prepared import Store
from training.rates import learning_rate
from training.samples import prepare
from training.segmenter_learner import SegmenterLearner
from training.train import train
from training.transforms import View, cut

QUICK = {
    "width": 4,
    "crop": 64,
    "batch_size": 2,
    "crops_per_epoch": 4,
    "epochs": 3,
    "device": "cpu",
}


class TrainTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.run_folder = self.folder / "run"

    def config(self, **overrides):
        return TrainConfig.for_family("segmenter", QUICK | overrides)

    def snapshot(self, splits=("train", "train", "validation")):
        folder = self.folder / "snapshot"
        return folder if folder.exists() else write_disks(folder, list(splits))


class LearningTest(TrainTest):
    def test_a_short_run_from_scratch_finds_most_disks(self):
        snapshot = self.snapshot(["train"] * 3 + ["validation", "test"])
        config = self.config(
            width=8, crops_per_epoch=32, batch_size=4, epochs=8, learning_rate=5e-3, ema=0.9
        )
        reports = []
        result = train(config, snapshot, self.run_folder, on_epoch=reports.append)
        self.assertEqual(result.epochs, reports)
        self.assertLess(reports[-1].train_loss, 0.6 * reports[0].train_loss)
        figures = evaluate(self.run_folder, snapshot, "test")
        self.assertEqual(figures["images"], 1)
        self.assertGreater(figures["ap50"], 0.5)

    def test_the_run_folder_holds_the_best_epochs_weights_and_the_curve(self):
        result = train(self.config(), self.snapshot(), self.run_folder)
        rows = [
            json.loads(r) for r in (self.run_folder / "metrics.jsonl").read_text().split("\n") if r
        ]
        self.assertEqual([row["epoch"] for row in rows], [1, 2, 3])
        self.assertEqual(rows[-1]["seconds_left"], 0.0)
        self.assertIn(result.best_epoch, (1, 2, 3))
        meta = Segmenter.load(self.run_folder).meta
        self.assertEqual(meta, result.meta)
        self.assertEqual(meta.channels, ("nucleus",))
        self.assertEqual(meta.lineage["snapshot"], "h1")
        self.assertAlmostEqual(meta.settings["training_diameters"]["median"], 18, delta=1)
        self.assertFalse(meta.settings["validation"]["held_out_of_training"])

    def test_without_validation_images_some_are_held_out_and_meta_says_so(self):
        result = train(self.config(epochs=1), self.snapshot(["train"] * 4), self.run_folder)
        said = result.meta.settings["validation"]
        self.assertTrue(said["held_out_of_training"])
        self.assertEqual(len(said["images"]), 1)

    def test_fine_tuning_starts_from_the_base_and_names_it(self):
        first = train(self.config(), self.snapshot(), self.run_folder)
        config = self.config(epochs=1, learning_rate=1e-9, ema=0.0)
        tuned = train(config, self.snapshot(), self.folder / "second", base=first.folder)
        before, after = checkpoint.load(first.folder)[0], checkpoint.load(tuned.folder)[0]
        name = "downsample.down.res_down_1.conv.conv_0.2.weight"
        torch.testing.assert_close(before[name], after[name], atol=1e-4, rtol=1e-3)
        self.assertEqual(tuned.meta.lineage["start"], "base")
        digest = file_sha256(first.folder / "weights.safetensors")
        self.assertEqual(tuned.meta.lineage["base"], digest)


class StoppingTest(TrainTest):
    def stopped_after(self, epochs, config):
        """A run that is told to stop in the epoch after these."""
        seen, asked = [], itertools.count()

        def should_stop():
            return len(seen) >= epochs and next(asked) > 20  # in the middle of its first batch

        train(config, self.snapshot(), self.run_folder, None, seen.append, should_stop)

    def test_a_cancelled_run_keeps_whole_epochs_and_goes_on_from_there(self):
        with self.assertRaises(Cancelled):
            self.stopped_after(2, self.config())
        seen = []
        train(self.config(), self.snapshot(), self.run_folder, on_epoch=seen.append)
        self.assertEqual([report.epoch for report in seen], [3])

    def test_a_resumed_run_follows_the_curve_of_an_unbroken_one(self):
        config = self.config(precision="float32")
        with self.assertRaises(Cancelled):
            self.stopped_after(2, config)
        broken = train(config, self.snapshot(), self.run_folder)
        whole = train(config, self.snapshot(), self.folder / "whole")
        for one, other in zip(broken.epochs, whole.epochs, strict=True):
            self.assertAlmostEqual(one.train_loss, other.train_loss, delta=0.01)
            self.assertAlmostEqual(one.validation_loss, other.validation_loss, delta=0.01)

    def test_a_finished_run_is_not_trained_again(self):
        first = train(self.config(), self.snapshot(), self.run_folder)
        seen = []
        again = train(self.config(), self.snapshot(), self.run_folder, on_epoch=seen.append)
        self.assertEqual((seen, again.best_epoch), ([], first.best_epoch))
        self.assertEqual(again.epochs, first.epochs)

    def test_minutes_bound_the_run(self):
        config = self.config(epochs=1000, minutes=0.05)
        result = train(config, self.snapshot(), self.run_folder)
        self.assertLess(len(result.epochs), 1000)
        self.assertEqual(result.epochs[-1].seconds_left, 0.0)
        self.assertLess(sum(report.seconds for report in result.epochs), 10)

    def test_the_rate_rises_then_falls_to_zero_with_progress(self):
        config = self.config(learning_rate=1e-3).settled(False)
        rates = [learning_rate(config, p) for p in (0.0, config.warmup, 0.5, 1.0)]
        self.assertLess(rates[0], 1e-4)
        self.assertAlmostEqual(rates[1], 1e-3)
        self.assertLess(rates[2], 1e-3)
        self.assertAlmostEqual(rates[3], 0.0)

    def test_an_error_in_the_loader_thread_reaches_the_caller(self):
        def broken():
            yield 1
            raise TrainingError("no such file")

        batches = prefetch(broken())
        self.assertEqual(next(batches), 1)
        with self.assertRaisesRegex(TrainingError, "no such file"):
            next(batches)


class RefusalTest(TrainTest):
    def test_it_rejects_a_run_folder_of_another_run(self):
        train(self.config(epochs=1), self.snapshot(), self.run_folder)
        with self.assertRaisesRegex(TrainingError, "another run"):
            train(self.config(epochs=2), self.snapshot(), self.run_folder)

    def test_another_machines_paths_and_an_older_releases_settings_are_no_other_run(self):
        snapshot = self.snapshot()
        train(self.config(epochs=1), snapshot, self.run_folder)
        file = self.run_folder / CHECKPOINT
        state = torch.load(file, weights_only=True)
        state["config"] |= {"weights_cache": "/elsewhere", "device": "cuda:7"}
        del state["config"]["clip"]  # at its default here
        lineage = json.loads(state["lineage"])
        lineage["config"] |= {"prepared": "/elsewhere"}
        del lineage["config"]["clip"]
        state["lineage"] = json.dumps(lineage)
        torch.save(state, file)
        train(self.config(epochs=1), snapshot, self.run_folder)
        state["config"]["seed"] = 12345
        torch.save(state, file)
        with self.assertRaisesRegex(TrainingError, "start a new run"):
            train(self.config(epochs=1), snapshot, self.run_folder)

    def test_a_run_that_needs_more_memory_than_there_is_says_what_to_lower(self):
        config = self.config(batch_size=1024, crop=4096, width=1024)
        with self.assertRaisesRegex(TrainingError, r"needs about \d+ GB .* lower batch_size"):
            train(config, self.snapshot(), self.run_folder)

    def test_it_rejects_snapshots_without_labels_or_without_cells(self):
        pixels, labels = disks(0)
        empty = write_snapshot(self.folder / "a", [{"pixels": pixels}])
        with self.assertRaisesRegex(TrainingError, "no labelled training image"):
            train(self.config(), empty, self.run_folder)
        blank = write_snapshot(self.folder / "b", [{"pixels": pixels, "labels": labels * 0}] * 2)
        with self.assertRaisesRegex(TrainingError, "has a cell"):
            train(self.config(), blank, self.run_folder)

    def test_a_loss_that_is_not_finite_names_the_images(self):
        with self.assertRaisesRegex(TrainingError, r"not finite|stopped being finite.*i\d.tif"):
            train(
                self.config(learning_rate=1e30, clip=0.0, warmup=0.0, epochs=20),
                self.snapshot(),
                self.run_folder,
            )
        kept = torch.load(self.run_folder / BAD_BATCH, weights_only=True)
        self.assertEqual(kept["planes"].shape, (2, 2, 64, 64))
        self.assertTrue(all(name.endswith(".tif") for name in kept["names"]))

    def test_it_rejects_a_base_of_other_channels(self):
        first = train(self.config(epochs=1), self.snapshot(), self.run_folder)
        pixels, labels = disks(0)
        two = write_snapshot(
            self.folder / "two",
            [{"pixels": np.concatenate([pixels, pixels]), "labels": labels}],
            channels=["cytoplasm", "nucleus"],
        )
        with self.assertRaisesRegex(TrainingError, "same channels"):
            train(self.config(), two, self.folder / "second", base=first.folder)


class SamplesTest(TrainTest):
    def learner(self, images, **overrides):
        folder = write_snapshot(self.folder / "samples", images)
        config = self.config(**overrides).settled(False)
        return SegmenterLearner(
            config, open_snapshot(folder), self.run_folder, None, torch.device("cpu")
        )

    def test_pixels_outside_complete_regions_carry_no_weight(self):
        pixels, labels = disks(0)
        labels[:, 50:] = 0
        learner = self.learner(
            [{"pixels": pixels, "labels": labels, "complete_regions": [[0, 0, 50, 96]]}] * 2
        )
        crop = cut(learner.samples[0], View(1.0, centre=(50.0, 48.0)), 64)
        self.assertEqual(crop.weight[:, :30].min(), 1.0)
        self.assertEqual(crop.weight[:, 34:].max(), 0.0)

    def test_neighbours_with_large_ids_stay_two_cells(self):
        pixels, labels = disks(0)
        high = np.where(labels > 0, labels.astype(np.uint32) + 2**30, 0).astype(np.uint32)
        learner = self.learner([{"pixels": pixels, "labels": high}] * 2)
        height, width = labels.shape
        window = learner.samples[0].window(0, 0, height, width)
        np.testing.assert_array_equal(window.labels, labels)

    def test_cells_cut_by_a_crops_edge_do_not_lower_the_validation_figures(self):
        images = [dict(zip(("pixels", "labels"), disks(seed), strict=True)) for seed in range(3)]
        images.append({**images[0], "split": "validation"})
        learner = self.learner(images)
        # The flows of whole cells, as a perfect network would see them beyond the crop.
        perfect = [
            np.concatenate([5 * c.flows, np.where(c.inside, 6.0, -6.0)[None]])
            for c in learner.views
        ]
        outputs = iter(torch.from_numpy(np.stack(perfect).astype(np.float32)).split(2))
        model = lambda planes: (next(outputs),)  # noqa: E731
        self.assertTrue(any(c.labels[0].any() for c in learner.views), "no cell is cut")
        self.assertGreater(learner.validate(model, 1).metrics["ap50"], 0.99)

    def test_images_without_cells_serve_as_negatives_at_the_others_size(self):
        pixels, labels = disks(0)
        images = [{"pixels": pixels, "labels": labels}, {"pixels": pixels, "labels": labels * 0}]
        learner = self.learner(images, holdout=0.0)
        with_cells, without = sorted(learner.samples, key=lambda s: not s.sizes.size)
        self.assertEqual(without.diameter, with_cells.diameter)
        self.assertFalse(np.load(without.flows_file).any())

    def test_an_epochs_batches_are_the_same_at_every_call_and_differ_between_epochs(self):
        pixels, labels = disks(0)
        learner = self.learner([{"pixels": pixels, "labels": labels}] * 3)
        first, again = (next(learner.batches(1)).planes for _ in range(2))
        self.assertTrue(torch.equal(first, again))
        self.assertFalse(torch.equal(first, next(learner.batches(2)).planes))

    def test_flow_vectors_turn_with_the_picture(self):
        pixels, labels = disks(0)
        sample = self.learner([{"pixels": pixels, "labels": labels}] * 2).samples[0]
        for view in (View(1.0, 0.7, False, (56, 48)), View(1.5, 2.0, True, (56, 48))):
            crop = cut(sample, view, 64)
            labelled = crop.labels.astype(np.uint16)
            fresh = masks_to_flows(labelled)
            inside = (np.hypot(*fresh) > 0) & (np.hypot(*crop.flows) > 0.5)
            agreement = (fresh * crop.flows).sum(axis=0)[inside]
            self.assertGreater(float(np.median(agreement)), 0.9)

    def test_a_new_snapshot_prepares_only_what_is_new_in_it(self):
        first, second = disks(0), disks(1)
        told = [
            {
                "pixels": pixels,
                "labels": labels,
                "pixels_content": f"p{n}",
                "labels_content": f"l{n}",
            }
            for n, (pixels, labels) in enumerate((first, second))
        ]
        untold = [{"pixels": pixels, "labels": labels} for pixels, labels in (first, second)]
        for kind, images in (("told", told), ("untold", untold)):
            place = self.folder / kind
            with mock.patch("training.prepared.masks_to_flows", wraps=masks_to_flows) as flows:
                for name, count in (("one", 1), ("two", 2)):
                    written = write_snapshot(place / name, [dict(each) for each in images[:count]])
                    opened = open_snapshot(written)
                    samples = prepare(
                        opened.images, Store(written / PREPARED, place / "shared"), 30.0
                    )
                    self.assertEqual(flows.call_count, count)
            again = np.load(samples[0].flows_file)
            np.testing.assert_allclose(again, masks_to_flows(first[1]), atol=1e-3)
            for file in (place / "two" / PREPARED).iterdir():
                self.assertEqual((place / "shared" / file.name).stat().st_ino, file.stat().st_ino)

    def test_labels_that_do_not_fit_their_image_are_refused_by_name(self):
        pixels, labels = disks(0)
        images = [{"pixels": pixels, "labels": labels, "labels_content": "l"}]
        opened = open_snapshot(write_snapshot(self.folder / "a", images))
        store = Store(self.folder / "a" / PREPARED, self.folder / "a" / PREPARED)
        prepare(opened.images, store, 30.0)
        odd = {"pixels": pixels[:, :50], "labels": labels, "labels_content": "l", "name": "odd.tif"}
        opened = open_snapshot(write_snapshot(self.folder / "b", [odd]))
        with self.assertRaisesRegex(TrainingError, "odd.tif"):
            prepare(opened.images, store, 30.0)

    def test_prepared_arrays_that_a_power_cut_left_short_are_made_again(self):
        pixels, labels = disks(0)
        opened = open_snapshot(
            write_snapshot(self.folder / "a", [{"pixels": pixels, "labels": labels}])
        )
        places = Store(self.folder / "a" / PREPARED, self.folder / "shared"), 30.0
        (sample,) = prepare(opened.images, *places)
        whole = sample.flows_file.read_bytes()
        sample.flows_file.write_bytes(whole[:-100])
        (sample,) = prepare(opened.images, *places)
        self.assertEqual(sample.flows_file.read_bytes(), whole)
