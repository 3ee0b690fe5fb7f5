"""Answers about cells over REST: changes, their undo, what one is asked, and who may."""

from __future__ import annotations

from typing import Any

from annotator.models import CellQuestion, PredictedCell, Prediction, Revision
from tests.annotator.factories import (
    make_cells,
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
)
from tests.annotator.test_cells_api import Base


class Answers(Base):
    def body(self, prediction: Prediction, **change: Any) -> dict[str, Any]:
        cells = {
            "image": prediction.image_id,
            "revision": 0,
            "prediction": prediction.pk,
            "labels": [1],
        }
        return {"verdict": "retyped", "type": "N2a", "images": [cells]} | change

    def test_a_change_and_its_undo(self) -> None:
        one, two = self.predicted(), self.predicted()
        images = self.body(one)["images"] + self.body(two)["images"]
        answer = self.post("change", self.body(one, images=images, seconds_spent=3))
        self.assertEqual(answer.status_code, 200, answer.content)
        made = answer.json()["revisions"]
        self.assertEqual([each["revision"] for each in made], [1, 1])
        self.assertEqual(len(self.listed(type="N2a")), 2)
        undone = self.post("undo", {"revisions": [each["id"] for each in made]}).json()
        self.assertEqual([each["revision"] for each in undone["revisions"]], [2, 2])
        self.assertEqual(self.listed(type="N2a"), [])

    def test_two_changes_of_one_image_are_undone_together(self) -> None:
        prediction = self.predicted()
        first = self.post("change", self.body(prediction)).json()["revisions"][0]
        cells = self.body(prediction)["images"][0] | {"revision": 1, "labels": [2]}
        second = self.post("change", self.body(prediction, images=[cells])).json()["revisions"][0]
        undone = self.post("undo", {"revisions": [first["id"], second["id"]]}).json()
        self.assertEqual((len(undone["revisions"]), undone["moved"]), (2, []))
        self.assertEqual(self.listed(type="N2a"), [])

    def test_asking_answering_and_undoing(self) -> None:
        self.predicted("HEK_b1_1.tif", type="HEK", uncertainty=0.2, terms={"border": 0.2})
        self.predicted(uncertainty=0.9)
        asked = self.post("next", {"count": 6}).json()
        self.assertEqual(len(asked["questions"]), 6)
        first, last = asked["questions"][0], asked["questions"][-1]
        self.assertEqual((first["asks_type"], first["type"]), (True, None))
        self.assertEqual((last["asks_type"], last["type"]), (False, "HEK"))
        answers = [{"cell": first["cell"], "verdict": "retyped", "type": "N2a"}]
        done = self.post("answers", {"answers": answers, "seconds_spent": 2}).json()
        self.assertEqual((done["answered"], done["refused"]), ([first["cell"]], []))
        undo = {
            "revisions": [each["id"] for each in done["revisions"]],
            "cells": [first["cell"]],
        }
        self.assertEqual(self.post("undo", undo).status_code, 200)
        self.assertEqual(CellQuestion.objects.get(cell=first["cell"]).verdict, "")
        cells = [question["cell"] for question in asked["questions"]]
        self.assertEqual(self.post("release", {"cells": cells}).status_code, 204)
        self.assertFalse(CellQuestion.objects.exclude(annotator=None).exists())

    def test_viewers_see_but_do_not_change_and_strangers_find_nothing(self) -> None:
        prediction = self.predicted()
        crops = {"cells": self.body(prediction)["images"]}
        writes = {
            "change": self.body(prediction),
            "undo": {"revisions": [1]},
            "next": {},
            "answers": {"answers": [{"cell": 1, "verdict": "accepted"}]},
            "release": {"cells": [1]},
        }
        self.assertEqual(self.post("crops", crops, self.people.vera).status_code, 200)
        self.assertEqual(self.read(self.people.charlie).status_code, 404)
        self.assertEqual(self.post("crops", crops, self.people.charlie).status_code, 404)
        for path, body in writes.items():
            with self.subTest(path):
                self.assertEqual(self.post(path, body, self.people.vera).status_code, 403)
                self.assertEqual(self.post(path, body, self.people.charlie).status_code, 404)
        self.assertFalse(Revision.objects.exists())

    def test_cells_of_another_data_set_are_out_of_reach(self) -> None:
        other = make_dataset()
        theirs = make_prediction(make_image(other), make_version(other))
        make_cells(theirs)
        self.assertEqual(self.post("change", self.body(theirs)).status_code, 400)
        crops = self.post("crops", {"cells": self.body(theirs)["images"]})
        self.assertEqual(crops.json(), {"crops": []})
        revision = make_revision(theirs.image)
        self.assertEqual(self.post("undo", {"revisions": [revision.pk]}).status_code, 400)
        cell = PredictedCell.objects.filter(prediction=theirs).first()
        assert cell is not None
        answers = [{"cell": cell.pk, "verdict": "rejected"}]
        refused = self.post("answers", {"answers": answers}).json()["refused"]
        self.assertEqual(refused[0]["cell"], cell.pk)
        self.assertEqual(theirs.image.revisions.count(), 1)

    def test_before_there_is_a_model_asking_says_so(self) -> None:
        self.version.delete()
        answer = self.post("next", {})
        self.assertEqual((answer.status_code, answer.json()["code"]), (409, "not_ready"))

    def test_more_cells_than_a_query_takes_are_refused(self) -> None:
        self.predicted()
        many = list(range(1, 40_000))
        for path, body in (
            ("release", {"cells": many}),
            ("next", {"count": 1, "holding": many}),
            ("undo", {"revisions": [1], "cells": many}),
        ):
            self.assertEqual(self.post(path, body).status_code, 400, path)

    def test_two_answers_to_one_cell_are_none(self) -> None:
        self.predicted()
        (question,) = self.post("next", {"count": 1}).json()["questions"]
        verdicts = ("accepted", "rejected")
        twice = [{"cell": question["cell"], "verdict": verdict} for verdict in verdicts]
        answer = self.post("answers", {"answers": twice})
        self.assertEqual(answer.status_code, 400)
        self.assertIn("Each cell may be answered once", answer.json()["message"])
        self.assertFalse(Revision.objects.exists())

    def test_a_malformed_change_is_refused(self) -> None:
        prediction = self.predicted()
        cells = self.body(prediction)["images"]
        changes: tuple[dict[str, Any], ...] = (
            {"verdict": "eaten"},
            {"type": "CHO"},
            {"images": []},
            {"images": cells * 2},
            {"images": [{**cells[0], "labels": []}]},
            {"images": [{**cells[0], "labels": [99]}]},
            {"images": [{**cells[0], "image": 99999}]},
            {"seconds_spent": -1},
        )
        for change in changes:
            with self.subTest(change):
                answer = self.post("change", self.body(prediction, **change))
                self.assertEqual(answer.status_code, 400, answer.content)
        self.assertFalse(Revision.objects.exists())
