"""Runs, versions, composition and exports over REST."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection, connections
from django.test import AsyncClient, TestCase, TransactionTestCase
from django.test.utils import CaptureQueriesContext
from rest_framework.authtoken.models import Token

from annotator import storage
from annotator.models import Dataset, Export, ModelVersion, RunEpoch, RunStatus, TrainingRun
from tests.annotator.factories import (
    make_dataset,
    make_image,
    make_revision,
    make_version,
    square_labels,
)
from tests.people import client_of, make_people

META = {"channels": ["cytoplasm", "nucleus"]}


def ready() -> Dataset:
    dataset = make_dataset()
    image = make_image(dataset, "mixed_a_1.tif", split="train", culture="mixed")
    types: dict[int, str | None] = {1: "HEK", 2: "HEK", 3: "HEK", 4: "N2a"}
    make_revision(image, labels=square_labels(5), types=types)
    return dataset


class ApiCase(TestCase):
    def setUp(self) -> None:
        self.dataset = ready()
        self.people = make_people(self.dataset)
        self.alice = client_of(self.people.alice)

    def start(self, client: Any = None, **body: Any) -> Any:
        body = {"dataset": self.dataset.pk, "family": "segmenter", "base": "scratch"} | body
        return (client or self.alice).post("/api/v1/training-runs/", body, format="json")


class RunsTest(ApiCase):
    def test_a_manager_starts_a_run(self) -> None:
        answer = self.start(epochs=3, minutes=1.5)
        self.assertEqual(answer.status_code, 201, answer.content)
        body = answer.json()
        expected: dict[str, Any] = {
            "status": "queued",
            "requested_by": "alice",
            "base": "scratch",
            "candidate": None,
            "epochs_log": [],
        }
        self.assertEqual({key: body[key] for key in expected}, expected)
        run = TrainingRun.objects.get()
        self.assertEqual(run.config, {"start": "scratch", "epochs": 3, "minutes": 1.5})

    def test_a_second_run_of_the_family_is_a_conflict(self) -> None:
        self.start()
        self.assertEqual(self.start().status_code, 409)

    def test_an_annotator_may_watch_but_not_start(self) -> None:
        bob = client_of(self.people.bob)
        self.assertEqual(self.start(bob).status_code, 403)
        run = self.start().json()
        self.assertEqual(bob.get(f"/api/v1/training-runs/{run['id']}/").status_code, 200)
        self.assertEqual(bob.post(f"/api/v1/training-runs/{run['id']}/cancel/").status_code, 403)

    def test_a_stranger_sees_no_run(self) -> None:
        run = self.start().json()
        charlie = client_of(self.people.charlie)
        self.assertEqual(self.start(charlie).status_code, 404)
        self.assertEqual(charlie.get(f"/api/v1/training-runs/{run['id']}/").status_code, 404)
        self.assertEqual(charlie.get("/api/v1/training-runs/").json()["results"], [])
        of_set = charlie.get(f"/api/v1/training-runs/?dataset={self.dataset.pk}")
        self.assertEqual(of_set.status_code, 404)

    def test_the_list_holds_each_runs_curve(self) -> None:
        run = TrainingRun.objects.get(pk=self.start().json()["id"])
        RunEpoch.objects.create(run=run, epoch=1, train_loss=0.5, metrics={"ap50": 0.2}, seconds=3)
        answer = self.alice.get(f"/api/v1/training-runs/?dataset={self.dataset.pk}").json()
        (row,) = answer["results"]
        point = {
            "epoch": 1,
            "train_loss": 0.5,
            "validation_loss": None,
            "metrics": {"ap50": 0.2},
            "seconds": 3.0,
            "waiting": None,
        }
        self.assertEqual(row["epochs_log"], [point])

    def test_a_step_is_told_with_its_time_left(self) -> None:
        pk = self.start().json()["id"]
        step = {"step": "reading images", "done": 3, "of": 5}
        run = TrainingRun.objects.filter(pk=pk)
        for status, progress, left in (
            ("preparing", step, 8.5),
            ("training", None, 60.0),
            ("evaluating", None, None),
        ):
            told = {"progress": step | {"seconds_left": left} if progress else {}}
            run.update(status=status, seconds_left=60.0, **told)
            answer = self.alice.get(f"/api/v1/training-runs/{pk}/").json()
            found = (answer["status"], answer["progress"], answer["seconds_left"])
            self.assertEqual(found, (status, progress, left))

    def test_whether_minutes_end_it_is_told(self) -> None:
        pk = self.start().json()["id"]
        run = TrainingRun.objects.filter(pk=pk)
        for config, epochs, timed in (
            ({"minutes": 2.5}, 6, True),
            ({"epochs": 6}, 6, False),
            ({}, 60, False),  # the defaults have both; the clock has no say
            ({}, 40, True),
            ({"setting_of_old": 1}, 6, False),
        ):
            run.update(config={"start": "scratch"} | config, epochs=epochs)
            told = self.alice.get(f"/api/v1/training-runs/{pk}/").json()
            self.assertEqual((told["timed"], told["epochs"]), (timed, epochs), config)
        run.update(config={"minutes": 2.5}, is_rebuild=True)
        self.assertFalse(self.alice.get(f"/api/v1/training-runs/{pk}/").json()["timed"])

    def test_a_start_that_was_deleted_is_told(self) -> None:
        start = make_version(self.dataset)
        pk = self.start(base=start.version).json()["id"]
        told = self.alice.get(f"/api/v1/training-runs/{pk}/").json()
        self.assertEqual(told["base"], start.version)
        start.delete()
        told = self.alice.get(f"/api/v1/training-runs/{pk}/").json()
        self.assertEqual(told["base"], "a deleted version")

    def test_cancel_and_resume(self) -> None:
        pk = self.start().json()["id"]
        cancelled = self.alice.post(f"/api/v1/training-runs/{pk}/cancel/").json()
        self.assertEqual(cancelled["status"], "cancelled")
        resumed = self.alice.post(f"/api/v1/training-runs/{pk}/resume/").json()
        self.assertEqual(resumed["status"], "queued")
        again = self.alice.post(f"/api/v1/training-runs/{pk}/resume/")
        self.assertEqual((again.status_code, again.json()["code"]), (409, "conflict"))

    def test_nonsense_is_told_by_field(self) -> None:
        answer = self.start(family="vision", epochs=0)
        self.assertEqual(answer.status_code, 400)
        self.assertEqual(set(answer.json()["fields"]), {"family", "epochs"})


def finished(work: Any) -> Any:
    """What ``work`` returns; the connections of asyncio's threads are closed behind it."""

    async def whole() -> Any:
        try:
            return await work
        finally:
            await sync_to_async(connections.close_all)()

    return asyncio.run(whole())


