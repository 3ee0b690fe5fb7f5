"""The model commands, as a person types them."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from cellpose.resnet_torch import CPnet
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import TransactionTestCase

from annotator.models import ModelVersion, RunStatus, Stage, TrainingRun
from annotator.services.runs import run_cancel
from annotator.services.versions import version_folder
from inference.checkpoint import load
from tests.annotator.factories import make_dataset
from tests.annotator.trained import make_trainable


def run(name: str, *args: Any, **options: Any) -> dict[str, Any]:
    """The JSON object that a command prints on its last line; what it tells goes nowhere."""
    out = io.StringIO()
    call_command(name, *args, json=True, stdout=out, stderr=io.StringIO(), **options)
    printed: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return printed


class TrainCommandTest(TransactionTestCase):
    def setUp(self) -> None:
        self.dataset = make_trainable()
        self.name = self.dataset.name

    def test_train_evaluate_promote_predict_and_look_at_the_queue(self) -> None:
        made = run("model_train", self.name, "segmenter", base="scratch", wait=True)
        self.assertEqual((made["version"], made["family"]), ("segmenter-1", "segmenter"))
        self.assertIn("ap50", made["metrics"])
        measured = run("model_evaluate", self.name, "segmenter-1", split="test")
        expected = {"version", "split", "images", "ap50", "ap75", "ap90", "pq", "aji"}
        self.assertLessEqual(expected | {"count_error"}, set(measured))
        self.assertEqual(measured["ap50"], made["metrics"]["ap50"])
        promoted = run("model_promote", self.name, "segmenter-1")
        self.assertEqual(promoted, {"version": "segmenter-1", "stage": "current"})
        self.assertEqual(run("images_predict", self.name, wait=True)["images"], 4)
        self.assertEqual(run("queue_show", self.name, limit=3), {"open": 0, "items": []})

    def test_a_split_without_masks_is_told(self) -> None:
        run("model_train", self.name, "segmenter", base="scratch", wait=True)
        with self.assertRaisesMessage(CommandError, "No validation image"):
            run("model_evaluate", self.name, "segmenter-1", split="validation")

    def test_without_wait_the_run_is_left_to_a_worker(self) -> None:
        queued = run("model_train", self.name, "segmenter", base="scratch")
        self.assertEqual(queued["status"], "queued")
        self.assertEqual(TrainingRun.objects.get().pk, queued["run"])

    def test_a_cancelled_run_is_resumed_by_name_of_the_family(self) -> None:
        queued = run("model_train", self.name, "segmenter", base="scratch")
        run_cancel(run=TrainingRun.objects.get())
        made = run("model_train", self.name, "segmenter", resume=True, wait=True)
        self.assertEqual((made["run"], made["version"]), (queued["run"], "segmenter-1"))

    def test_a_setting_file_is_checked(self) -> None:
        folder = Path(self.enterContext(TemporaryDirectory()))
        (folder / "config.json").write_text('{"epoch": 1}')
        with self.assertRaisesMessage(CommandError, "no training setting epoch"):
            run("model_train", self.name, "segmenter", config=folder / "config.json")
        with self.assertRaisesMessage(CommandError, "cannot be read"):
            run("model_train", self.name, "segmenter", config=folder / "none.json")

    def test_a_run_that_fails_is_a_command_that_fails(self) -> None:
        with (
            self.assertLogs("annotator.work.training", "WARNING"),
            self.assertRaisesMessage(CommandError, "no built-in weights named vit"),
        ):
            run("model_train", self.name, "segmenter", base="vit", wait=True)
        self.assertEqual(TrainingRun.objects.get().status, RunStatus.FAILED)

    def test_an_unknown_data_set_is_told(self) -> None:
        with self.assertRaisesMessage(CommandError, "no data set called nowhere"):
            run("model_train", "nowhere", "segmenter")


class ImportCommandTest(TransactionTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(TemporaryDirectory()))
        self.dataset = make_dataset("lab")

    def checkpoint(self) -> Path:
        """A cellpose 3 network with small random weights, saved as cellpose saves it."""
        torch.manual_seed(0)
        file = self.folder / "CP_lab"
        CPnet([2, 8, 16, 32], 3, sz=3).save_model(str(file))
        return file

    def test_the_first_cellpose_checkpoint_predicts_at_once(self) -> None:
        made = run("model_import", "lab", "segmenter", self.checkpoint(), diameter=24.0)
        self.assertEqual((made["version"], made["stage"]), ("segmenter-1", "current"))
        state, meta = load(version_folder(ModelVersion.objects.get()))
        self.assertEqual((meta.channels, meta.fixed_diameter), (("cytoplasm", "nucleus"), 24.0))
        theirs = torch.load(self.checkpoint(), weights_only=True)
        self.assertTrue(all(torch.equal(state[name], theirs[name]) for name in theirs))

    def test_the_second_waits_to_be_promoted(self) -> None:
        run("model_import", "lab", "segmenter", self.checkpoint())
        second = run("model_import", "lab", "segmenter", self.checkpoint(), diameter=30.0)
        self.assertEqual((second["version"], second["stage"]), ("segmenter-2", "candidate"))

    def test_a_model_of_ours_goes_from_data_set_to_data_set_as_a_folder_or_zip(self) -> None:
        run("model_import", "lab", "segmenter", self.checkpoint(), diameter=24.0)
        version = ModelVersion.objects.get()
        folder = version_folder(version)
        packed = self.folder / "model.zip"
        with zipfile.ZipFile(packed, "w") as archive:
            for file in folder.iterdir():
                archive.write(file, f"model/{file.name}")
        for number, source in enumerate((folder, packed)):
            other = make_dataset(f"other{number}")
            run("model_import", other.name, "segmenter", source)
            copy = ModelVersion.objects.get(dataset=other)
            self.assertEqual((copy.sha256, copy.stage), (version.sha256, Stage.CURRENT))

    def test_it_rejects_what_is_no_model(self) -> None:
        text = self.folder / "notes.pt"
        text.write_text("not a model")
        with self.assertRaisesMessage(CommandError, "no cellpose checkpoint"):
            run("model_import", "lab", "segmenter", text)
        with self.assertRaisesMessage(CommandError, "no detector"):
            run("model_import", "lab", "detector", self.checkpoint())
        with self.assertRaisesMessage(CommandError, "There is no file"):
            run("model_import", "lab", "segmenter", self.folder / "absent")
        self.assertFalse(ModelVersion.objects.exists())

    def test_it_rejects_a_model_of_other_channels(self) -> None:
        run("model_import", "lab", "segmenter", self.checkpoint())
        folder = version_folder(ModelVersion.objects.get())
        nuclei = make_dataset("nuclei", channels=["nucleus"])
        with self.assertRaisesMessage(CommandError, "sees cytoplasm, nucleus"):
            run("model_import", nuclei.name, "segmenter", folder)
