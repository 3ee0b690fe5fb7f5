"""Models trained elsewhere, sent over REST, and bundles asked for there."""

from __future__ import annotations

import json
import pickle
import zipfile
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import TransactionTestCase, override_settings
from django.utils import timezone

from annotator import storage
from annotator.models import ModelVersion, Revision, RunStatus, Snapshot, Stage, TrainingRun
from annotator.services.runs import RunRequest, run_create
from annotator.services.snapshots import snapshot_create
from annotator.services.versions import version_promote
from annotator.work.evaluation import evaluate_version
from annotator.work.exporting import work_on_export
from annotator.work.importing import import_model
from annotator.work.training import run_folders_prune, work_on_run
from tests.annotator.elsewhere import EPOCHS, make_model_file
from tests.annotator.factories import is_stored, make_dataset
from tests.annotator.trained import add_drawn, make_trainable
from tests.people import client_of, make_people
from training import sealed
from training.errors import Cancelled


class ArrivalCase(TransactionTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(TemporaryDirectory()))
        self.file = self.folder / "lab-segmenter.cytoloop-model.zip"
        self.dataset = make_trainable()
        self.people = make_people(self.dataset)
        self.alice = client_of(self.people.alice)

    def send(self, file: Path | None = None, client: Any = None, dataset: Any = None) -> Any:
        where = f"/api/v1/datasets/{(dataset or self.dataset).pk}/trained-models/"
        with (file or self.file).open("rb") as stream:
            return (client or self.alice).post(where, {"file": stream}, format="multipart")

    def model(self, **changes: Any) -> Path:
        return make_model_file(self.dataset, self.file, **changes)

    def assert_refused(self, answer: Any, words: str, status: int = 400) -> None:
        self.assertEqual(answer.status_code, status, answer.content)
        self.assertRegex(answer.json()["message"], words)
        self.assertFalse(TrainingRun.objects.filter(status=RunStatus.QUEUED).exists())


