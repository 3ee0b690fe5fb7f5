"""Versions made again from what made them."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from django.core.management.base import CommandError
from django.test import TransactionTestCase, tag

from annotator.models import Dataset, ModelVersion, RunStatus, Stage, TrainingRun
from annotator.selectors.runs import last_settled_run
from annotator.services.images import image_delete
from annotator.work.importing import import_model
from annotator.work.training import work_on_run
from tests.annotator.elsewhere import make_model_file
from tests.annotator.factories import make_version
from tests.annotator.test_model_commands import run
from tests.annotator.trained import add_drawn, make_trainable


@tag("training")
class RebuildTest(TransactionTestCase):
    def setUp(self) -> None:
        # Several threads add floats in another order each time.
        self.addCleanup(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(1)
        self.dataset = make_trainable()

    def train(self, family: str = "segmenter", **options: Any) -> TrainingRun:
        made = run("model_train", self.dataset.name, family, wait=True, **options)
        return TrainingRun.objects.get(pk=made["run"])

    def rebuild(self, version: str) -> dict[str, Any]:
        return run("model_rebuild", self.dataset.name, version, wait=True)

    def assert_same(self, made: dict[str, Any]) -> None:
        self.assertGreaterEqual(set(made["differences"]), {"ap50", "ap75", "pq", "aji"})
        self.assertEqual(set(made["differences"].values()), {0.0})
        new, old = (
            ModelVersion.objects.get(dataset=self.dataset, family=made["family"], number=number)
            for number in (int(made["version"][-1]), int(made["rebuilds"][-1]))
        )
        self.assertEqual(new.sha256, old.sha256)

    def test_on_one_thread_a_version_comes_out_the_same_to_the_bit(self) -> None:
        first = self.train(base="scratch", epochs=3)
        add_drawn(self.dataset, 300, "train")  # a snapshot taken now would be another
        made = self.rebuild("segmenter-1")
        self.assertEqual((made["version"], made["rebuilds"]), ("segmenter-2", "segmenter-1"))
        self.assertEqual((made["split"], made["images"]), ("test", 1))
        self.assert_same(made)
        again = TrainingRun.objects.get(pk=made["run"])
        self.assertEqual(again.snapshot, first.snapshot)
        self.assertEqual(made["snapshot"], first.snapshot and first.snapshot.hash)

    def test_from_a_parent_and_bounded_by_minutes_it_follows_the_same_schedule(self) -> None:
        self.train(base="scratch")
        first = self.train(base="segmenter-1", minutes=0.02, epochs=40)
        self.assertGreater(sum(len(p.schedule) for p in first.epoch_rows.all()), 0)
        self.assert_same(self.rebuild("segmenter-2"))
        again = TrainingRun.objects.get(rebuilds__number=2)
        self.assertEqual((again.base, again.epoch), (first.base, first.epoch))

    def test_a_detector_is_rebuilt_too_unless_a_type_was_added_since(self) -> None:
        self.train("detector", base="scratch")
        self.assert_same(self.rebuild("detector-1"))
        Dataset.objects.get(pk=self.dataset.pk).types.create(name="CHO", index=2, color="#000000")
        with self.assertRaisesMessage(CommandError, "has HEK, N2a, CHO now"):
            self.rebuild("detector-1")

    def test_a_rebuild_promotes_nothing_is_no_training_of_the_policy_and_is_rebuilt_too(
        self,
    ) -> None:
        first = self.train(base="scratch")
        self.rebuild("segmenter-1")
        self.assertFalse(ModelVersion.objects.filter(number=2, stage=Stage.CURRENT).exists())
        self.assertEqual(last_settled_run(self.dataset, "segmenter"), first)
        # A rebuild of a rebuild, by a worker, is a run like any.
        queued = run("model_rebuild", self.dataset.name, "segmenter-2")
        self.assertEqual((queued["status"], queued["rebuilds"]), ("queued", "segmenter-2"))
        with self.assertRaisesMessage(CommandError, "already trains a segmenter"):
            self.rebuild("segmenter-1")

    def test_a_rebuild_whose_original_was_deleted_promotes_nothing(self) -> None:
        folder = Path(self.enterContext(TemporaryDirectory()))
        file = make_model_file(self.dataset, folder / "m.zip")
        original = import_model(dataset=self.dataset, family="segmenter", file=file)
        made = run("model_rebuild", self.dataset.name, "segmenter-1")
        original.delete()
        with self.assertLogs("annotator.work.training", "WARNING"):
            work_on_run(made["run"])
        again = TrainingRun.objects.get(pk=made["run"])
        self.assertEqual(again.status, RunStatus.FAILED)
        self.assertIn("was to make again was deleted", again.message)
        self.assertFalse(ModelVersion.objects.exists())
        TrainingRun.objects.filter(pk=again.pk).update(status=RunStatus.DONE)
        self.assertNotEqual(last_settled_run(self.dataset, "segmenter"), again)

    def test_what_is_gone_or_was_never_known_is_said(self) -> None:
        imported = make_version(self.dataset, stage=Stage.CANDIDATE)
        with self.assertRaisesMessage(CommandError, "was imported, not trained by a run"):
            self.rebuild(str(imported))
        self.train(base="scratch")
        base = ModelVersion.objects.get(number=2)
        self.train(base="segmenter-2")
        TrainingRun.objects.filter(base=base).update(base=None)
        with self.assertRaisesMessage(CommandError, "trained from was deleted"):
            self.rebuild("segmenter-3")
        image = self.dataset.images.filter(split="train").first()
        assert image is not None
        image_delete(image=image)
        with self.assertRaisesMessage(CommandError, f"{image.name} of the snapshot of segmenter-2"):
            self.rebuild("segmenter-2")

    def test_a_model_trained_elsewhere_is_rebuilt_here(self) -> None:
        folder = Path(self.enterContext(TemporaryDirectory()))
        config = {"width": 8, "crop": 64, "batch_size": 4, "crops_per_epoch": 8, "epochs": 2}
        file = make_model_file(self.dataset, folder / "m.zip", facts={"config": config})
        import_model(dataset=self.dataset, family="segmenter", file=file)
        made = self.rebuild("segmenter-1")
        again = TrainingRun.objects.get(pk=made["run"])
        self.assertEqual((again.status, again.epoch), (RunStatus.DONE, 2))
        self.assertEqual(json.loads(json.dumps(again.config))["width"], 8)
