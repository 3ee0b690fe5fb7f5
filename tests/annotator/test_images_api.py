"""Images over REST: upload, list, pixels."""

from __future__ import annotations

import gzip
import io
from datetime import timedelta

import numpy as np
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import TestCase, override_settings
from django.utils import timezone
from PIL import Image as Pillow

from annotator.models import Image, QueueItem
from tests.annotator.factories import (
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
    pixels,
    square_labels,
    tiff_bytes,
)
from tests.people import client_of, make_people


class Images(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.alice = client_of(self.people.alice)
        self.url = f"/api/v1/datasets/{self.dataset.pk}/images/"

    def upload(self, *files: tuple[str, bytes], **fields: str | list[str]) -> tuple[int, dict]:
        parts = [SimpleUploadedFile(name, content) for name, content in files]
        answer = self.alice.post(self.url, {"files": parts} | fields, format="multipart")
        return answer.status_code, answer.json()

    def test_several_files_per_request(self) -> None:
        same = tiff_bytes(pixels())
        status, body = self.upload(
            ("HEK_b1_1.tif", same),
            ("HEK_b1_1_masks.tif", tiff_bytes(square_labels())),
            ("copy.tif", same),
            ("text.png", b"hello"),
        )
        self.assertEqual(status, 201)
        image = Image.objects.get()
        self.assertEqual(body["imported"], [{"id": image.pk, "name": "HEK_b1_1.tif"}])
        self.assertEqual(body["duplicates"], [{"file": "copy.tif", "image": image.pk}])
        self.assertEqual(body["revisions"], 1)
        self.assertEqual([row["file"] for row in body["failed"]], ["text.png"])
        self.assertEqual(image.uploaded_by, self.people.alice)

    def test_folders_tell_which_masks_belong_to_which_image(self) -> None:
        files = [
            (f"f01{suffix}.tif", tiff_bytes(array))
            for labels in (square_labels(2), square_labels(5))
            for suffix, array in (("", pixels()), ("_masks", labels))
        ]
        folders = ["day/A", "day/A", "day/B", "day/./B/"]
        status, body = self.upload(*files, folders=folders)
        self.assertEqual((status, body["revisions"], body["failed"]), (201, 2, []))
        cells = [image.revisions.get().cell_count for image in Image.objects.order_by("id")]
        self.assertEqual(cells, [2, 5])
        status, body = self.upload(("f02_masks.tif", files[1][1]), folders=["day/A"])
        self.assertEqual([row["file"] for row in body["failed"]], ["day/A/f02_masks.tif"])

    def test_folders_that_lead_elsewhere_or_are_too_few_are_refused(self) -> None:
        two = (("a.tif", tiff_bytes(pixels())), ("b.tif", tiff_bytes(pixels())))
        for folders in (["/etc", ""], ["x", "a/../.."], ["x" * 1001, ""], ["one"]):
            with self.subTest(folders[0][:9]):
                status, body = self.upload(*two, folders=folders)
                self.assertEqual((status, list(body["fields"])), (400, ["folders"]))
        self.assertFalse(Image.objects.exists())

    def test_split_and_culture_may_be_given(self) -> None:
        self.upload(("a.tif", tiff_bytes(pixels())), split="test", culture="mixed")
        image = Image.objects.get()
        self.assertEqual((image.split, image.culture), ("test", "mixed"))
        for fields in ({"split": "exam"}, {"culture": "CHO"}):
            status, body = self.upload(("b.tif", tiff_bytes(pixels())), **fields)
            self.assertEqual((status, body["code"]), (400, "bad_input"))

    def test_no_file_at_all_is_bad_input(self) -> None:
        answer = self.alice.post(self.url, {"split": "test"}, format="multipart")
        self.assertEqual((answer.status_code, answer.json()["code"]), (400, "bad_input"))

    @override_settings(UPLOAD_MAX_BYTES=5000)
    def test_too_large_a_file_is_refused_while_it_arrives(self) -> None:
        status, body = self.upload(("a.tif", tiff_bytes(pixels())))
        self.assertEqual((status, body["code"]), (413, "too_large"))
        self.assertIn("a.tif", body["message"])
        self.assertFalse(Image.objects.exists())

    def test_a_name_with_a_path_keeps_its_last_part(self) -> None:
        body = (
            b'--x\r\nContent-Disposition: form-data; name="files"; filename="../../evil.tif"\r\n'
            b"Content-Type: image/tiff\r\n\r\n" + tiff_bytes(pixels()) + b"\r\n--x--\r\n"
        )
        answer = self.alice.generic("POST", self.url, body, "multipart/form-data; boundary=x")  # type: ignore[arg-type]
        self.assertEqual(answer.status_code, 201)
        self.assertEqual(Image.objects.get().name, "evil.tif")

    def test_the_list_tells_each_images_state(self) -> None:
        make_version(self.dataset)
        new, predicted, leased, annotated = (
            make_image(self.dataset, f"{name}.tif") for name in ("new", "pre", "lea", "ann")
        )
        for image in (predicted, leased, annotated):
            make_prediction(image, uncertainty=0.25)
        soon = timezone.now() + timedelta(minutes=5)
        QueueItem.objects.create(image=leased, score=1, leased_until=soon)
        make_revision(annotated, labels=square_labels(2))
        rows = self.alice.get(self.url).json()["results"]
        self.assertEqual(
            [(row["status"], row["cells"], row["revision"]) for row in rows],
            [("new", None, 0), ("predicted", 3, 0), ("leased", 3, 0), ("annotated", 2, 1)],
        )
        self.assertEqual([row["uncertainty"] for row in rows], [None, 0.25, 0.25, 0.25])
        for status, image in (("new", new), ("leased", leased), ("annotated", annotated)):
            found = self.alice.get(self.url, {"status": status}).json()["results"]
            self.assertEqual([row["id"] for row in found], [image.pk])
        found = self.alice.get(self.url, {"search": "PRE"}).json()["results"]
        self.assertEqual([row["id"] for row in found], [predicted.pk])
        self.assertEqual(self.alice.get(self.url, {"split": "exam"}).status_code, 400)
        self.assertEqual(self.alice.get(self.url, {"status": "lost"}).status_code, 400)

    def test_pages_of_the_list_cost_the_same_number_of_queries(self) -> None:
        for number in range(6):
            make_revision(make_image(self.dataset, f"{number}.tif"))
        for limit in (2, 5):
            with self.assertNumQueries(4):
                page = self.alice.get(self.url, {"limit": limit}).json()
        names = [row["name"] for row in page["results"]]
        names += [row["name"] for row in self.alice.get(page["next"]).json()["results"]]
        self.assertEqual(names, [f"{number}.tif" for number in range(6)])

    def test_one_image(self) -> None:
        image = make_image(self.dataset, "HEK_b1_1.tif")
        body = self.alice.get(f"/api/v1/images/{image.pk}/").json()
        self.assertEqual(
            (body["dataset"], body["channels"]), (self.dataset.pk, ["cytoplasm", "nucleus"])
        )
        self.assertEqual((body["width"], body["height"], body["dtype"]), (64, 48, "uint16"))
        self.assertEqual(self.alice.delete(f"/api/v1/images/{image.pk}/").status_code, 204)
        self.assertFalse(Image.objects.exists())


class Pixels(TestCase):
    def setUp(self) -> None:
        dataset = make_dataset(channels=["nucleus", "-", "cytoplasm"])
        self.array = pixels((3, 48, 64))
        self.image = make_image(dataset, array=self.array)
        self.client = client_of(make_people(dataset).vera)
        self.url = f"/api/v1/images/{self.image.pk}/pixels/"

    def test_raw_pixels_of_the_roles_in_order(self) -> None:
        answer = self.client.get(self.url)
        self.assertEqual(answer["Content-Encoding"], "gzip")
        self.assertEqual((answer["X-Shape"], answer["X-Dtype"]), ("2,48,64", "uint16"))
        self.assertEqual(answer["X-Channels"], "cytoplasm,nucleus")
        found = np.frombuffer(gzip.decompress(answer.content), "<u2").reshape(2, 48, 64)
        np.testing.assert_array_equal(found, self.array[[2, 0]])

    def test_clients_without_gzip_get_plain_bytes(self) -> None:
        answer = self.client.get(self.url, headers={"Accept-Encoding": "identity"})
        self.assertFalse(answer.has_header("Content-Encoding"))
        self.assertEqual(len(answer.content), 2 * 48 * 64 * 2)

    def test_pixels_that_a_browser_has_are_not_sent_again(self) -> None:
        tag = self.client.get(self.url)["ETag"]
        answer = self.client.get(self.url, headers={"If-None-Match": tag})
        self.assertEqual((answer.status_code, answer.content), (304, b""))

    def test_the_neighbours_are_those_of_the_data_set_in_order_of_upload(self) -> None:
        make_image(make_dataset("other"))
        newer = make_image(self.image.dataset)
        found = [
            self.client.get(f"/api/v1/images/{image.pk}/neighbours/").json()
            for image in (self.image, newer)
        ]
        self.assertEqual(
            found,
            [{"previous": None, "next": newer.pk}, {"previous": self.image.pk, "next": None}],
        )

    def test_thumbnail(self) -> None:
        answer = self.client.get(
            f"/api/v1/images/{self.image.pk}/thumbnail/", headers={"Accept": "image/png"}
        )
        self.assertEqual(answer["Content-Type"], "image/png")
        self.assertEqual(Pillow.open(io.BytesIO(answer.content)).size, (64, 48))
