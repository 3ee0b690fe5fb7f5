"""The explained queue over REST: filters, orders, reasons with counts, choosing an item."""

from __future__ import annotations

import gzip
import io
import json
from datetime import timedelta
from typing import Any

import numpy as np
from django.test import TestCase
from django.utils import timezone

from annotator.models import QueueItem, Revision
from tests.annotator.factories import (
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
    square_labels,
)
from tests.people import client_of, make_people


def why(code: str, value: float | None = 1, text: str = "") -> dict[str, Any]:
    return {"code": code, "text": text or f"because of {code}", "value": value}


class Listing(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.bob = client_of(self.people.bob)
        self.version = make_version(self.dataset)
        self.url = f"/api/v1/datasets/{self.dataset.pk}/queue/"

    def item(self, name: str, *reasons: dict[str, Any], **fields: Any) -> QueueItem:
        image = make_image(self.dataset, name, split=fields.pop("split", "train"))
        uncertainty = fields.pop("uncertainty", None)
        if uncertainty is not None:
            fields["prediction"] = make_prediction(image, self.version, uncertainty=uncertainty)
        return QueueItem.objects.create(
            image=image, reasons=list(reasons), **{"score": 0.5} | fields
        )

    def names(self, query: str = "", client: Any = None) -> list[str]:
        answer = (client or self.bob).get(self.url + query)
        self.assertEqual(answer.status_code, 200, answer.content)
        return [row["image"]["name"][:-4] for row in answer.json()["results"]]

    def test_an_item_tells_region_time_and_heat_but_not_its_kind(self) -> None:
        item = self.item(
            "a.tif", why("border"), region=[1, 2, 30, 40], minutes=2.5, uncertainty=0.5
        )
        self.item("b.tif", score=0.1)
        first, second = self.bob.get(self.url).json()["results"]
        self.assertEqual((first["region"], first["minutes"]), ([1, 2, 30, 40], 2.5))
        heat = f"/api/v1/images/{item.image_id}/heat/?prediction={item.prediction_id}"
        self.assertEqual(first["heat"], heat)
        self.assertEqual(self.bob.get(heat).status_code, 200)
        self.assertEqual([second[key] for key in ("region", "minutes", "heat")], [None] * 3)
        self.assertNotIn("kind", first)

    def test_filters_by_reasons_of_which_one_is_enough(self) -> None:
        self.item("a.tif", why("border"), why("type"), score=0.9)
        self.item("b.tif", why("type"), score=0.8)
        self.item("c.tif", why("existence", text='the "code": "type" is only quoted'), score=0.7)
        self.item("d.tif", why("typed_by_file"), why("mixed-quota", None), score=0.6)
        self.assertEqual(self.names("?reason=type"), ["a", "b"])
        self.assertEqual(self.names("?reason=border&reason=existence"), ["a", "c"])
        self.assertEqual(self.names("?reason=mixed-quota"), ["d"])
        self.assertEqual(self.names("?reason=unheard_of"), [])

    def test_the_item_of_one_image(self) -> None:
        wanted = self.item("a.tif", region=[1, 2, 30, 40])
        self.item("b.tif")
        self.assertEqual(self.names(f"?image={wanted.image_id}"), ["a"])
        self.assertEqual(self.names("?image=123456"), [])
        self.assertEqual(self.bob.get(self.url + "?image=a").status_code, 400)

    def test_filters_by_split_and_culture(self) -> None:
        self.item("HEK_b1_1.tif", score=0.9)
        self.item("mixed_b1_2.tif", score=0.8)
        self.item("HEK_b2_3.tif", score=0.7, split="test")
        self.assertEqual(self.names("?culture=HEK"), ["HEK_b1_1", "HEK_b2_3"])
        self.assertEqual(self.names("?culture=HEK&split=train"), ["HEK_b1_1"])
        self.assertEqual(self.names("?culture=mixed"), ["mixed_b1_2"])

    def test_sorts_by_score_uncertainty_minutes_reasons_and_their_number(self) -> None:
        self.item("a.tif", why("type", 3), score=0.9, minutes=8)
        self.item("b.tif", why("type", 12), why("border", 2), score=0.5, uncertainty=0.3)
        self.item("c.tif", why("border", 40), score=0.1, uncertainty=0.8, minutes=2)
        orders = {
            "": "abc",
            "?sort=score": "abc",
            "?sort=uncertainty": "cba",
            "?sort=minutes": "cab",
            "?sort=reasons": "bac",
            "?sort=number": "cba",
            "?sort=number&reason=type": "ba",
        }
        for query, order in orders.items():
            self.assertEqual("".join(self.names(query)), order, query)

    def test_pages_of_every_order_hold_each_item_once_ties_and_unknowns_too(self) -> None:
        for number in range(7):
            known = number % 3 != 0
            self.item(
                f"{number}.tif",
                *[why("type", number % 2)] * (number % 2 + 1),
                score=number % 2,
                minutes=number % 2 if known else None,
                uncertainty=0.5 if known else None,
            )
        for sort in ("score", "uncertainty", "minutes", "reasons", "number"):
            url, seen = f"{self.url}?sort={sort}&limit=2&reason=type", []
            while url:
                page = self.bob.get(url).json()
                seen += [row["image"]["name"] for row in page["results"]]
                url = page["next"]
            self.assertEqual(sorted(seen), [f"{number}.tif" for number in range(7)], sort)

    def test_what_makes_no_sense_is_refused_in_words(self) -> None:
        for query, word in {
            "?sort=luck": "minutes",
            "?split=all": "validation",
            "?reason=%22%25": "queue/reasons/",
            "?culture=%00": "cell type",
        }.items():
            answer = self.bob.get(self.url + query)
            self.assertEqual(answer.status_code, 400, query)
            self.assertIn(word, answer.json()["message"])
        self.assertEqual(self.bob.get(self.url + "?cursor=cD14").status_code, 404)

    def test_reasons_are_counted_among_what_is_open(self) -> None:
        self.item("a.tif", why("border"), why("type"))
        self.item("b.tif", why("type"), split="test")
        self.item("c.tif", why("existence"), closed_at=timezone.now(), outcome="skipped")
        later = timezone.now() + timedelta(minutes=5)
        self.item("d.tif", why("type"), annotator=self.people.alice, leased_until=later)
        figures = self.bob.get(self.url + "reasons/").json()
        self.assertEqual((figures["open"], figures["held"]), (3, 1))
        counts = [{"code": "type", "count": 3}, {"code": "border", "count": 1}]
        self.assertEqual(figures["reasons"], counts)
        among = self.bob.get(self.url + "reasons/?split=test").json()
        self.assertEqual(among, {"open": 1, "held": 0, "reasons": [{"code": "type", "count": 1}]})

    def test_strangers_see_no_reasons(self) -> None:
        charlie = client_of(self.people.charlie)
        self.assertEqual(charlie.get(self.url + "reasons/").status_code, 404)

    def test_what_checks_an_annotator_is_seen_by_nobody_but_while_it_is_theirs(self) -> None:
        self.item("a.tif", kind="gold", annotator=self.people.bob)
        self.item("b.tif", kind="repeat", annotator=self.people.bob)
        self.assertEqual(self.names(), [])
        QueueItem.objects.update(leased_until=timezone.now() + timedelta(minutes=5))
        self.assertEqual(self.names("?mine=true"), ["a", "b"])
        self.assertEqual(self.names("", client_of(self.people.alice)), [])

    def test_the_list_costs_the_same_queries_for_any_length_and_order(self) -> None:
        for number in range(6):
            self.item(f"{number}.tif", why("type"), uncertainty=0.5)
        with self.assertNumQueries(5):  # membership, data set, items, images, drafts
            self.bob.get(self.url + "?sort=number&reason=type&split=train")


class Taking(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.bob = client_of(self.people.bob)
        self.alice = client_of(self.people.alice)
        self.first, self.second = (
            QueueItem.objects.create(
                image=make_image(self.dataset, f"{name}.tif", split="train"), score=score
            )
            for name, score in (("a", 0.9), ("b", 0.1))
        )

    def take(self, item: QueueItem, client: Any = None) -> Any:
        return (client or self.bob).post(f"/api/v1/queue/{item.pk}/take/")

    def test_the_chosen_item_is_leased_and_next_hands_it_out(self) -> None:
        answer = self.take(self.second)
        self.assertEqual(answer.status_code, 200, answer.content)
        self.assertEqual(answer.json()["annotator"], "bob")
        self.assertAlmostEqual(answer.json()["seconds_left"], 1800, delta=5)
        following = self.bob.post(f"/api/v1/datasets/{self.dataset.pk}/queue/next/").json()
        self.assertEqual(following["id"], self.second.pk)
        again = self.take(self.second)
        self.assertEqual((again.status_code, again.json()["id"]), (200, self.second.pk))

    def test_what_somebody_else_holds_is_refused_until_their_lease_is_over(self) -> None:
        self.take(self.second, self.alice)
        refused = self.take(self.second)
        self.assertEqual((refused.status_code, refused.json()["code"]), (409, "conflict"))
        self.assertIn("in the hands of alice", refused.json()["message"])
        QueueItem.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
        self.assertEqual(self.take(self.second).json()["annotator"], "bob")

    def test_who_holds_another_image_is_told_which(self) -> None:
        self.take(self.first)
        refused = self.take(self.second)
        self.assertEqual((refused.status_code, refused.json()["code"]), (409, "holds_another"))
        self.assertIn("You hold a.tif already", refused.json()["message"])
        self.assertIsNone(QueueItem.objects.get(pk=self.second.pk).annotator)
        self.bob.post(f"/api/v1/queue/{self.first.pk}/release/")
        self.assertEqual(self.take(self.second).status_code, 200)

    def test_who_holds_another_image_is_not_asked_to_give_it_back_for_nothing(self) -> None:
        self.take(self.first)
        self.take(self.second, self.alice)
        refused = self.take(self.second)
        self.assertEqual((refused.status_code, refused.json()["code"]), (409, "conflict"))
        self.assertIn("in the hands of alice", refused.json()["message"])
        QueueItem.objects.filter(pk=self.second.pk).update(closed_at=timezone.now())
        self.assertIn("has left the queue", self.take(self.second).json()["message"])

    def test_what_has_left_the_queue_is_refused(self) -> None:
        QueueItem.objects.filter(pk=self.second.pk).update(closed_at=timezone.now())
        refused = self.take(self.second)
        self.assertEqual(refused.status_code, 409)
        self.assertIn("has left the queue", refused.json()["message"])

    def test_strangers_viewers_and_checks_are_refused(self) -> None:
        self.assertEqual(self.take(self.first, client_of(self.people.charlie)).status_code, 404)
        self.assertEqual(self.take(self.first, client_of(self.people.vera)).status_code, 403)
        QueueItem.objects.filter(pk=self.first.pk).update(kind="gold")
        self.assertEqual(self.take(self.first).status_code, 404)


class RegionSubmitting(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.bob = client_of(self.people.bob)
        self.image = make_image(self.dataset, "a.tif", split="train")
        make_prediction(self.image, make_version(self.dataset))

    def ask(self, region: list[int] | None) -> QueueItem:
        return QueueItem.objects.create(
            image=self.image,
            score=0.9,
            region=region,
            annotator=self.people.bob,
            leased_until=timezone.now() + timedelta(minutes=5),
        )

    def submit(self, item: QueueItem, regions: Any, base: int = 0) -> Any:
        labels = square_labels(2)
        document = {
            "shape": list(labels.shape),
            "dtype": "uint16",
            "cells": [],
            "complete_regions": regions,
        }
        part = io.BytesIO(gzip.compress(np.ascontiguousarray(labels, "<u2").tobytes()))
        part.name = "labels.bin.gz"
        return self.bob.post(
            f"/api/v1/queue/{item.pk}/submit/",
            {"labels": part, "document": json.dumps(document)},
            headers={"If-Match": f'"{base}"'},
        )

    def test_the_region_must_be_complete_in_what_is_sent(self) -> None:
        item = self.ask([8, 8, 40, 40])
        for regions in (None, [], [[0, 0, 20, 20]], [[8, 8, 40, 39]]):
            refused = self.submit(item, regions)
            self.assertEqual(refused.status_code, 400, regions)
            self.assertIn("[8, 8, 40, 40]", refused.json()["message"])
            self.assertIn("complete_regions", refused.json()["fields"])
        self.assertFalse(Revision.objects.exists())
        answer = self.submit(item, [[0, 0, 4, 4], [8, 8, 40, 40]])
        self.assertEqual(answer.status_code, 201, answer.content)
        revision = Revision.objects.get()
        self.assertEqual(revision.complete_regions, [[0, 0, 4, 4], [8, 8, 40, 40]])
        self.assertEqual(answer.json()["item"]["region"], [8, 8, 40, 40])

    def test_a_box_around_it_is_enough(self) -> None:
        self.assertEqual(self.submit(self.ask([8, 8, 40, 40]), [[0, 0, 64, 48]]).status_code, 201)

    def test_an_image_that_was_complete_may_stay_so(self) -> None:
        make_revision(self.image, self.people.alice)
        self.assertEqual(self.submit(self.ask([8, 8, 40, 40]), None, base=1).status_code, 201)

    def test_an_item_of_the_whole_image_needs_no_regions(self) -> None:
        self.assertEqual(self.submit(self.ask(None), None).status_code, 201)