class ListTest(ApiCase):
    def test_the_list_reads_no_logs(self) -> None:
        TrainingRun.objects.create(
            dataset=self.dataset, family="segmenter", reason="", log="a line\n" * 200
        )
        with CaptureQueriesContext(connection) as queries:
            (run,) = self.alice.get("/api/v1/training-runs/").json()["results"]
        self.assertFalse([q for q in queries if '"annotator_trainingrun"."log"' in q["sql"]])
        self.assertEqual(
            self.alice.get(f"/api/v1/training-runs/{run['id']}/").json()["log"][:6], "a line"
        )


class EventsTest(TransactionTestCase):
    """The stream reads with its own connections, so the rows must be committed."""

    def setUp(self) -> None:
        self.dataset = ready()
        self.people = make_people(self.dataset)
        self.run_row = TrainingRun.objects.create(dataset=self.dataset, family="segmenter")
        self.url = f"/api/v1/training-runs/{self.run_row.pk}/events/"

    def headers(self, user: Any) -> dict[str, str]:
        return {"authorization": f"Token {Token.objects.get_or_create(user=user)[0].key}"}

    def test_each_change_is_an_event_until_the_run_is_over(self) -> None:
        headers = self.headers(self.people.vera)

        async def change(**fields: Any) -> None:
            await TrainingRun.objects.filter(pk=self.run_row.pk).aupdate(**fields)

        async def watch() -> list[dict[str, Any]]:
            response = await AsyncClient().get(self.url, headers=headers)
            self.assertEqual(response.status_code, 200)
            self.assertEqual(response["Content-Type"], "text/event-stream")
            seen = []
            async for chunk in response.streaming_content:  # type: ignore[attr-defined]
                text = chunk.decode()
                if text.startswith("event: run"):
                    seen.append(json.loads(text.split("data: ", 1)[1]))
                    if len(seen) == 1:
                        await change(status=RunStatus.TRAINING, epoch=1)
                    else:
                        await change(status=RunStatus.DONE, message="done")
            return seen

        seen = finished(asyncio.wait_for(watch(), 20))
        self.assertEqual([row["status"] for row in seen], ["queued", "training", "done"])

    def test_who_may_not_see_the_run_gets_no_stream(self) -> None:
        async def status(headers: dict[str, str] | None) -> int:
            response = await AsyncClient().get(self.url, headers=headers)
            return int(response.status_code)

        self.assertEqual(finished(status(None)), 401)
        self.assertEqual(finished(status({"authorization": "Token wrong"})), 401)
        self.assertEqual(finished(status(self.headers(self.people.charlie))), 404)


