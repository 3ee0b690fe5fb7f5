"""Importing one image: bytes, split, culture, duplicates, deletion."""

from __future__ import annotations

import io
from typing import Any
from unittest import mock

import numpy as np
from django.test import TestCase
from PIL import Image as Pillow

from annotator import storage
from annotator.exceptions import BadInput, Unavailable, UnreadableImage
from annotator.models import Image, Revision
from annotator.naming import split_of
from annotator.services.images import (
    image_array,
    image_bytes,
    image_delete,
    image_import,
    image_thumbnail,
)
from tests.annotator.factories import (
    is_stored,
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    pixels,
    tiff_bytes,
)


class Importing(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()

    def test_the_original_is_kept_bit_for_bit(self) -> None:
        array = pixels()
        content = tiff_bytes(array, compression="zlib")
        image = image_import(
            dataset=self.dataset, name="HEK_b1_1.tif", content=content, uploaded_by=None
        ).image
        self.assertEqual(image_bytes(image), content)
        np.testing.assert_array_equal(image_array(image), array)
        self.assertEqual((image.width, image.height, image.channel_count), (64, 48, 2))
        self.assertEqual((image.dtype, image.size_bytes), ("uint16", len(content)))

    def test_the_same_bytes_twice_are_one_image(self) -> None:
        content = tiff_bytes(pixels())
        first = image_import(dataset=self.dataset, name="a.tif", content=content, uploaded_by=None)
        again = image_import(dataset=self.dataset, name="b.tif", content=content, uploaded_by=None)
        self.assertEqual((first.duplicate, again.duplicate), (False, True))
        self.assertEqual(again.image, first.image)
        self.assertEqual(Image.objects.count(), 1)

    def test_name_gives_culture_batch_and_split(self) -> None:
        image = make_image(self.dataset, "n2a_b7_003.tif")
        self.assertEqual((image.culture, image.batch, image.field), ("N2a", "b7", "003"))
        self.assertEqual(image.culture_type, self.dataset.types.get(name="N2a"))
        self.assertEqual((image.group, image.split), ("batch=b7", split_of("batch=b7")))
        sibling = make_image(self.dataset, "mixed_b7_9.tif")
        self.assertEqual((sibling.culture, sibling.culture_type), ("mixed", None))
        self.assertEqual(sibling.split, image.split)

    def test_without_a_group_the_content_decides_the_split(self) -> None:
        image = make_image(self.dataset, "scan.tif")
        self.assertEqual((image.group, image.split), (image.sha256, split_of(image.sha256)))
        self.assertEqual(image.culture, "")

    def test_a_group_that_was_given_a_split_keeps_it(self) -> None:
        other = "test" if split_of("batch=b7") == "train" else "train"
        make_image(self.dataset, "HEK_b7_1.tif", split=other)
        self.assertEqual(make_image(self.dataset, "HEK_b7_2.tif").split, other)
        elsewhere = make_image(make_dataset(), "HEK_b7_2.tif")
        self.assertEqual(elsewhere.split, split_of("batch=b7"))

    def test_what_is_given_wins_over_the_name(self) -> None:
        image = make_image(self.dataset, "CHO_b1_1.tif", culture="hek", split="test")
        self.assertEqual((image.culture, image.split), ("HEK", "test"))
        with self.assertRaises(BadInput):
            make_image(self.dataset, "a.tif", culture="CHO")
        with self.assertRaises(BadInput):
            make_image(self.dataset, "a.tif", split="exam")

    def test_it_rejects_an_unknown_type_in_the_name_and_stores_nothing(self) -> None:
        content = tiff_bytes(pixels())
        with self.assertRaises(BadInput) as caught:
            image_import(
                dataset=self.dataset, name="CHO_b1_1.tif", content=content, uploaded_by=None
            )
        for word in ("CHO", "HEK", "N2a", "mixed"):
            self.assertIn(word, caught.exception.message)
        self.assertFalse(Image.objects.exists())
        self.assertFalse(is_stored(storage.image_key(storage.sha256_of(content))))

    def test_it_rejects_other_channels_than_the_data_sets(self) -> None:
        with self.assertRaises(UnreadableImage):
            make_image(self.dataset, "a.tif", pixels((1, 48, 64)))
        self.assertFalse(Image.objects.exists())

    def test_roles_pick_the_planes(self) -> None:
        dataset = make_dataset(channels=["-", "cytoplasm", "nucleus"])
        array = pixels((3, 48, 64))
        image = make_image(dataset, "a.tif", array)
        np.testing.assert_array_equal(image_array(image), array[1:])

    def test_a_damaged_original_is_noticed(self) -> None:
        image = make_image(self.dataset)
        storage.delete(image.key)
        with self.assertRaises(Unavailable):
            image_bytes(image)
        storage.put(image.key, b"something else")
        with self.assertRaises(Unavailable):
            image_bytes(image)


class Thumbnails(TestCase):
    def test_cytoplasm_is_green_and_nucleus_blue(self) -> None:
        array = np.zeros((2, 600, 300), np.uint16)
        array[0, :300], array[1, 300:] = 60000, 100
        image = make_image(array=array)
        picture = Pillow.open(io.BytesIO(image_thumbnail(image=image)))
        self.assertEqual(picture.size, (100, 200))
        self.assertEqual(picture.getpixel((50, 10)), (0, 255, 0))
        self.assertEqual(picture.getpixel((50, 190)), (0, 0, 255))

    def test_a_lost_one_is_made_again(self) -> None:
        image = make_image()
        made = image_thumbnail(image=image)
        storage.delete(f"thumbnails/{image.sha256[:2]}/{image.sha256}.cn.png")
        self.assertEqual(image_thumbnail(image=image), made)


class Deleting(TestCase):
    def test_predictions_revisions_and_bytes_go_with_it(self) -> None:
        image = make_image()
        make_prediction(image)
        make_revision(image)
        make_revision(image)
        image_delete(image=image)
        self.assertFalse(Revision.objects.exists())
        self.assertFalse(is_stored(image.key))

    def test_bytes_deleted_while_they_are_uploaded_again_are_stored_again(self) -> None:
        content = tiff_bytes(pixels())
        key = storage.image_key(storage.sha256_of(content))
        storage.put(key, content)  # the row is gone, its bytes are about to go
        real = Image.save

        def save(image: Image) -> None:
            storage.delete(key)
            real(image)

        with mock.patch.object(Image, "save", save):
            found = image_import(
                dataset=make_dataset(), name="a.tif", content=content, uploaded_by=None
            )
        self.assertEqual(image_bytes(found.image), content)

    def test_uploading_an_image_again_brings_lost_bytes_back(self) -> None:
        content = tiff_bytes(pixels())
        given: dict[str, Any] = {"name": "a.tif", "content": content, "uploaded_by": None}
        given["dataset"] = make_dataset()
        image = image_import(**given).image
        storage.delete(image.key)
        self.assertTrue(image_import(**given).duplicate)
        self.assertEqual(image_bytes(image), content)

    def test_bytes_that_another_data_set_holds_stay(self) -> None:
        array = pixels()
        first, second = make_image(array=array), make_image(array=array)
        image_delete(image=first)
        np.testing.assert_array_equal(image_array(second), array)
