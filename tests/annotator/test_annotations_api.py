"""Annotations over REST: ETag and If-Match, raw bytes, TIFF and PNG."""

from __future__ import annotations

import gzip
import io
import json
from datetime import timedelta
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import TestCase
from django.utils import timezone

from annotator.models import PredictedCell, QueueItem, Revision
from annotator.selectors.queue import images_without_model
from tests.annotator.factories import (
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    square_labels,
    tiff_bytes,
)
from tests.people import client_of, make_people


class Annotations(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.image = make_image(self.dataset, "mixed_b1_1.tif")
        self.bob = client_of(self.people.bob)
        self.url = f"/api/v1/images/{self.image.pk}/annotation/"
        self.labels = square_labels(2)

    def put(
        self,
        content: bytes | None = None,
        match: str | None = '"0"',
        cells: Any = ({"label": 1, "type": "HEK"}, {"label": 2, "type": None}),
        **document: Any,
    ) -> Any:
        parts = {
            "labels": SimpleUploadedFile(
                "labels", self.labels.tobytes() if content is None else content
            ),
            "document": json.dumps(
                {"shape": [48, 64], "dtype": "uint16", "cells": cells} | document
            ),
        }
        headers = {} if match is None else {"If-Match": match}
        return self.bob.put(self.url, parts, format="multipart", headers=headers)

    def test_hours_that_nobody_can_have_worked_are_refused(self) -> None:
        self.assertEqual(self.put(seconds_spent=1e300).status_code, 400)
        self.assertEqual(self.put(seconds_spent=10**6).status_code, 201)

    def test_an_image_without_annotation_has_revision_0(self) -> None:
        answer = self.bob.get(self.url)
        self.assertEqual((answer["ETag"], answer.json()["revision"]), ('"0"', 0))
        self.assertEqual(answer.json()["cells"], [])
        self.assertEqual(self.bob.get(self.url + "labels/").status_code, 404)
        self.assertEqual(self.bob.get(self.url + "history/").json(), [])

    def test_what_was_written_is_read_back(self) -> None:
        answer = self.put(seconds_spent=3.5, note="done", complete_regions=[[0, 0, 64, 48]])
        self.assertEqual((answer.status_code, answer["ETag"]), (201, '"1"'))
        read = self.bob.get(self.url)
        self.assertEqual((read["ETag"], read.json()), ('"1"', answer.json()))
        body = read.json()
        self.assertEqual((body["author"], body["parent"], body["source"]), ("bob", None, "rest"))
        self.assertEqual(
            body["cells"][0],
            {
                "label": 1,
                "type": "HEK",
                "type_source": "human",
                "bbox": [0, 0, 8, 8],
                "area": 64,
                "centroid": [3.5, 3.5],
            },
        )
        labels = self.bob.get(self.url + "labels/")
        self.assertEqual((labels["X-Shape"], labels["X-Dtype"]), ("48,64", "uint16"))
        raw = np.frombuffer(gzip.decompress(labels.content), "<u2").reshape(48, 64)
        np.testing.assert_array_equal(raw, self.labels)

    def test_a_writer_that_wants_no_cells_back_gets_none(self) -> None:
        whole = self.put().json()
        for prefer in ("return=minimal", 'respond-async, Return = "minimal"'):
            self.bob.credentials(HTTP_PREFER=prefer)
            answer = self.put()
            self.assertEqual((answer.status_code, answer["ETag"]), (201, '"1"'))
            self.assertEqual(answer["Preference-Applied"], "return=minimal")
            self.assertEqual(answer.json(), {k: v for k, v in whole.items() if k != "cells"})
        for prefer in ("return=representation, return=minimal", "return=minimalist", "wait=1"):
            self.bob.credentials(HTTP_PREFER=prefer)
            self.assertEqual(self.put().json(), whole)

    def test_labels_may_come_gzipped_or_as_tiff_or_png(self) -> None:
        for number, content in enumerate(
            (
                gzip.compress(self.labels.tobytes()),
                tiff_bytes(self.labels),
                bytes(imagecodecs.png_encode(self.labels)),
            )
        ):
            make_revision(self.image, self.people.alice, square_labels(5))
            head = 2 * number + 1
            self.assertEqual(self.put(content, f'"{head}"').status_code, 201)

    def test_raw_labels_that_begin_like_gzip_are_still_raw(self) -> None:
        self.labels[0, 0] = 0x8B1F
        cells = [{"label": 1, "type": None}]
        self.assertEqual(self.put(cells=cells).status_code, 201)

    def test_labels_leave_as_tiff_or_png_when_asked(self) -> None:
        self.put()
        tiff = self.bob.get(self.url + "labels/", headers={"Accept": "image/tiff"})
        np.testing.assert_array_equal(tifffile.imread(io.BytesIO(tiff.content)), self.labels)
        png = self.bob.get(self.url + "labels/", headers={"Accept": "image/png"})
        np.testing.assert_array_equal(imagecodecs.png_decode(png.content), self.labels)
        self.assertIn("mixed_b1_1_masks.png", png["Content-Disposition"])
        make_revision(self.image, None, self.labels.astype(np.uint32) * 70000)
        png = self.bob.get(self.url + "labels/", headers={"Accept": "image/png"})
        self.assertEqual((png.status_code, png.json()["code"]), (400, "bad_input"))

    def test_a_write_must_say_what_it_began_with(self) -> None:
        answer = self.put(match=None)
        self.assertEqual(
            (answer.status_code, answer.json()["code"]), (428, "precondition_required")
        )
        self.assertEqual(self.put(match="*").status_code, 400)

    def test_a_stale_write_is_refused(self) -> None:
        make_revision(self.image, self.people.alice)
        answer = self.put()
        self.assertEqual((answer.status_code, answer.json()["code"]), (412, "stale_revision"))
        self.assertEqual(Revision.objects.count(), 1)

    def test_a_repeated_write_is_answered_like_the_first(self) -> None:
        first, again = self.put(), self.put()
        self.assertEqual((again.status_code, again.json()), (201, first.json()))
        self.assertEqual(Revision.objects.count(), 1)

    def test_it_rejects_labels_and_documents_that_do_not_fit(self) -> None:
        raw = self.labels.tobytes()
        for content, change, code in (
            (raw[:-2], {}, "unusable_labels"),
            (raw, {"shape": [64, 48]}, "unusable_labels"),
            (raw, {"dtype": "uint32"}, "unusable_labels"),
            (raw, {"dtype": "int8"}, "bad_input"),
            (raw, {"cells": [{"label": 3}]}, "unusable_labels"),
            (raw, {"cells": [{"label": 1, "type": "CHO"}]}, "unusable_labels"),
            (raw, {"cells": [{"label": 1}, {"label": 1}]}, "bad_input"),
            (raw, {"cells": [{"label": "1"}]}, "bad_input"),
            (raw, {"cells": [7]}, "bad_input"),
            (raw, {"cells": [{"label": 1, "type_source": "oracle"}]}, "bad_input"),
            (raw, {"complete_regions": [[0, 0, 99, 99]]}, "unusable_labels"),
            (gzip.compress(raw)[:-9], {}, "unusable_labels"),
            (gzip.compress(b"\0" * 10**8), {}, "too_large"),
            (b"\0" * (4 * 48 * 64 + 2**21), {}, "too_large"),
            (tiff_bytes(square_labels(shape=(20, 20))), {}, "unusable_labels"),
            (b"\x89PNG\r\n\x1a\n nonsense", {}, "unreadable_image"),
        ):
            with self.subTest(code, change=change):
                answer = self.put(content, **change)
                self.assertEqual(answer.json()["code"], code, answer.content)
        self.assertFalse(Revision.objects.exists())

    def test_it_rejects_a_request_without_its_parts(self) -> None:
        for parts in ({}, {"document": "{"}, {"labels": SimpleUploadedFile("l", b"x")}):
            answer = self.bob.put(self.url, parts, format="multipart", headers={"If-Match": '"0"'})
            self.assertEqual((answer.status_code, answer.json()["code"]), (400, "bad_input"))

    def test_a_plain_label_file_keeps_types_by_overlap(self) -> None:
        prediction = make_prediction(self.image, labels=self.labels)
        PredictedCell.objects.create(
            prediction=prediction,
            label=2,
            type=self.dataset.types.get(name="N2a"),
            score=1,
            uncertainty=0,
            seen_by="both",
            bbox=[10, 0, 18, 8],
            area=64,
            centroid=[13.5, 3.5],
        )
        moved = np.roll(self.labels, 1, axis=0) * 5
        answer = self.bob.put(
            self.url + "labels/",
            tiff_bytes(moved),
            content_type="image/tiff",
            headers={"If-Match": '"0"'},
        )
        self.assertEqual(answer.status_code, 201, answer.content)
        found = {
            cell["label"]: (cell["type"], cell["type_source"]) for cell in answer.json()["cells"]
        }
        self.assertEqual(found, {5: (None, ""), 10: ("N2a", "model")})
        raw = self.bob.put(
            self.url + "labels/",
            self.labels.tobytes(),
            content_type="application/octet-stream",
            headers={"If-Match": '"1"'},
        )
        self.assertEqual((raw.status_code, raw["ETag"]), (201, '"2"'))

    def test_a_plain_label_file_leaves_the_complete_regions_as_they_were(self) -> None:
        make_revision(self.image, self.people.alice, complete_regions=[[0, 0, 32, 48]])
        answer = self.bob.put(
            self.url + "labels/",
            tiff_bytes(square_labels(5)),
            content_type="image/tiff",
            headers={"If-Match": '"1"'},
        )
        self.assertEqual(answer.json()["complete_regions"], [[0, 0, 32, 48]])

    def test_cells_mended_in_passing_leave_the_image_in_the_queue(self) -> None:
        item = QueueItem.objects.create(image=self.image, score=1)
        part: dict[str, Any] = {"complete_regions": [[0, 0, 9, 9]], "in_passing": True}
        self.assertEqual(self.put(**part).json()["source"], "gallery")
        item.refresh_from_db()
        self.assertIsNone(item.closed_at)
        self.assertFalse(images_without_model(self.dataset).exists())  # it waits there
        item.delete()
        self.assertTrue(images_without_model(self.dataset).exists())
        # Whoever says that the whole image is complete has looked at it.
        item = QueueItem.objects.create(image=self.image, score=1)
        whole = self.put(match='"1"', in_passing=True)
        item.refresh_from_db()
        self.assertEqual((whole.json()["source"], item.outcome), ("rest", "submitted"))

    def test_no_note_makes_a_revision_one_that_takes_others_back(self) -> None:
        part: dict[str, Any] = {"complete_regions": [[0, 0, 9, 9]], "in_passing": True}
        self.put(**part, note="revision 2 undone")
        self.put(match='"1"', **part, note="revision 1 undone")
        last = Revision.objects.get(number=2)
        undo = f"/api/v1/datasets/{self.dataset.pk}/cells/undo/"
        undone = self.bob.post(undo, {"revisions": [last.pk]}, format="json").json()
        self.assertEqual((len(undone["revisions"]), undone["moved"]), (1, []))
        works = Revision.objects.order_by("number").values_list("is_work", flat=True)
        self.assertEqual(list(works), [True, False, False])

    def test_who_has_the_image_from_the_queue_mends_it_there(self) -> None:
        QueueItem.objects.create(
            image=self.image,
            score=1,
            annotator=self.people.bob,
            leased_until=timezone.now() + timedelta(minutes=5),
        )
        answer = self.put(complete_regions=[[0, 0, 9, 9]], in_passing=True)
        self.assertEqual(answer.status_code, 409)
        self.assertIn("in the editor", answer.json()["message"])
        self.assertFalse(Revision.objects.exists())

    def test_it_rejects_json_that_no_database_keeps(self) -> None:
        begin = '{"shape": [48, 64], "dtype": "uint16", "cells": [], '
        for rest in (
            '"seconds_spent": NaN}',
            '"seconds_spent": -Infinity}',
            '"seconds_spent": 1e999}',
            '"prediction": 123456789012345678901234567890}',
            '"note": "\\u0000"}',
            '"work": ' + "[" * 100_000 + "]" * 100_000 + "}",
        ):
            with self.subTest(rest[:40]):
                parts = {
                    "labels": SimpleUploadedFile("labels", self.labels.tobytes()),
                    "document": begin + rest,
                }
                answer = self.bob.put(
                    self.url, parts, format="multipart", headers={"If-Match": '"0"'}
                )
                self.assertEqual((answer.status_code, answer.json()["code"]), (400, "bad_input"))
                self.assertIn("no JSON that can be used", answer.json()["message"])

    def test_labels_are_zipped_unless_the_client_refuses(self) -> None:
        self.put()
        for accept, zipped in (
            ("gzip", True),
            ("br, gzip;q=0.5", True),
            ("*", True),
            ("gzip;q=0", False),
            ("gzip; q=0.0, identity", False),
            ("br", False),
            ("*, gzip;q=0", False),
        ):
            with self.subTest(accept):
                answer = self.bob.get(self.url + "labels/", headers={"Accept-Encoding": accept})
                self.assertEqual(answer.has_header("Content-Encoding"), zipped)

    def test_history_is_newest_first(self) -> None:
        self.put()
        make_revision(self.image, self.people.alice)
        rows = self.bob.get(self.url + "history/").json()
        self.assertEqual(
            [(row["revision"], row["parent"], row["author"]) for row in rows],
            [(2, 1, "alice"), (1, None, "bob")],
        )

    def test_reading_costs_the_same_whatever_the_number_of_cells(self) -> None:
        for count in (2, 24):
            make_revision(self.image, None, square_labels(count))
            with self.assertNumQueries(5):
                self.assertEqual(len(self.bob.get(self.url).json()["cells"]), count)
