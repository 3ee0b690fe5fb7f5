"""The OpenAPI document says what the API does."""

from __future__ import annotations

from typing import Any

from django.test import SimpleTestCase, TestCase
from drf_spectacular.generators import SchemaGenerator

from annotator.api.schema import declare_failures
from tests.annotator.factories import make_dataset
from tests.people import client_of, make_people

LISTS = {
    "datasets/": "DatasetOutput",
    "datasets/{id}/images/": "ImageOutput",
    "datasets/{id}/members/": "MemberOutput",
    "datasets/{id}/queue/": "QueueItemOutput",
}


def document() -> dict[str, Any]:
    made: dict[str, Any] = SchemaGenerator().get_schema(public=True)
    return declare_failures(made)


class Lists(TestCase):
    def test_lists_are_described_as_the_pages_that_they_are(self) -> None:
        schema = document()
        dataset = make_dataset()
        alice = client_of(make_people(dataset).alice)
        for path, row in LISTS.items():
            with self.subTest(path):
                operation = schema["paths"][f"/api/v1/{path}"]["get"]
                answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
                page = schema["components"]["schemas"][answer["$ref"].rsplit("/", 1)[1]]
                self.assertEqual(
                    page["properties"]["results"]["items"], {"$ref": f"#/components/schemas/{row}"}
                )
                parameters = {each["name"] for each in operation["parameters"]}
                self.assertLessEqual({"cursor", "limit"}, parameters)
                body = alice.get("/api/v1/" + path.format(id=dataset.pk)).json()
                self.assertEqual(set(body), set(page["properties"]))


class Routes(SimpleTestCase):
    def test_the_stream_of_a_run_is_described(self) -> None:
        operation = document()["paths"]["/api/v1/training-runs/{id}/events/"]["get"]
        self.assertEqual(list(operation["responses"]["200"]["content"]), ["text/event-stream"])

    def test_every_operation_declares_the_shape_of_its_failures(self) -> None:
        schema = document()
        shape = schema["components"]["schemas"]["Failure"]
        self.assertEqual(set(shape["properties"]), {"message", "code", "fields"})
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                with self.subTest(f"{method} {path}"):
                    self.assertLessEqual({"400", "401", "403", "404"}, set(operation["responses"]))
