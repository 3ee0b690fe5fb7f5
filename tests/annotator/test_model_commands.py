"""The model commands, as a person types them."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import signal
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import torch
from cellpose.resnet_torch import CPnet
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import TransactionTestCase, override_settings

from annotator.exceptions import Conflict
from annotator.models import ModelVersion, RunStatus, Stage, TrainingRun
from annotator.services.runs import run_cancel, run_claim
from annotator.services.versions import version_folder
from annotator.work import shutdown
from inference.checkpoint import load, load_meta
from tests.annotator.factories import make_dataset, make_version
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
        on_train = run("model_evaluate", self.name, "segmenter-1", split="train")
        self.assertEqual(on_train["images"], 3)
        self.assertEqual(list((Path(settings.SNAPSHOTS_DIR) / "measured").iterdir()), [])
        promoted = run("model_promote", self.name, "segmenter-1")
        self.assertEqual(promoted, {"version": "segmenter-1", "stage": "current"})
        self.assertEqual(run("images_predict", self.name, wait=True)["images"], 4)
        self.assertEqual(run("queue_show", self.name, limit=3), {"open": 0, "items": []})

    def test_told_to_stop_it_leaves_the_run_to_the_next_worker(self) -> None:
        def told(command: object, report: object) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

        self.addCleanup(shutdown._leaving.clear)
        with (
            mock.patch("annotator.management.runs.RunCommand._tell_epoch", told),
            self.assertRaisesMessage(CommandError, "goes on with the next worker"),
        ):
            run("model_train", self.name, "segmenter", base="scratch", epochs=2, wait=True)
        self.assertEqual(TrainingRun.objects.get().claim, "")

    def test_a_split_without_masks_is_told(self) -> None:
        run("model_train", self.name, "segmenter", base="scratch", wait=True)
        with self.assertRaisesMessage(CommandError, "No validation image"):
            run("model_evaluate", self.name, "segmenter-1", split="validation")

    def test_without_wait_the_run_is_left_to_a_worker(self) -> None:
        queued = run("model_train", self.name, "segmenter", base="scratch")
        self.assertEqual(queued["status"], "queued")
        self.assertEqual(TrainingRun.objects.get().pk, queued["run"])

    def test_ctrl_c_is_a_sentence_and_a_run_to_go_on_with(self) -> None:
        tell = "annotator.management.commands.model_train.Command._tell_epoch"
        with (
            mock.patch(tell, side_effect=KeyboardInterrupt),
            self.assertRaisesMessage(CommandError, "--resume") as caught,
        ):
            run("model_train", self.name, "segmenter", base="scratch", wait=True)
        self.assertEqual(caught.exception.returncode, 130)
        self.assertEqual(TrainingRun.objects.get().status, RunStatus.CANCELLED)
        made = run("model_train", self.name, "segmenter", resume=True, wait=True)
        self.assertEqual(made["version"], "segmenter-1")

    def test_a_cancelled_run_is_resumed_by_name_of_the_family(self) -> None:
        queued = run("model_train", self.name, "segmenter", base="scratch")
        run_cancel(run=TrainingRun.objects.get())
        made = run("model_train", self.name, "segmenter", resume=True, wait=True)
        self.assertEqual((made["run"], made["version"]), (queued["run"], "segmenter-1"))

    def test_a_run_whose_worker_was_killed_is_resumed_once_it_is_silent(self) -> None:
        queued = run("model_train", self.name, "segmenter", base="scratch")
        claim = run_claim(run_id=queued["run"])
        self.assertIsNotNone(claim)
        with override_settings(HEARTBEAT_SECONDS=2):
            made = run("model_train", self.name, "segmenter", resume=True, wait=True)
        self.assertEqual((made["run"], made["version"]), (queued["run"], "segmenter-1"))

    def test_without_wait_the_images_of_the_split_are_counted_for_a_worker(self) -> None:
        with self.assertRaisesMessage(CommandError, "no segmenter"):
            run("images_predict", self.name)
        make_version(self.dataset)
        asked = {"images": 4, "cells": 0, "seconds": 0.0, "asked": True}
        self.assertEqual(run("images_predict", self.name), asked)
        err = io.StringIO()
        out = io.StringIO()
        call_command("images_predict", self.name, split="test", json=True, stdout=out, stderr=err)
        self.assertEqual(json.loads(out.getvalue()), asked | {"images": 1})
        self.assertIn("Workers predict every split", err.getvalue())

    def test_the_licence_of_published_weights_is_told_before_a_run_can_download_them(self) -> None:
        def refused(**asked: Any) -> None:
            self.assertIn("CC BY-NC", err.getvalue())
            raise Conflict("not now")

        err = io.StringIO()
        with (
            mock.patch("annotator.management.commands.model_train.run_create", refused),
            self.assertRaisesMessage(CommandError, "not now"),
        ):
            call_command("model_train", self.name, "segmenter", base="cyto3", stderr=err)
        self.assertIn("Starts from cyto3.", err.getvalue())
        err = io.StringIO()
        call_command(
            "model_train", self.name, "segmenter", base="scratch", stdout=io.StringIO(), stderr=err
        )
        self.assertEqual(err.getvalue(), "")

    def test_a_setting_file_is_checked(self) -> None:
        folder = Path(self.enterContext(TemporaryDirectory()))
        (folder / "config.json").write_text('{"epoch": 1}')
        with self.assertRaisesMessage(CommandError, "no training setting epoch"):
            run("model_train", self.name, "segmenter", config=folder / "config.json")
        with self.assertRaisesMessage(CommandError, "cannot be read"):
            run("model_train", self.name, "segmenter", config=folder / "none.json")
        for content in (b"{", b"\xff\xfe", b"[" * 100_000, b"[]"):
            (folder / "config.json").write_bytes(content)
            with self.assertRaisesMessage(CommandError, "JSON"):
                run("model_train", self.name, "segmenter", config=folder / "config.json")
        (folder / "config.json").write_text('{"learning_rate": NaN}')
        with self.assertRaisesMessage(CommandError, "learning_rate is a number"):
            run("model_train", self.name, "segmenter", config=folder / "config.json")

    def test_a_run_that_fails_is_a_command_that_fails(self) -> None:
        with (
            self.assertLogs("annotator.work.training", "WARNING"),
            self.assertRaisesMessage(CommandError, "/no/backbone.pt"),
        ):
            run("model_train", self.name, "detector", base="file:/no/backbone.pt", wait=True)
        self.assertEqual(TrainingRun.objects.get().status, RunStatus.FAILED)

    def test_a_start_that_there_is_not_is_told_before_a_run_begins(self) -> None:
        with self.assertRaisesMessage(CommandError, "not from vit"):
            run("model_train", self.name, "segmenter", base="vit", wait=True)
        self.assertFalse(TrainingRun.objects.exists())

    def test_an_unknown_data_set_is_told(self) -> None:
        with self.assertRaisesMessage(CommandError, "no data set called nowhere"):
            run("model_train", "nowhere", "segmenter")


class _Attack:
    """Makes a folder when unpickled carelessly."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


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

    def test_a_checkpoint_computes_as_cellpose_does_unless_speed_is_asked_for(self) -> None:
        run("model_import", "lab", "segmenter", self.checkpoint())
        run("model_import", "lab", "segmenter", self.checkpoint(), precision="bfloat16")
        exact, fast = ModelVersion.objects.order_by("number")
        found = [load_meta(version_folder(v)).settings["precision"] for v in (exact, fast)]
        self.assertEqual(found, ["float32", "bfloat16"])
        self.assertEqual(exact.sha256, fast.sha256)
        with self.assertRaisesMessage(CommandError, "Only a segmenter"):
            run("model_import", "lab", "detector", self.checkpoint(), precision="bfloat16")

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

    def test_it_rejects_weights_and_meta_that_are_not_what_a_model_has(self) -> None:
        state = torch.load(self.checkpoint(), weights_only=True)
        first, last = "downsample.down.res_down_0.proj.1.weight", "output.2.weight"
        for name, content in {
            "flat": state | {first: torch.zeros(3)},
            "scalar": state | {last: torch.tensor(1.0)},
            "numbered": {1: torch.zeros(1)},
            "no diameter": state | {"diam_mean": torch.tensor([])},
            "nan diameter": state | {"diam_mean": torch.tensor([float("nan")])},
            "other shapes": {key: value.flatten()[:1].clone() for key, value in state.items()},
            "cellpose-SAM": {"encoder.pos_embed": torch.zeros(1)},
            "a list": [1, 2],
        }.items():
            torch.save(content, self.folder / "file")
            with self.subTest(name), self.assertRaisesMessage(CommandError, "file "):
                run("model_import", "lab", "segmenter", self.folder / "file")
        self.assertFalse(ModelVersion.objects.exists())

    def test_it_rejects_a_folder_whose_meta_was_written_by_hand(self) -> None:
        run("model_import", "lab", "segmenter", self.checkpoint())
        theirs = version_folder(ModelVersion.objects.get())
        meta = json.loads((theirs / "meta.json").read_text())
        folder = self.folder / "model"
        folder.mkdir()
        shutil.copy(theirs / "weights.safetensors", folder)
        for change in (
            {"channels": 5},
            {"architecture": "cpnet"},
            {"architecture": meta["architecture"] | {"nbase": [2, 10**7, 10**7]}},
            {"diameter": -3},
            {"diameter": "wide"},
            {"fixed_diameter": float("inf")},
            {"calibration": {"temperature": float("nan")}},
            {"types": ["CHO"]},
        ):
            (folder / "meta.json").write_text(json.dumps(meta | change))
            with self.subTest(change), self.assertRaises(CommandError):
                run("model_import", "lab", "segmenter", folder)
        for text in ("[]", "null", "{", "[" * 100_000):
            (folder / "meta.json").write_text(text)
            with self.subTest(text[:5]), self.assertRaises(CommandError):
                run("model_import", "lab", "segmenter", folder)
        self.assertEqual(ModelVersion.objects.count(), 1)

    def test_a_malicious_checkpoint_is_refused_and_does_not_run(self) -> None:
        mark = self.folder / "it ran"
        (self.folder / "evil").write_bytes(pickle.dumps(_Attack(str(mark)), 2))
        with self.assertRaisesMessage(CommandError, "no cellpose checkpoint"):
            run("model_import", "lab", "segmenter", self.folder / "evil")
        self.assertFalse(mark.exists())

    def test_a_zip_that_unpacks_to_gigabytes_is_refused(self) -> None:
        bomb = self.folder / "bomb.zip"
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("weights.safetensors", b"x")
            archive.writestr("meta.json", bytes(17 * 2**20))
        with self.assertRaisesMessage(CommandError, "more than any model has"):
            run("model_import", "lab", "segmenter", bomb)

    def test_the_diameter_is_a_number_of_pixels(self) -> None:
        for diameter in (0.0, 0.5, -1.0, float("nan"), float("inf")):
            with self.assertRaisesMessage(CommandError, "1 or more"):
                run("model_import", "lab", "segmenter", self.checkpoint(), diameter=diameter)

    def test_it_rejects_a_model_of_other_channels(self) -> None:
        run("model_import", "lab", "segmenter", self.checkpoint())
        folder = version_folder(ModelVersion.objects.get())
        nuclei = make_dataset("nuclei", channels=["nucleus"])
        with self.assertRaisesMessage(CommandError, "sees cytoplasm, nucleus"):
            run("model_import", nuclei.name, "segmenter", folder)
