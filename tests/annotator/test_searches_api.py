"""Searches over REST: who may start, watch and cancel them, and what is refused by name."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext

from annotator.models import Search, SearchTrial, TrialState
from tests.annotator.factories import make_dataset, make_image, make_revision, square_labels
from tests.people import client_of, make_people


class SearchesTest(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        for name in ("mixed_a_1.tif", "mixed_b_1.tif"):
            image = make_image(self.dataset, name, split="train", culture="mixed")
            make_revision(image, labels=square_labels(6))
        self.people = make_people(self.dataset)
        self.alice = client_of(self.people.alice)

    def start(self, client: Any = None, **body: Any) -> Any:
        asked = {"dataset": self.dataset.pk, "family": "segmenter", "base": "scratch", "trials": 3}
        return (client or self.alice).post("/api/v1/searches/", asked | body, format="json")

    def test_a_manager_starts_a_search(self) -> None:
        answer = self.start(minutes=2)
        self.assertEqual(answer.status_code, 201, answer.content)
        body = answer.json()
        expected: dict[str, Any] = {
            "status": "queued",
            "requested_by": "alice",
            "base": "scratch",
            "wanted": 3,
            "over": 0,
            "minutes": 2.0,
            "best": None,
            "run": None,
        }
        self.assertEqual({key: body[key] for key in expected}, expected)
        self.assertEqual([trial["state"] for trial in body["trials"]], ["waiting"] * 3)
        self.assertIn("learning_rate", body["space"])
        search = Search.objects.get()
        self.assertEqual(search.config["minutes"], 2.0)
        self.assertEqual(search.config["validation_crop"], 160)

    def test_a_second_search_of_the_family_is_a_conflict(self) -> None:
        first = self.start().json()
        again = self.start()
        self.assertEqual(again.status_code, 409)
        self.assertIn(f"Search {first['id']}", again.json()["message"])

    def test_an_annotator_may_watch_but_neither_start_nor_cancel(self) -> None:
        bob = client_of(self.people.bob)
        self.assertEqual(self.start(bob).status_code, 403)
        search = self.start().json()
        self.assertEqual(bob.get(f"/api/v1/searches/{search['id']}/").status_code, 200)
        self.assertEqual(bob.post(f"/api/v1/searches/{search['id']}/cancel/").status_code, 403)

    def test_a_stranger_sees_no_search(self) -> None:
        search = self.start().json()
        charlie = client_of(self.people.charlie)
        self.assertEqual(self.start(charlie).status_code, 404)
        self.assertEqual(charlie.get(f"/api/v1/searches/{search['id']}/").status_code, 404)
        cancel = charlie.post(f"/api/v1/searches/{search['id']}/cancel/")
        self.assertEqual(cancel.status_code, 404)
        self.assertEqual(charlie.get("/api/v1/searches/").json()["results"], [])
        of_set = charlie.get(f"/api/v1/searches/?dataset={self.dataset.pk}")
        self.assertEqual(of_set.status_code, 404)

    def test_the_list_says_how_far_each_is_and_which_trial_is_best(self) -> None:
        search = self.start().json()
        values = {1: (TrialState.DONE, -0.5), 2: (TrialState.PRUNED, -0.1)}
        for number, (state, value) in values.items():
            SearchTrial.objects.filter(number=number).update(state=state, value=value)
        with self.assertNumQueries(4):  # role, searches, trials; and the data set's existence
            answer = self.alice.get(f"/api/v1/searches/?dataset={self.dataset.pk}").json()
        (row,) = answer["results"]
        self.assertEqual((row["id"], row["over"], row["best"]), (search["id"], 2, 1))
        self.assertNotIn("trials", row)

    def test_a_trial_is_shown_with_its_settings_scores_and_the_metrics_of_its_best_epoch(
        self,
    ) -> None:
        pk = self.start().json()["id"]
        epochs = [
            {"epoch": 1, "score": -0.4, "metrics": {"ap50": 0.6}},
            {"epoch": 2, "score": -0.5, "metrics": {"ap50": 0.7}},
        ]
        SearchTrial.objects.filter(number=2).update(epochs=epochs, params={"clip": 0.5})
        with CaptureQueriesContext(connection) as queries:
            trial = self.alice.get(f"/api/v1/searches/{pk}/").json()["trials"][1]
        of_trials = [q["sql"] for q in queries if 'FROM "annotator_searchtrial"' in q["sql"]]
        self.assertEqual(len(of_trials), 1)
        self.assertNotIn("schedules", of_trials[0])
        self.assertEqual(trial["scores"], [-0.4, -0.5])
        self.assertEqual((trial["params"], trial["metrics"]), ({"clip": 0.5}, {"ap50": 0.6}))
        epochs[1]["kept"] = True  # not the highest score, and not to be told from it
        SearchTrial.objects.filter(number=2).update(epochs=epochs)
        trial = self.alice.get(f"/api/v1/searches/{pk}/").json()["trials"][1]
        self.assertEqual(trial["metrics"], {"ap50": 0.7})

    def test_cancel_ends_it_once(self) -> None:
        pk = self.start().json()["id"]
        body = self.alice.post(f"/api/v1/searches/{pk}/cancel/").json()
        self.assertEqual(body["status"], "cancelled")
        self.assertEqual({trial["state"] for trial in body["trials"]}, {"cancelled"})
        again = self.alice.post(f"/api/v1/searches/{pk}/cancel/")
        self.assertEqual((again.status_code, again.json()["code"]), (409, "conflict"))
        self.assertEqual(self.start().status_code, 201)

    def test_nonsense_is_told_by_name(self) -> None:
        for body, words in (
            ({"trials": 1}, "trials"),
            ({"trials": 501}, "trials"),
            ({"minutes": 0}, "minutes"),
            ({"family": "vision"}, "family"),
            ({"space": {"epochs": {"low": 1, "high": 2}}}, "cannot vary epochs"),
            ({"space": {"clip": {"low": 2, "high": 1}}}, "clip must have its low below"),
            ({"space": []}, "space"),
            ({"base": "file:/etc/passwd"}, "base"),
        ):
            with self.subTest(body):
                answer = self.start(**body)
                self.assertEqual(answer.status_code, 400, answer.content)
                self.assertIn(words, answer.content.decode())
        self.assertFalse(Search.objects.exists())

    def test_without_a_second_group_there_is_nothing_to_compare_trials_on(self) -> None:
        self.dataset.images.filter(name="mixed_b_1.tif").delete()
        answer = self.start()
        self.assertEqual((answer.status_code, answer.json()["code"]), (409, "not_ready"))
        self.assertIn("compare trials", answer.json()["message"])
