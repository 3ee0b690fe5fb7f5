"""Flags over REST: annotators raise them, managers resolve them, strangers see nothing."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.test import TestCase

from annotator.models import Flag
from tests.annotator.factories import make_dataset, make_image
from tests.people import client_of, make_people


class Flags(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.image = make_image(self.dataset, "mixed_b1_1.tif")

    def _raise(self, user: User, note: str = "Is this debris?") -> Any:
        url = f"/api/v1/images/{self.image.pk}/flags/"
        return client_of(user).post(url, {"note": note}, format="json")

    def _list(self, user: User, query: str = "") -> Any:
        return client_of(user).get(f"/api/v1/datasets/{self.dataset.pk}/flags/{query}")

    def _resolve(self, user: User | None, pk: int) -> Any:
        return client_of(user).post(f"/api/v1/flags/{pk}/resolve/")

    def test_an_annotator_flags_and_every_member_reads(self) -> None:
        answer = self._raise(self.people.bob, "  Is this debris? ")
        self.assertEqual(answer.status_code, 201)
        flag = Flag.objects.get()
        self.assertEqual((flag.author, flag.note), (self.people.bob, "Is this debris?"))
        (row,) = self._list(self.people.vera).json()["results"]
        self.assertEqual(row["image_name"], "mixed_b1_1.tif")
        self.assertEqual(
            (row["author"], row["resolved_at"], row["resolved_by"]), ("bob", None, None)
        )

    def test_viewers_may_not_flag_and_strangers_find_nothing(self) -> None:
        self.assertEqual(self._raise(self.people.vera).status_code, 403)
        self.assertEqual(self._raise(self.people.charlie).status_code, 404)
        self.assertEqual(self._list(self.people.charlie).status_code, 404)
        self.assertEqual(Flag.objects.count(), 0)

    def test_the_same_open_question_twice_is_one_flag(self) -> None:
        first = self._raise(self.people.bob).json()
        self.assertEqual(self._raise(self.people.bob).json()["id"], first["id"])
        self._raise(self.people.alice)
        self._resolve(self.people.alice, first["id"])
        self._raise(self.people.bob)
        self.assertEqual(Flag.objects.count(), 3)

    def test_the_flags_of_one_image_alone_can_be_asked_for(self) -> None:
        self._raise(self.people.bob)
        other = make_image(self.dataset, "mixed_b1_2.tif")
        self.assertEqual(
            len(self._list(self.people.bob, f"?image={self.image.pk}").json()["results"]), 1
        )
        self.assertEqual(self._list(self.people.bob, f"?image={other.pk}").json()["results"], [])
        self.assertEqual(self._list(self.people.bob, "?image=x").status_code, 400)

    def test_a_note_must_say_something(self) -> None:
        for note in ("", "   ", "x" * 501):
            self.assertEqual(self._raise(self.people.bob, note).status_code, 400)

    def test_a_manager_resolves_once_and_for_all(self) -> None:
        pk = self._raise(self.people.bob).json()["id"]
        self.assertEqual(self._resolve(self.people.bob, pk).status_code, 403)
        self.assertEqual(self._resolve(self.people.charlie, pk).status_code, 404)
        self.assertEqual(self._resolve(None, pk).status_code, 401)
        first = self._resolve(self.people.alice, pk).json()
        self.assertEqual(first["resolved_by"], "alice")
        again = self._resolve(self.people.root, pk).json()
        self.assertEqual(again, first)
        self.assertEqual(self._resolve(self.people.alice, pk + 1).status_code, 404)
        self.assertEqual(self._resolve(self.people.alice, 2**64).status_code, 404)

    def test_open_and_resolved_ones_are_listed_apart(self) -> None:
        ids = [self._raise(self.people.bob, note).json()["id"] for note in ("one", "two")]
        self._resolve(self.people.alice, ids[0])
        listed = {
            query: [row["id"] for row in self._list(self.people.alice, query).json()["results"]]
            for query in ("", "?open=true", "?open=false")
        }
        self.assertEqual(listed, {"": ids[::-1], "?open=true": [ids[1]], "?open=false": [ids[0]]})
        self.assertEqual(self._list(self.people.alice, "?open=perhaps").status_code, 400)

    def test_the_question_stays_when_its_author_leaves(self) -> None:
        self._raise(self.people.bob)
        self.people.bob.delete()
        (row,) = self._list(self.people.alice).json()["results"]
        self.assertIsNone(row["author"])