class SentTest(ArrivalCase):
    def test_a_sent_model_becomes_a_measured_candidate_with_its_curve(self) -> None:
        first = import_model(dataset=self.dataset, family="segmenter", file=self.model())
        self.assertEqual(first.stage, Stage.CURRENT)
        ModelVersion.objects.update(sha256="0" * 64)  # else it would be the same model again
        answer = self.send()
        self.assertEqual(answer.status_code, 202, answer.content)
        body = answer.json()
        self.assertEqual(answer["Location"], f"/api/v1/training-runs/{body['id']}/")
        self.assertEqual(body["reason"], "trained elsewhere, sent by alice")
        self.assertEqual([row["epoch"] for row in body["epochs_log"]], [1, 2])
        self.assertEqual([row["waiting"] for row in body["epochs_log"]], [0.25, 0.25])
        run = TrainingRun.objects.get(pk=body["id"])
        self.assertTrue(is_stored(run.arrival))
        self.assertTrue(work_on_run(run.pk))
        run.refresh_from_db()
        self.assertEqual(run.status, RunStatus.DONE, run.message)
        self.assertEqual(str(run.candidate), "segmenter-2")
        self.assertEqual(run.candidate and run.candidate.stage, Stage.CANDIDATE)
        for version in ModelVersion.objects.all():
            self.assertEqual(version.evaluations.get().split, "test")
        self.assertFalse(is_stored(run.arrival))
        self.assertEqual(run.started_at, run.snapshot and run.snapshot.created_at)

    def test_weights_that_do_not_fit_their_meta_end_the_run_with_a_sentence(self) -> None:
        self.model(meta={"architecture": {"name": "cpnet", "nbase": [2, 16, 32]}})
        run = TrainingRun.objects.get(pk=self.send().json()["id"])
        with self.assertLogs("annotator.work.training", "WARNING"):
            work_on_run(run.pk)
        run.refresh_from_db()
        self.assertEqual(run.status, RunStatus.FAILED)
        self.assertRegex(run.message, "weights do not fit the architecture")
        self.assertFalse(ModelVersion.objects.exists())
        with override_settings(RUN_KEEP_DAYS=0):
            run_folders_prune(timezone.now())
        self.assertFalse(is_stored(run.arrival))

    def test_the_first_model_is_current_even_if_its_worker_died_before_it_said_so(self) -> None:
        self.model()
        run = TrainingRun.objects.get(pk=self.send().json()["id"])
        with (
            mock.patch("annotator.work.importing.version_promote_over", side_effect=SystemExit),
            self.assertRaises(SystemExit),  # as little is written as by a killed worker
        ):
            work_on_run(run.pk)
        self.assertEqual(ModelVersion.objects.get().stage, Stage.CANDIDATE)
        TrainingRun.objects.update(heartbeat_at=None)
        work_on_run(run.pk)
        run.refresh_from_db()
        self.assertEqual(ModelVersion.objects.get().stage, Stage.CURRENT)
        self.assertRegex(run.message, "segmenter-1 was .* taken in and is current")

    def test_a_model_that_nothing_can_measure_leaves_no_file_behind(self) -> None:
        self.model()
        run = TrainingRun.objects.get(pk=self.send().json()["id"])
        Revision.objects.all().delete()
        work_on_run(run.pk)
        run.refresh_from_db()
        self.assertEqual(run.status, RunStatus.DONE, run.message)
        self.assertRegex(run.message, "taken in and is current, but not measured")
        self.assertFalse(is_stored(run.arrival))

    def test_measuring_hears_a_cancel_within_an_image(self) -> None:
        for seed in range(3):
            add_drawn(self.dataset, 400 + seed, "test")
        version = import_model(dataset=self.dataset, family="segmenter", file=self.model())
        for stop_at in (2, 6):  # while images are written, and while they are measured
            asked: list[int] = []

            def should_stop(asked: list[int] = asked, stop_at: int = stop_at) -> bool:
                asked.append(1)
                return len(asked) == stop_at

            with self.assertRaises(Cancelled):
                evaluate_version(version, should_stop=should_stop)
            self.assertEqual(len(asked), stop_at)
        self.assertFalse(version.evaluations.exists())

    def test_old_runs_are_not_asked_for_what_they_left_again_and_again(self) -> None:
        ended = timezone.now() - timedelta(days=99)
        for arrival in ("", "arrivals/taken-in-long-ago.zip"):
            TrainingRun.objects.create(
                dataset=self.dataset,
                family="segmenter",
                reason="",
                status=RunStatus.DONE,
                finished_at=ended,
                arrival=arrival,
            )
        with mock.patch.object(storage, "delete", wraps=storage.delete) as deleted:
            run_folders_prune(timezone.now())
        deleted.assert_not_called()

    def test_the_same_model_is_taken_once(self) -> None:
        version = import_model(dataset=self.dataset, family="segmenter", file=self.model())
        self.assert_refused(self.send(), f"here already, as {version}", 409)

    def test_while_a_run_of_its_family_is_live_it_waits_outside(self) -> None:
        self.model()
        live = run_create(request=RunRequest(self.dataset, "segmenter", "asked", base="scratch"))
        answer = self.send()
        self.assertEqual(answer.status_code, 409)
        self.assertIn(f"Run {live.pk} already trains", answer.json()["message"])
        self.assertEqual(TrainingRun.objects.get(), live)

    def test_only_managers_send(self) -> None:
        self.model()
        for person, status in ((self.people.bob, 403), (self.people.charlie, 404), (None, 401)):
            self.assertEqual(self.send(client=client_of(person)).status_code, status)
        self.assertEqual(self.send(client=client_of(self.people.root)).status_code, 202)