class VersionsTest(ApiCase):
    def test_versions_are_listed_with_their_metrics_and_promoted_by_managers(self) -> None:
        first = make_version(self.dataset, meta=META)
        second = make_version(self.dataset, stage="candidate", parent=first, meta=META)
        second.evaluations.create(
            split="test", frozen_hash="a" * 64, images=4, metrics={"ap50": 0.7}
        )
        rows = self.alice.get(f"/api/v1/model-versions/?dataset={self.dataset.pk}").json()
        self.assertEqual(
            [row["version"] for row in rows["results"]], ["segmenter-2", "segmenter-1"]
        )
        row = rows["results"][0]
        self.assertEqual((row["parent"], row["run"]), ("segmenter-1", None))
        self.assertEqual(row["evaluations"][0]["metrics"], {"ap50": 0.7})
        url = f"/api/v1/model-versions/{second.pk}/promote/"
        self.assertEqual(client_of(self.people.bob).post(url).status_code, 403)
        self.assertEqual(self.alice.post(url).json()["stage"], "current")
        first.refresh_from_db()
        self.assertEqual(first.stage, "retired")

    def test_weights_come_as_a_file_to_members_only(self) -> None:
        version = make_version(self.dataset)
        storage.put(f"{version.key}/weights.safetensors", b"weights")
        url = f"/api/v1/model-versions/{version.pk}/weights/"
        answer: Any = self.alice.get(url)
        self.assertEqual(b"".join(answer.streaming_content), b"weights")
        self.assertIn("segmenter-1.safetensors", answer["Content-Disposition"])
        self.assertEqual(client_of(self.people.charlie).get(url).status_code, 404)


class CompositionTest(ApiCase):
    def test_shares_are_of_typed_cells_with_wilson_intervals(self) -> None:
        body = self.alice.get(f"/api/v1/datasets/{self.dataset.pk}/composition/").json()
        self.assertEqual((body["images"], body["cells"], body["untyped"]), (1, 5, 1))
        hek = body["types"][0]
        self.assertEqual((hek["name"], hek["cells"], hek["share"]), ("HEK", 3, 0.75))
        # Wilson's interval of 3 in 4 at z = 1.96, by hand: (0.3006, 0.9544).
        self.assertAlmostEqual(hek["low"], 0.3006, places=4)
        self.assertAlmostEqual(hek["high"], 0.9544, places=4)
        self.assertEqual(body["per_image"][0]["types"], {"HEK": 3, "N2a": 1})

    def test_a_split_without_images_is_empty_and_an_unknown_one_is_refused(self) -> None:
        url = f"/api/v1/datasets/{self.dataset.pk}/composition/"
        self.assertEqual(self.alice.get(url, {"split": "test"}).json()["cells"], 0)
        self.assertEqual(self.alice.get(url, {"split": "dev"}).status_code, 400)
        self.assertEqual(self.alice.get(url, {"source": "guesses"}).status_code, 400)

    def test_one_culture_is_counted_alone(self) -> None:
        url = f"/api/v1/datasets/{self.dataset.pk}/composition/"
        everything = self.alice.get(url).json()
        culture = everything["per_image"][0]["culture"]
        alone = self.alice.get(url, {"culture": culture}).json()
        self.assertEqual(alone["cells"], everything["cells"])
        other = "HEK" if culture != "HEK" else "mixed"
        self.assertEqual(self.alice.get(url, {"culture": other}).json()["cells"], 0)
        refused = self.alice.get(url, {"culture": "HeLa"})
        self.assertEqual(refused.status_code, 400)
        self.assertIn("HeLa", refused.json()["message"])


class ExportsTest(ApiCase):
    def ask(self, client: Any = None, **body: Any) -> Any:
        body = {"dataset": self.dataset.pk, "format": "coco"} | body
        return (client or self.alice).post("/api/v1/exports/", body, format="json")

    def test_a_stranger_gets_nothing(self) -> None:
        pk = self.ask().json()["id"]
        charlie = client_of(self.people.charlie)
        self.assertEqual(self.ask(charlie).status_code, 404)
        self.assertEqual(charlie.get(f"/api/v1/exports/{pk}/").status_code, 404)
        self.assertEqual(charlie.get(f"/api/v1/exports/{pk}/download/").status_code, 404)

    def test_nothing_to_export_is_told_at_once(self) -> None:
        self.assertEqual(self.ask(source="predictions").json()["code"], "not_ready")
        self.assertEqual(self.ask(format="yolo").status_code, 400)
        self.assertEqual(Export.objects.count(), 0)


class SchemaTest(TestCase):
    def test_the_routes_are_in_the_schema(self) -> None:
        root = client_of(make_people(make_dataset()).root)
        text = root.get("/api/v1/schema/?format=json").content.decode()
        for route in ("training-runs/{id}/cancel/", "model-versions/", "exports/", "queue/next/"):
            self.assertIn(route, text)
        self.assertEqual(ModelVersion.objects.count(), 0)
