"""Alice manages, Bob annotates, Vera views, Charlie is a stranger, root is the site's admin."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.test import TestCase

from tests.annotator.factories import make_dataset, make_image, make_revision
from tests.people import client_of, make_people


class Access(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.image = make_image(self.dataset)
        make_revision(self.image, self.people.bob)

    def statuses(self, method: str, path: str, body: object = None) -> dict[str, int]:
        """Status for each person; the path's {d} and {i} are data set and image."""
        url = "/api/v1/" + path.format(d=self.dataset.pk, i=self.image.pk)
        everyone: dict[str, User | None] = dict(vars(self.people)) | {"nobody": None}
        return {
            name: client_of(user).generic(method, url, "{}", "application/json").status_code
            if body is None
            else getattr(client_of(user), method.lower())(url, body, format="json").status_code
            for name, user in everyone.items()
        }

    def test_members_read_and_strangers_are_told_nothing_is_there(self) -> None:
        for path in (
            "datasets/{d}/",
            "datasets/{d}/images/",
            "datasets/{d}/members/",
            "images/{i}/",
            "images/{i}/neighbours/",
            "images/{i}/pixels/",
            "images/{i}/thumbnail/",
            "images/{i}/annotation/",
            "images/{i}/annotation/labels/",
            "images/{i}/annotation/history/",
        ):
            with self.subTest(path):
                url = "/api/v1/" + path.format(d=self.dataset.pk, i=self.image.pk)
                for user in (
                    self.people.alice,
                    self.people.bob,
                    self.people.vera,
                    self.people.root,
                ):
                    self.assertEqual(client_of(user).get(url).status_code, 200, user)
                hidden = client_of(self.people.charlie).get(url)
                self.assertEqual((hidden.status_code, hidden.json()["code"]), (404, "not_found"))
                self.assertEqual(client_of(None).get(url).status_code, 401)

    def test_a_stranger_cannot_tell_a_hidden_image_from_none(self) -> None:
        client = client_of(self.people.charlie)
        hidden = client.get(f"/api/v1/images/{self.image.pk}/").json()["message"]
        absent = client.get("/api/v1/images/987654/").json()["message"]
        self.assertEqual(hidden.replace(str(self.image.pk), "N"), absent.replace("987654", "N"))

    def test_only_annotators_write_annotations(self) -> None:
        for path in ("images/{i}/annotation/", "images/{i}/annotation/labels/"):
            found = self.statuses("PUT", path)
            self.assertEqual((found["vera"], found["charlie"], found["nobody"]), (403, 404, 401))
            self.assertNotIn(found["bob"], (401, 403, 404))

    def test_only_managers_change_the_data_set(self) -> None:
        for method, path in (
            ("PATCH", "datasets/{d}/"),
            ("POST", "datasets/{d}/members/"),
            ("DELETE", "datasets/{d}/members/"),
            ("POST", "datasets/{d}/images/"),
        ):
            with self.subTest(path, method=method):
                found = self.statuses(method, path)
                self.assertEqual(
                    [found[name] for name in ("bob", "vera", "charlie", "nobody")],
                    [403, 403, 404, 401],
                )
                self.assertNotIn(found["alice"], (401, 403, 404))
                self.assertNotIn(found["root"], (401, 403, 404))

    def test_a_refused_member_learns_the_role_that_is_missing(self) -> None:
        answer = client_of(self.people.vera).delete(f"/api/v1/images/{self.image.pk}/")
        self.assertEqual(answer.status_code, 403)
        self.assertIn("manager", answer.json()["message"])
        self.assertIn("viewer", answer.json()["message"])
