"""The loop alone, with the smallest family there can be."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import unittest
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

from inference import checkpoint
from inference.checkpoint import ModelMeta
from training.batches import Waiting
from training.config import SCHEDULE, TrainConfig
from training.engine import Training, Validation, Watch
from training.errors import Cancelled, TrainingError
from training.kept import BAD_BATCH, CHECKPOINT


class Line:
    """One weight that is to become 2; ``scores`` are what validation says, epoch by epoch."""

    steps_per_epoch = 4
    device = torch.device("cpu")

    def __init__(self, scores, pause=0.0):
        torch.manual_seed(0)
        self.model = nn.Linear(1, 1)
        self.scores = scores
        self.pause = pause

    def batches(self, epoch):
        for _ in range(self.steps_per_epoch):
            time.sleep(self.pause)
            yield SimpleNamespace(x=torch.ones(1, 1), names=("one",))

    def loss(self, batch):
        return (self.model(batch.x) - 2).square().mean()

    def describe(self, batch):
        return "one"

    def parameters(self):
        return [{"params": list(self.model.parameters())}]

    def validate(self, model, epoch):
        said = self.scores[epoch - 1]
        parts = said if isinstance(said, tuple) else ()
        score = sum(parts) / len(parts) if parts else said
        return Validation(score, parts, calibration={"epoch": epoch})


class EngineTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def trained(self, learner, watch=None, **settings):
        config = TrainConfig.for_family("segmenter", {"epochs": 10, **settings}).settled(False)
        lineage = {"config": {"family": "segmenter"}}
        meta = ModelMeta("segmenter", {}, ("nucleus",), lineage=lineage)
        training = Training(learner, config, self.folder, meta)
        training.fit(watch or Watch())
        return training

    def test_it_stops_when_no_epoch_was_better_for_long_and_keeps_the_best(self):
        scores = [1.0, 3.0, *[2.0] * 8]
        training = self.trained(Line(scores), patience=0.3)
        self.assertEqual((training.epoch, training.best.kept, training.finished), (6, 2, True))
        self.assertEqual(training.reports[-1].seconds_left, 0.0)

    def test_a_total_is_told_where_epochs_end_the_run_and_not_where_minutes_do(self):
        for settings, line, timed in (
            ({"epochs": 3}, "Epoch 1 of 3: training loss", False),
            ({"epochs": 3, "minutes": 60.0}, "Epoch 1 of 3: training loss", False),
            ({"epochs": 1000, "minutes": 0.002}, "Epoch 1: training loss", True),
        ):
            with self.subTest(**settings):
                shutil.rmtree(self.folder)
                self.folder.mkdir()
                reports = self.trained(Line([1.0] * 1000, 0.005), **settings).reports
                self.assertIn(line, reports[0].sentence())
                self.assertEqual({report.timed for report in reports}, {timed})

    def test_of_epochs_that_cannot_be_told_apart_the_latest_is_kept(self):
        lucky, usual = (0.9, 0.5, 0.6), (0.6, 0.5, 0.7)
        training = self.trained(Line([(0.1, 0.1, 0.1), lucky, *[usual] * 8]), patience=0.3)
        self.assertEqual((training.epoch, training.best.kept), (10, 10))
        self.assertEqual(checkpoint.load_meta(self.folder).calibration, {"epoch": 10})

    def test_an_epoch_that_is_worse_in_all_images_is_not_kept(self):
        best, worse = (0.9, 0.5, 0.6), (0.8, 0.4, 0.51)
        training = self.trained(Line([best, *[worse] * 9]), patience=0.25)
        self.assertEqual((training.epoch, training.best.kept), (4, 1))

    def test_of_epochs_that_are_equal_the_latest_is_kept(self):
        training = self.trained(Line([(1.0, 1.0)] * 10), patience=0.3)
        self.assertEqual((training.epoch, training.best.kept), (10, 10))

    def test_late_epochs_are_measured_by_the_best_one_and_not_by_the_one_before(self):
        sinking = [
            (0.9 - 0.02 * n + 0.03 * (-1) ** n, 0.6 - 0.02 * n - 0.03 * (-1) ** n, 0.5 - 0.02 * n)
            for n in range(10)
        ]
        self.assertEqual(self.trained(Line(sinking), patience=0.0).best.kept, 2)

    def test_a_run_that_goes_on_remembers_what_the_best_epoch_was_made_of(self):
        lucky, usual = (0.9, 0.5, 0.6), (0.6, 0.5, 0.7)
        scores = [(0.1, 0.1, 0.1), lucky, *[usual] * 8]

        def stop(report):
            if report.epoch == 2:
                raise Cancelled

        with self.assertRaises(Cancelled):
            self.trained(Line(scores), Watch(on_epoch=stop))
        again = self.trained(Line(scores))
        self.assertEqual((again.best.kept, again.best.highest_parts), (10, lucky))

    def test_a_gradient_that_is_not_finite_spoils_no_weight_and_keeps_its_batch(self):
        class Steep(Line):
            """Its loss is 0 and finite in the last step of the second epoch, its slope is not."""

            asked = 0

            def loss(self, batch):
                self.asked += 1
                if self.asked == 8:
                    return (self.model(batch.x) * 0).abs().sqrt().sum()
                return super().loss(batch)

        for clip in (0.0, 1.0):
            self.folder = self.folder / "next"
            self.folder.mkdir()
            learner = Steep([1.0] * 10)
            with self.assertRaisesRegex(TrainingError, "gradient stopped .* epoch 2 .* of one "):
                self.trained(learner, clip=clip, patience=0.0)
            kept = torch.load(self.folder / BAD_BATCH, weights_only=True)
            self.assertEqual(kept["names"], ("one",))
            self.assertTrue(all(p.isfinite().all() for p in learner.model.parameters()))
            state = torch.load(self.folder / CHECKPOINT, weights_only=True)
            self.assertEqual(state["epoch"], 1)
            # Resumed, it goes on from there.
            self.assertEqual(self.trained(Line([1.0] * 10), clip=clip, patience=0.0).epoch, 10)

    def test_it_goes_on_while_epochs_get_better_and_when_patience_is_off(self):
        self.assertEqual(self.trained(Line(list(range(10))), patience=0.3).epoch, 10)
        self.folder = self.folder / "off"
        self.folder.mkdir()
        self.assertEqual(self.trained(Line([1.0] * 10), patience=0.0).epoch, 10)

    def test_a_training_made_again_does_not_stop_before_the_first_one_did(self):
        (self.folder / SCHEDULE).write_text(json.dumps([[0.1 * n] * 4 for n in range(10)]))
        scores = [3.0, *[2.0] * 9]
        self.assertEqual(self.trained(Line(scores), patience=0.3, minutes=5).epoch, 10)

    def test_a_checkpoint_of_an_older_release_does_not_end_at_once(self):
        scores = [1.0] * 5 + [3.0] + [2.0] * 4
        first = TrainConfig.for_family("segmenter", {"epochs": 10}).settled(False)
        meta = ModelMeta("segmenter", {}, ("nucleus",), lineage={"config": {"family": "segmenter"}})
        seventh = Training(Line(scores), first, self.folder, meta)

        class Enough(Exception):
            pass

        def stop(report):
            if report.epoch == 7:
                raise Enough

        with self.assertRaises(Enough):
            seventh.fit(Watch(on_epoch=stop))
        state = torch.load(self.folder / CHECKPOINT, weights_only=True)
        del state["best_progress"]
        torch.save(state, self.folder / CHECKPOINT)
        self.assertEqual(self.trained(Line(scores)).epoch, 10)

    def test_a_resumed_run_remembers_since_when_nothing_was_better(self):
        scores = [3.0, *[2.0] * 9]
        config = {"patience": 0.5}
        watch = []

        class Enough(Exception):
            pass

        def until_third(report):
            watch.append(report.epoch)
            if report.epoch == 3:
                raise Enough

        settled = TrainConfig.for_family("segmenter", {"epochs": 10, **config}).settled(False)
        meta = ModelMeta("segmenter", {}, ("nucleus",), lineage={"config": {"family": "segmenter"}})
        with self.assertRaises(Enough):
            Training(Line(scores), settled, self.folder, meta).fit(Watch(on_epoch=until_third))
        self.assertEqual(self.trained(Line(scores), **config).epoch, 7)

    def test_calibration_goes_with_the_weights_that_it_was_fitted_to(self):
        scores = [1.0, 3.0, *[2.0] * 8]
        training = self.trained(Line(scores), patience=0.0)
        self.assertEqual(checkpoint.load_meta(self.folder).calibration, {"epoch": 2})
        self.assertEqual(self.trained(Line(scores), patience=0.0).meta, training.meta)
        (self.folder / checkpoint.WEIGHTS).unlink()
        with self.assertLogs("training.engine", "WARNING"):
            mended = self.trained(Line(scores), patience=0.0)
        self.assertEqual((mended.best.kept, mended.meta.calibration), (10, {"epoch": 10}))
        self.assertEqual(checkpoint.load_meta(self.folder).calibration, {"epoch": 10})

    def test_reports_say_how_long_the_loop_waited_for_images(self):
        slow = self.trained(Line([1.0], pause=0.05), epochs=1).reports[0]
        self.assertGreater(slow.waiting, 0.8)
        self.assertIn("waiting for images", slow.sentence())
        self.folder = self.folder / "quick"
        self.folder.mkdir()
        waiting = Waiting()
        for _ in waiting.timed(iter(range(3))):
            time.sleep(0.02)
        self.assertLess(waiting.share, 0.2)


if __name__ == "__main__":
    unittest.main()
