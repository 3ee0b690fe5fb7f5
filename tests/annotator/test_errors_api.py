"""Every failure is {"message", "code", "fields"?}, whoever raised it."""

from __future__ import annotations

from unittest import mock

from django.db import OperationalError
from django.test import TestCase

from tests.annotator.factories import make_dataset
from tests.people import client_of, make_people


class Errors(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.alice = client_of(make_people(self.dataset).alice)

    def assert_error(self, answer: object, status: int, code: str) -> dict[str, object]:
        body = answer.json()  # type: ignore[attr-defined]
        self.assertEqual((answer.status_code, body["code"]), (status, code))  # type: ignore[attr-defined]
        self.assertTrue(body["message"])
        self.assertLessEqual(set(body), {"message", "code", "fields"})
        return dict(body)

    def test_routes_that_do_not_exist(self) -> None:
        for path in ("/api/v1/nowhere/", "/api/", "/api/v2/datasets/"):
            self.assert_error(self.alice.get(path), 404, "not_found")

    def test_a_body_that_is_no_json(self) -> None:
        answer = self.alice.generic("POST", "/api/v1/datasets/", "{", "application/json")
        self.assert_error(answer, 400, "parse_error")

    def test_a_method_that_is_not_there(self) -> None:
        self.assert_error(self.alice.put("/api/v1/datasets/"), 405, "method_not_allowed")

    def test_fields_are_named(self) -> None:
        answer = self.alice.post(
            "/api/v1/datasets/", {"channels": ["nucleus"], "types": [1, "x" * 99]}, format="json"
        )
        body = self.assert_error(answer, 400, "bad_input")
        self.assertEqual(set(body["fields"]), {"name", "types.1"})  # type: ignore[call-overload]

    def test_a_crash_is_json_and_tells_nothing(self) -> None:
        self.alice.raise_request_exception = False
        with (
            mock.patch("annotator.api.datasets.dataset_counts", side_effect=KeyError("secret")),
            self.assertLogs("django.request", "ERROR"),
        ):
            answer = self.alice.get("/api/v1/datasets/")
        body = self.assert_error(answer, 500, "error")
        self.assertNotIn("secret", str(body))

    def test_a_busy_database_asks_to_try_again(self) -> None:
        busy = OperationalError("database is locked")
        with (
            mock.patch("annotator.api.datasets.dataset_counts", side_effect=busy),
            self.assertLogs("annotator.api.errors", "ERROR"),
        ):
            self.assert_error(self.alice.get("/api/v1/datasets/"), 503, "unavailable")
