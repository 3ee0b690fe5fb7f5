"""Requests as nobody's program would send them: each a 4xx with a sentence, never a 500."""

from __future__ import annotations

import base64
import errno
import json
from typing import Any
from unittest import mock
from urllib.parse import quote, urlencode

import numpy as np
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DataError
from django.test import TestCase, override_settings

from annotator.models import Image, Revision
from tests.annotator.factories import make_dataset, make_image, square_labels
from tests.people import client_of, make_people

DEEP = "[" * 100_000


class Hostile(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.image = make_image(self.dataset, "mixed_b1_1.tif")
        self.alice = client_of(self.people.alice)

    def assert_error(self, answer: Any, status: int, code: str) -> str:
        self.assertEqual((answer.status_code, answer.json()["code"]), (status, code), answer.data)
        return str(answer.json()["message"])

    def annotate(self, labels: Any = None, **document: Any) -> Any:
        labels = square_labels(2) if labels is None else labels
        described = {"shape": [48, 64], "dtype": labels.dtype.name, "cells": []} | document
        parts = {
            "labels": SimpleUploadedFile("labels", labels.tobytes()),
            "document": json.dumps(described),
        }
        return self.alice.put(
            f"/api/v1/images/{self.image.pk}/annotation/",
            parts,
            format="multipart",
            headers={"If-Match": '"0"'},
        )

    def test_numbers_that_no_database_holds_are_nowhere(self) -> None:
        for number in (2**63, 10**30):
            for path in (
                f"datasets/{number}/",
                f"datasets/{number}/images/",
                f"images/{number}/",
                f"training-runs/{number}/",
                f"training-runs/?dataset={number}",
                f"model-versions/?dataset={number}",
                f"exports/{number}/",
            ):
                with self.subTest(path):
                    self.assert_error(self.alice.get(f"/api/v1/{path}"), 404, "not_found")
        for number, status, code in ((2**63 - 1, 404, "not_found"), (10**30, 400, "bad_input")):
            body = {"dataset": number, "format": "coco"}
            answer = self.alice.post("/api/v1/exports/", body, format="json")
            self.assert_error(answer, status, code)

    def test_a_cursor_written_by_hand_is_refused(self) -> None:
        base = f"/api/v1/datasets/{self.dataset.pk}/"
        for path in ("/api/v1/datasets/", base + "images/", base + "members/", base + "queue/"):
            for position in ("abc", "nan", "1' OR 1=1", "\0", "½"):
                cursor = quote(base64.b64encode(urlencode({"p": position}).encode()).decode())
                with self.subTest(path, position=position):
                    answer = self.alice.get(f"{path}?cursor={cursor}")
                    self.assert_error(answer, 404, "not_found")
        first = self.alice.get(base + "members/?limit=1").json()
        self.assertEqual(len(self.alice.get(first["next"]).json()["results"]), 1)

    def test_json_nested_without_end(self) -> None:
        for path in ("datasets/", "training-runs/", "auth/token/"):
            answer = self.alice.generic("POST", f"/api/v1/{path}", DEEP, "application/json")
            self.assert_error(answer, 400, "bad_input")
        parts = {"labels": SimpleUploadedFile("l", b"x"), "document": DEEP}
        url = f"/api/v1/images/{self.image.pk}/annotation/"
        answer = self.alice.put(url, parts, format="multipart", headers={"If-Match": '"0"'})
        self.assert_error(answer, 400, "bad_input")

    def test_half_a_surrogate_pair_is_answered_in_json(self) -> None:
        answer = self.annotate(cells=[{"label": 1, "type": "\ud800"}])
        self.assertIn("half a character", self.assert_error(answer, 400, "bad_input"))
        for path, body in (
            ("exports/", r'{"dataset": 1, "format": "\ud800"}'),
            ("training-runs/", r'{"dataset": 1, "family": "\ud800"}'),
        ):
            answer = self.alice.generic("POST", f"/api/v1/{path}", body, "application/json")
            self.assertIn("half a character", self.assert_error(answer, 400, "bad_input"))

    def test_a_search_is_no_longer_than_a_name(self) -> None:
        url = f"/api/v1/datasets/{self.dataset.pk}/images/"
        for search in ("x" * 60_000, "a\0"):
            self.assert_error(self.alice.get(url, {"search": search}), 400, "bad_input")
        self.assertEqual(self.alice.get(url, {"search": "%_'"}).json()["results"], [])

    @override_settings(DATA_UPLOAD_MAX_NUMBER_FILES=3, DATA_UPLOAD_MAX_NUMBER_FIELDS=3)
    def test_more_files_or_fields_than_a_request_may_carry(self) -> None:
        url = f"/api/v1/datasets/{self.dataset.pk}/images/"
        files = [SimpleUploadedFile(f"{number}.png", b"x") for number in range(4)]
        answer = self.alice.post(url, {"files": files}, format="multipart")
        self.assertIn("3 files", self.assert_error(answer, 413, "too_large"))
        fields = {f"field{number}": "x" for number in range(9)}
        answer = self.alice.post(url, fields, format="multipart")
        self.assert_error(answer, 413, "too_large")

    def test_a_data_set_number_of_thousands_of_digits_is_absent(self) -> None:
        for number in ("9" * 5000, "٣"):
            for noun in ("training-runs", "model-versions"):
                answer = self.alice.get(f"/api/v1/{noun}/", {"dataset": number})
                self.assert_error(answer, 404, "not_found")

    def test_an_etag_with_half_its_quotes_is_refused(self) -> None:
        image = make_image(self.dataset)
        for match in ('"0', '0"', "W/0"):
            answer = self.alice.put(
                f"/api/v1/images/{image.pk}/annotation/", {}, headers={"If-Match": match}
            )
            self.assert_error(answer, 400, "bad_input")

    def test_more_files_than_the_server_can_hold_open(self) -> None:
        full = OSError(errno.EMFILE, "Too many open files", "/tmp/x.upload")
        url = f"/api/v1/datasets/{self.dataset.pk}/images/"
        files = [SimpleUploadedFile("a.png", bytes(3 * 2**20))]  # too long to stay in memory
        with (
            mock.patch("django.core.files.uploadhandler.TemporaryUploadedFile", side_effect=full),
            self.assertLogs("annotator.api.errors", "ERROR"),
        ):
            answer = self.alice.post(url, {"files": files}, format="multipart")
        self.assertIn("Too many open files", self.assert_error(answer, 503, "unavailable"))

    def test_a_value_that_the_database_refuses_is_the_callers_fault(self) -> None:
        refusal = DataError("value too long for type character varying(80)")
        with (
            mock.patch("annotator.api.datasets.dataset_counts", side_effect=refusal),
            self.assertLogs("annotator.api.errors", "WARNING"),
        ):
            self.assert_error(self.alice.get("/api/v1/datasets/"), 400, "bad_input")

    def test_it_rejects_labels_with_more_cells_than_there_is_room_for(self) -> None:
        each = np.arange(1, 48 * 64 + 1, dtype=np.uint16).reshape(48, 64)
        with mock.patch("annotator.services.annotations.FEW_CELLS", 10):
            message = self.assert_error(self.annotate(each), 400, "unusable_labels")
        self.assertIn("3072 cells", message)
        far = square_labels(1).astype(np.uint32) * (2**32 - 1)
        message = self.assert_error(self.annotate(far), 400, "unusable_labels")
        self.assertIn("4294967295", message)
        self.assertFalse(Revision.objects.exists())

    def test_it_rejects_a_document_longer_than_any(self) -> None:
        with mock.patch("annotator.api.annotations.LONGEST_DOCUMENT", 100):
            parts = {
                "labels": SimpleUploadedFile("l", b"x"),
                "document": SimpleUploadedFile("document.json", b" " * 101),
            }
            url = f"/api/v1/images/{self.image.pk}/annotation/"
            answer = self.alice.put(url, parts, format="multipart", headers={"If-Match": '"0"'})
        self.assert_error(answer, 413, "too_large")

    def test_a_run_cannot_start_from_a_file_of_the_server(self) -> None:
        for base in ("file:/etc/passwd", "../../x", "a b", "", "x" * 100):
            body = {"dataset": self.dataset.pk, "family": "detector", "base": base}
            answer = self.alice.post("/api/v1/training-runs/", body, format="json")
            self.assertIn("base", self.assert_error(answer, 400, "bad_input"))

    def test_a_name_that_is_no_name_does_not_stop_the_others(self) -> None:
        # Django lets the first through, and no file can be called so.
        files = [SimpleUploadedFile("C:", b"x"), SimpleUploadedFile("b.png", b"x")]
        url = f"/api/v1/datasets/{self.dataset.pk}/images/"
        answer = self.alice.post(url, {"files": files}, format="multipart")
        self.assertEqual(answer.status_code, 201)
        self.assertEqual({row["file"] for row in answer.json()["failed"]}, {"C:", "b.png"})
        self.assertEqual(Image.objects.count(), 1)