class RefusedTest(ArrivalCase):
    def test_a_model_of_another_data_set_or_of_a_snapshot_unknown_here(self) -> None:
        self.model()
        self.assertTrue(Snapshot.objects.filter(dataset=self.dataset).exists())
        stranger = make_dataset()
        self.assert_refused(
            self.send(client=client_of(self.people.root), dataset=stranger),
            "trained on the snapshot .* unzip it and import",
        )
        for named in (5, None):
            self.model(facts={"snapshot": named, "base": named})
            self.assert_refused(self.send(), "trained on the snapshot")
        for text in ("a\0b", "\ud800"):
            self.model(facts={"snapshot": text, "base": text})
            self.assert_refused(self.send(), "manifest.json in .* is damaged")
        self.model(facts={"snapshot": "0" * 64})
        self.assert_refused(self.send(), "snapshot 000000000000 .* its bundle came from")

    def test_a_snapshot_told_in_the_manifest_only(self) -> None:
        other = snapshot_create(dataset=self.dataset, family="segmenter").hash
        add_drawn(self.dataset, 300, "train")
        self.model(facts={"snapshot": other})
        self.assert_refused(self.send(), "name different snapshots")

    def test_another_family_channels_or_types(self) -> None:
        snapshot = snapshot_create(dataset=self.dataset, family="detector").hash
        for changes, words in (
            ({"facts": {"family": "detector"}}, "trained on the snapshot"),
            ({"facts": {"family": "detector", "snapshot": snapshot}}, "is a segmenter, not"),
            ({"facts": {"family": ["x"]}}, "of no family"),
            ({"meta": {"channels": ["nucleus"]}}, "sees nucleus, but"),
            ({"meta": {"types": ["CHO"]}}, "tells the type CHO"),
            ({"meta": {"lineage": 5}}, "different snapshots"),
            ({"meta": {"family": [["x"] * 99]}}, "is a .{40}, not a segmenter"),
            ({"meta": {"channels": 5}}, "^lab-.*zip holds no model: channels in meta.json is no"),
            ({"meta": {"channels": [5]}}, "no list of names"),
            ({"meta": {"channels": ["x" * 1000]}}, "no list of names"),
            ({"meta": {"types": [["x"]]}}, "types in meta.json is no list of names"),
            ({"meta": {"types": ["x", 5]}}, "no list of names"),
            ({"meta": {"types": None}}, "no list of names"),
            ({"meta": {"types": ["\ud800"]}}, "meta.json cannot be read"),
            ({"meta": {"note": "\ud800"}}, "meta.json cannot be read"),
            ({"meta": {"note": float("inf")}}, "meta.json cannot be read"),
            ({"files": {"meta.json": b"[]"}}, "^lab-.*zip holds no model: .* no JSON object"),
            ({"files": {"meta.json": b"[" * 100_000}}, "^lab-.*zip .*cannot be read"),
        ):
            with self.subTest(words):
                self.model(**changes)
                self.assert_refused(self.send(), words)

    def test_weights_that_are_no_safetensors(self) -> None:
        for content in (pickle.dumps({"a": 1}), b"", b"\xff" * 100, bytes(8)):
            self.model(files={"weights.safetensors": content})
            self.assert_refused(self.send(), "no safetensors")

    def test_curves_and_settings_that_no_training_writes(self) -> None:
        lines = [json.dumps(EPOCHS[0])]
        for line in (
            "{",
            "[]",
            json.dumps(EPOCHS[0]),
            json.dumps(EPOCHS[1] | {"train_loss": float("nan")}),
            json.dumps(EPOCHS[1] | {"schedule": [2]}),
            json.dumps(EPOCHS[1] | {"waiting": -0.1}),
            json.dumps(EPOCHS[1] | {"metrics": None}),
            json.dumps(EPOCHS[1] | {"metrics": {"a\0": 1.0}}),
            json.dumps(EPOCHS[1] | {"epoch": 2.5}).replace("2.5", "1e999"),
            json.dumps(EPOCHS[1] | {"train_loss": 10**400}),
        ):
            self.model(files={"metrics.jsonl": "\n".join([*lines, line]).encode()})
            self.assert_refused(self.send(), "line 2 of metrics.jsonl")
        self.model(files={"metrics.jsonl": b""})
        self.assert_refused(self.send(), "has no epoch")
        for config in ({"epoch": 1}, {"learning_rate": "fast"}, None, 3):
            self.model(facts={"config": config})
            self.assert_refused(self.send(), "training settings cannot be used")

    def test_files_that_were_cut_off_changed_or_are_something_else(self) -> None:
        whole = self.model().read_bytes()
        self.file.write_bytes(whole[: len(whole) // 2])
        self.assert_refused(self.send(), "lab-segmenter.cytoloop-model.zip is no whole zip")
        with zipfile.ZipFile(BytesIO(whole)) as packed, zipfile.ZipFile(self.file, "w") as forged:
            for name in packed.namelist():
                content = packed.read(name)
                if name == "weights.safetensors":
                    content = content[:-1] + bytes([content[-1] ^ 1])
                forged.writestr(name, content)
        self.assert_refused(self.send(), "weights.safetensors is not what was packed")
        sealed.seal(self.file, sealed.BUNDLE, {}, {})
        self.assert_refused(self.send(), "a training bundle and no model yet")
        self.file.write_bytes(b"text")
        self.assert_refused(self.send(), "no whole zip")

    def test_a_name_that_leads_elsewhere_is_only_a_name(self) -> None:
        where = f"/api/v1/datasets/{self.dataset.pk}/trained-models/"
        for name in ("../../evil.zip", "..", "x" * 300, "細" * 90 + ".zip"):
            upload = SimpleUploadedFile("evil", b"text")
            vars(upload)["_name"] = name  # past Django's own cleaning
            answer = self.alice.post(where, {"file": upload}, format="multipart")
            self.assert_refused(answer, "^[^/]*(no whole zip|No file was submitted)")
            self.assertNotIn("that-was-sent", answer.json()["message"])

    def test_too_large_a_file_is_refused_while_it_arrives(self) -> None:
        self.model()
        with override_settings(UPLOAD_MAX_BYTES=1000):
            self.assert_refused(self.send(), "larger than", 413)


class AskedTest(ArrivalCase):
    def ask(self, client: Any = None, **body: Any) -> Any:
        body = {"dataset": self.dataset.pk, "family": "segmenter", "base": "scratch"} | body
        return (client or self.alice).post("/api/v1/training-bundles/", body, format="json")

    def test_a_manager_asks_for_a_bundle_and_downloads_it(self) -> None:
        answer = self.ask(epochs=5)
        self.assertEqual(answer.status_code, 202, answer.content)
        work_on_export(answer.json()["id"])
        found = self.alice.get(answer["Location"]).json()
        self.assertEqual((found["status"], found["format"]), ("done", "bundle"), found["message"])
        self.assertEqual((found["source"], found["images"]), ("segmenter", 3))
        packed = self.alice.get(found["download"])
        self.assertIn("-segmenter-bundle-", packed["Content-Disposition"])
        with zipfile.ZipFile(BytesIO(b"".join(packed))) as archive:
            manifest = json.loads(archive.read(sealed.MANIFEST))
        self.assertEqual((manifest["config"]["epochs"], manifest["base"]), (5, None))
        known = Snapshot.objects.get(dataset=self.dataset, family="segmenter")
        self.assertEqual(manifest["snapshot"], known.hash)

    def test_a_bundle_that_continues_from_the_current_version_brings_its_weights(self) -> None:
        version = import_model(dataset=self.dataset, family="segmenter", file=self.model())
        version_promote(version=version)
        answer = self.ask(base="current")
        work_on_export(answer.json()["id"])
        found = self.alice.get(answer["Location"]).json()
        packed = self.alice.get(found["download"])
        with zipfile.ZipFile(BytesIO(b"".join(packed))) as archive:
            self.assertIn("base/weights.safetensors", archive.namelist())
            self.assertEqual(json.loads(archive.read(sealed.MANIFEST))["base"], "segmenter-1")

    def test_it_refuses_strangers_annotators_and_what_there_is_not(self) -> None:
        self.assertEqual(self.ask(client_of(self.people.bob)).status_code, 403)
        self.assertEqual(self.ask(client_of(self.people.charlie)).status_code, 404)
        self.assertEqual(self.ask(base="segmenter-7").status_code, 404)
        self.assertEqual(self.ask(base="file:/etc/passwd").status_code, 400)
        empty = make_dataset()
        answer = self.ask(client_of(self.people.root), dataset=empty.pk)
        self.assertEqual((answer.status_code, answer.json()["code"]), (409, "not_ready"))
