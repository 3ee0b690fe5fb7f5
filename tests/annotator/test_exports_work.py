"""Workers on exports: they beat while they pack and store, and only who holds one ends it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any
from unittest import mock

from django.db import connection
from django.test import TransactionTestCase
from django.utils import timezone

from annotator import storage
from annotator.api.exports import ExportOutput
from annotator.exceptions import Conflict, NotReady
from annotator.models import Dataset, Export, ExportStatus, Image, Revision
from annotator.selectors.exports import waiting_exports
from annotator.services.bundles import BundleRequest, bundle_create
from annotator.services.exports import (
    CHUNK,
    ExportRequest,
    export_create,
    export_download,
    exports_prune,
)
from annotator.work import shutdown
from annotator.work.exporting import work_on_export
from tests.annotator.factories import is_stored, make_dataset, make_image, make_revision
from tests.annotator.faults import filled, small_disk, told_to_stop, waited_for
from tests.annotator.trained import make_trainable
from tests.people import client_of, make_people


class WorkTest(TransactionTestCase):
    """Not in one transaction: the heartbeat has a connection of its own."""

    def setUp(self) -> None:
        self.dataset = make_dataset()

    def create(self, format: str = "cellpose") -> Export:
        self.revision = make_revision(make_image(self.dataset, "HEK_a_1.tif"))
        request = ExportRequest(self.dataset, format)
        return export_create(request=request, requested_by=make_people(self.dataset).alice)

    def worked_while(self, export: Export, storing: Callable[[], None]) -> None:
        """Work on it; ``storing`` happens while the zip is on its way into storage."""
        put = storage.put

        def slow(key: str, content: bytes | Path) -> str:
            if key.startswith("exports/"):
                storing()
            return put(key, content)

        with mock.patch.object(storage, "put", slow):
            work_on_export(export.pk)
        export.refresh_from_db()

    def test_while_it_is_stored_its_worker_is_not_thought_dead(self) -> None:
        export = self.create()

        def storing() -> None:
            Export.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=11))
            self.assertIn(export, waiting_exports(timezone.now()))
            waited_for(lambda: export not in waiting_exports(timezone.now()))

        self.worked_while(export, storing)
        self.assertEqual((export.status, export.tries), (ExportStatus.DONE, 1))

    def test_who_has_lost_an_export_does_not_end_it(self) -> None:
        export = self.create()
        self.worked_while(export, lambda: self.claim_elsewhere(export))
        self.assertEqual((export.status, export.tries), (ExportStatus.RUNNING, 2))
        self.assertEqual((export.key, export.finished_at), ("", None))

    def claim_elsewhere(self, export: Export) -> None:
        Export.objects.filter(pk=export.pk).update(tries=2)

    def test_a_worker_packs_the_zip_once(self) -> None:
        export = self.create()
        with self.assertRaises(NotReady):
            export_download(export=export)
        work_on_export(export.pk)
        work_on_export(export.pk)
        export.refresh_from_db()
        self.assertEqual((export.status, export.images, export.cells), (ExportStatus.DONE, 1, 3))
        key, name = export_download(export=export)
        self.assertTrue(name.endswith(".zip"))
        with zipfile.ZipFile(BytesIO(storage.get(key))) as archive:
            self.assertIn("HEK_a_1_masks.tif", archive.namelist())

    def test_an_export_is_accepted_watched_and_downloaded(self) -> None:
        make_revision(make_image(self.dataset))
        alice = client_of(make_people(self.dataset).alice)
        asked = {"dataset": self.dataset.pk, "format": "coco"}
        answer = alice.post("/api/v1/exports/", asked, format="json")
        self.assertEqual(answer.status_code, 202, answer.content)
        body = answer.json()
        early = alice.get(f"{body['url']}download/")
        self.assertEqual((early.status_code, early.json()["code"]), (409, "not_ready"))
        work_on_export(body["id"])
        done = alice.get(body["url"]).json()
        self.assertEqual((done["status"], done["images"]), ("done", 1))
        zipped: Any = alice.get(done["download"])
        content = b"".join(zipped.streaming_content)
        self.assertEqual(content[:2], b"PK")

    def test_an_export_cut_off_by_a_stop_is_begun_anew(self) -> None:
        export = self.create()
        with told_to_stop():
            work_on_export(export.pk)
        export.refresh_from_db()
        self.assertEqual(export.status, ExportStatus.QUEUED)
        work_on_export(export.pk)
        export.refresh_from_db()
        self.assertEqual((export.status, export.images), (ExportStatus.DONE, 1))

    def test_a_bundle_is_left_while_it_is_packed_and_begun_anew(self) -> None:
        self.dataset = make_trainable()
        request = BundleRequest(self.dataset, "segmenter", base="scratch")
        export = bundle_create(request=request, requested_by=make_people(self.dataset).alice)
        packed: list[Path] = []

        def told(file: Path) -> str:
            packed.append(file)
            shutdown._leaving.set()
            return ""

        self.addCleanup(shutdown._leaving.clear)
        with mock.patch("training.sealed.file_sha256", told):
            work_on_export(export.pk)
        export.refresh_from_db()
        self.assertEqual((export.status, export.tries), (ExportStatus.QUEUED, 0))
        self.assertEqual(len(packed), 1, "it was packed to its end")
        shutdown._leaving.clear()
        work_on_export(export.pk)
        export.refresh_from_db()
        self.assertEqual((export.status, export.images), (ExportStatus.DONE, 3))

    def test_an_export_whose_worker_fell_silent_is_taken_over(self) -> None:
        export = self.create()
        beats = timezone.now() - timedelta(minutes=5), timezone.now() - timedelta(minutes=11)
        for heard, taken in zip(beats, (False, True), strict=True):
            Export.objects.update(status=ExportStatus.RUNNING, heartbeat_at=heard)
            work_on_export(export.pk)
            export.refresh_from_db()
            self.assertEqual(export.status == ExportStatus.DONE, taken)

    def test_an_export_that_kills_three_workers_fails_with_what_to_do(self) -> None:
        export = self.create()
        with told_to_stop():
            work_on_export(export.pk)  # no death
        for _ in range(3):
            with (
                mock.patch("annotator.work.exporting._zipped", side_effect=SystemExit),
                self.assertRaises(SystemExit),  # as little is written as by a killed worker
            ):
                work_on_export(export.pk)
            Export.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=11))
        work_on_export(export.pk)
        export.refresh_from_db()
        self.assertEqual(export.status, ExportStatus.FAILED)
        self.assertIn("one split at a time", export.message)

    def test_the_zip_goes_when_its_days_are_over(self) -> None:
        export = self.create()
        work_on_export(export.pk)
        export.refresh_from_db()
        key, now = export.key, timezone.now()
        exports_prune(now=now + timedelta(days=29))
        self.assertTrue(is_stored(key))
        exports_prune(now=now + timedelta(days=31))
        self.assertFalse(is_stored(key))
        export.refresh_from_db()
        with self.assertRaisesMessage(Conflict, "removed after 30 days; export again"):
            export_download(export=export)
        self.assertIsNone(ExportOutput(export).data["download"])

    def test_an_export_that_fails_says_why(self) -> None:
        revision = make_revision(make_image(self.dataset))
        request = ExportRequest(self.dataset, "csv")
        export = export_create(request=request, requested_by=make_people(self.dataset).alice)
        storage.delete(revision.labels_key)
        with self.assertLogs("annotator.work.exporting", "WARNING"):
            work_on_export(export.pk)
        export.refresh_from_db()
        self.assertEqual(export.status, ExportStatus.FAILED)
        self.assertIn("missing from object storage", export.message)

    def test_a_disk_that_is_full_of_a_bundle_is_told_as_that(self) -> None:
        self.dataset = make_trainable()
        request = BundleRequest(self.dataset, "segmenter", base="scratch")
        export = bundle_create(request=request, requested_by=make_people(self.dataset).alice)
        with (
            small_disk(8) as disk,
            filled(disk, leave=1 << 14),
            self.settings(SNAPSHOTS_DIR=disk / "snapshots"),
            self.assertLogs("annotator.work.exporting", "WARNING"),
        ):
            work_on_export(export.pk)
        export.refresh_from_db()
        self.assertEqual(export.status, ExportStatus.FAILED)
        self.assertIn("disk", export.message)
        self.assertNotIn("log says why", export.message)


class BesideWritersTest(TransactionTestCase):
    """Its own transactions, as SQLite locks by them; the second writer has its own connection."""

    def test_an_export_of_more_than_one_chunk_bears_writers_beside_it(self) -> None:
        dataset = make_dataset()
        first = make_revision(make_image(dataset, "a_0.tif"))
        images = Image.objects.bulk_create(copies(first.image, CHUNK))
        Revision.objects.bulk_create(
            Revision(
                image=image,
                number=1,
                labels_key=first.labels_key,
                source="import",
                cell_count=0,
                corrected_cells=0,
            )
            for image in images
        )
        request = ExportRequest(dataset, "cellpose")
        export = export_create(request=request, requested_by=make_people(dataset).alice)

        def write() -> None:
            try:
                Dataset.objects.update(lease_minutes=31)
            finally:
                connection.close()

        read = storage.labels_get

        def beside(key: str) -> Any:
            writer = Thread(target=write)
            writer.start()
            writer.join()
            return read(key)

        with mock.patch.object(storage, "labels_get", beside):
            work_on_export(export.pk)
        export.refresh_from_db()
        self.assertEqual((export.status, export.images), (ExportStatus.DONE, CHUNK + 1))


def copies(image: Image, count: int) -> list[Image]:
    """Rows of ``count`` more images with the same original."""
    rows = []
    for number in range(1, count + 1):
        row = Image.objects.get(pk=image.pk)
        row.pk, row.name, row.sha256 = None, f"a_{number}.tif", f"{number:064x}"
        rows.append(row)
    return rows
