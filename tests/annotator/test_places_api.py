"""Places over REST: asking, answering, undoing, and who may."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.test import TestCase

from annotator.models import Prediction
from tests.annotator.factories import (
    make_cells,
    make_dataset,
    make_image,
    make_prediction,
    make_version,
)
from tests.annotator.test_places_service import SPOT, with_blob
from tests.people import client_of, make_people


class PlacesApi(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.version = make_version(self.dataset)

    def predicted(self, name: str = "") -> Prediction:
        array = with_blob(self.dataset.images.count())
        image = make_image(self.dataset, name, array=array, split="train")
        spots = [[*SPOT, 0.8]]
        prediction = make_prediction(image, self.version, missed_at=spots, missed=0.8)
        make_cells(prediction)
        return prediction

    def post(self, path: str, body: Any, user: User | None = None) -> Any:
        client = client_of(user or self.people.bob)
        return client.post(f"/api/v1/datasets/{self.dataset.pk}/{path}/", body, format="json")

    def test_asking_answering_and_undoing(self) -> None:
        mixed, pure = self.predicted("mixed_b1_1.tif"), self.predicted("HEK_b1_1.tif")
        asked = self.post("places/next", {"count": 5}).json()
        self.assertEqual(asked["lease_minutes"], self.dataset.lease_minutes)
        of_image = {each["image"]: each for each in asked["places"]}
        first, second = of_image[mixed.image_id], of_image[pure.image_id]
        self.assertEqual((first["asks_type"], first["type"]), (True, None))
        self.assertEqual((second["asks_type"], second["type"]), (False, "HEK"))
        self.assertEqual((first["x"], first["y"], first["cells"]), (*SPOT, 0.8))
        self.assertEqual(set(first["crop"]), {"picture", "outline", "side"})
        answers = [
            {"place": first["place"], "verdict": "retyped", "type": "N2a"},
            {"place": second["place"], "verdict": "rejected"},
        ]
        done = self.post("places/answers", {"answers": answers, "seconds_spent": 6}).json()
        self.assertEqual(set(done["answered"]), {first["place"], second["place"]})
        self.assertEqual((len(done["revisions"]), done["refused"]), (2, []))
        undo = {
            "revisions": [each["id"] for each in done["revisions"]],
            "places": done["answered"],
        }
        self.assertEqual(len(self.post("cells/undo", undo).json()["revisions"]), 2)
        again = self.post("places/next", {"count": 5}).json()["places"]
        self.assertEqual({each["place"] for each in again}, set(done["answered"]))
        self.assertEqual(self.post("places/release", {"places": undo["places"]}).status_code, 204)
        others = self.post("places/next", {"count": 5}, self.people.alice).json()["places"]
        self.assertEqual(len(others), 2)

    def test_nothing_to_ask_is_an_empty_list(self) -> None:
        self.assertEqual(self.post("places/next", {}).json()["places"], [])

    def test_what_is_wrong_is_said(self) -> None:
        self.predicted()
        (place,) = self.post("places/next", {}).json()["places"]
        for path, body, says in (
            ("next", {"count": 1000}, "count"),
            ("next", {"holding": ["x"]}, "holding"),
            ("answers", {"answers": []}, "answers"),
            ("answers", {"answers": [{"place": place["place"], "verdict": "maybe"}]}, "verdict"),
            ("answers", {"answers": [{"place": 2**64, "verdict": "accepted"}]}, "too large"),
            (
                "answers",
                {"answers": [{"place": place["place"], "verdict": "retyped", "type": "Foo"}]},
                "Foo",
            ),
            ("release", {}, "places"),
        ):
            with self.subTest(path=path, body=body):
                answer = self.post(f"places/{path}", body)
                self.assertEqual(answer.status_code, 400, answer.content)
                self.assertIn(says, answer.content.decode())

    def test_viewers_and_strangers_are_not_asked(self) -> None:
        self.assertEqual(self.post("places/next", {}, self.people.vera).status_code, 403)
        self.assertEqual(self.post("places/next", {}, self.people.charlie).status_code, 404)
