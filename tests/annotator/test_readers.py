"""Image files as people have them, and as nobody should."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from django.test import SimpleTestCase, override_settings
from numpy.typing import NDArray
from PIL import Image as Pillow

from annotator.exceptions import UnreadableImage
from annotator.readers import read_image, read_labels, with_roles
from tests.annotator.factories import pixels, tiff_bytes


def png(array: NDArray[Any]) -> bytes:
    return bytes(imagecodecs.png_encode(array))


def jpeg(array: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(array).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds one byte."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0")),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


class Reading(SimpleTestCase):
    def assert_pixels(self, content: bytes, name: str, expected: NDArray[Any]) -> None:
        found = read_image(content, name).array
        self.assertEqual(found.dtype, expected.dtype)
        np.testing.assert_array_equal(found, expected)

    def test_png_keeps_its_depth(self) -> None:
        for dtype in (np.uint8, np.uint16):
            gray = pixels((20, 30)).astype(dtype)
            color = pixels((20, 30, 3)).astype(dtype)
            self.assert_pixels(png(gray), "a.png", gray[np.newaxis])
            self.assert_pixels(png(color), "a.png", np.moveaxis(color, -1, 0))

    def test_an_opaque_alpha_is_dropped_and_another_counts_as_a_channel(self) -> None:
        color = pixels((20, 30, 4)).astype(np.uint8)
        color[..., 3] = 255
        self.assertEqual(read_image(png(color), "a.png").array.shape, (3, 20, 30))
        color[0, 0, 3] = 7
        self.assertEqual(read_image(png(color), "a.png").array.shape, (4, 20, 30))

    def test_equal_planes_of_rgb_are_one_channel_where_one_is_expected(self) -> None:
        gray = pixels((20, 30)).astype(np.uint8)
        read = read_image(png(np.stack([gray] * 3, -1)), "a.png")
        np.testing.assert_array_equal(with_roles(read.array, ["nucleus"], "a.png")[0], gray)
        with self.assertRaisesMessage(UnreadableImage, "It is gray"):
            with_roles(read.array, ["cytoplasm", "nucleus"], "a.png")

    def test_a_black_rgb_field_keeps_its_channels(self) -> None:
        read = read_image(png(np.zeros((20, 30, 3), np.uint8)), "dark.png")
        shown = with_roles(read.array, ["-", "cytoplasm", "nucleus"], "dark.png")
        self.assertEqual(shown.shape, (2, 20, 30))

    def test_jpeg(self) -> None:
        flat = np.full((16, 16), 77, np.uint8)
        self.assert_pixels(jpeg(flat), "a.jpeg", flat[np.newaxis])
        self.assertEqual(
            read_image(jpeg(pixels((9, 9, 3)).astype(np.uint8)), "a.jpg").array.ndim, 3
        )

    def test_tiff_with_channels_first_or_last_named_or_not(self) -> None:
        array = pixels((2, 20, 30))
        last = np.ascontiguousarray(np.moveaxis(array, 0, -1))
        self.assert_pixels(tiff_bytes(array), "a.tif", array)
        self.assert_pixels(tiff_bytes(last), "a.tif", array)
        self.assert_pixels(tiff_bytes(array, metadata=None), "a.tiff", array)
        for options in ({"imagej": True}, {"ome": True}, {"compression": "zlib"}):
            content = tiff_bytes(array, metadata={"axes": "CYX"}, **options)
            self.assert_pixels(content, "a.tif", array)
        self.assert_pixels(tiff_bytes(array, ome=True, bigtiff=True), "a.ome.tif", array)

    def test_big_endian_pixels_are_the_same_pixels(self) -> None:
        array = pixels((2, 20, 30))
        self.assert_pixels(tiff_bytes(array.astype(">u2"), byteorder=">"), "a.tif", array)

    def test_floats_stay_and_holes_in_them_are_filled(self) -> None:
        array = np.array([[1.5, np.nan], [-2.0, np.inf]], np.float32)
        found = read_image(tiff_bytes(array), "a.tif").array
        np.testing.assert_array_equal(found, [[[1.5, -2.0], [-2.0, 1.5]]])

    def test_wider_integers_become_uint16_when_they_fit(self) -> None:
        self.assertEqual(
            read_image(tiff_bytes(np.full((5, 5), 9, np.int32)), "a.tif").array.dtype, np.uint16
        )
        self.assertEqual(
            read_image(tiff_bytes(np.full((5, 5), -9, np.int16)), "a.tif").array.dtype, np.float32
        )

    def test_pixel_size_from_imagej_ome_and_resolution_tags(self) -> None:
        array = pixels((2, 20, 30))
        imagej = {"imagej": True, "metadata": {"axes": "CYX", "unit": "um"}}
        ome = {"axes": "CYX", "PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm"}
        ome |= {"PhysicalSizeY": 0.25, "PhysicalSizeYUnit": "µm"}
        per_cm = {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}
        for options in (
            imagej | {"resolution": (4.0, 4.0)},
            {"ome": True, "metadata": ome},
            per_cm,
        ):
            size = read_image(tiff_bytes(array, **options), "a.tif").pixel_size_um
            self.assertAlmostEqual(size or 0, 0.25)

    def test_a_printers_resolution_is_no_pixel_size(self) -> None:
        content = tiff_bytes(pixels((20, 30)), resolution=(72, 72), resolutionunit="INCH")
        self.assertIsNone(read_image(content, "a.tif").pixel_size_um)


class Refusing(SimpleTestCase):
    def assert_refused(self, content: bytes, name: str, word: str) -> None:
        with self.assertRaises(UnreadableImage) as caught:
            read_image(content, name)
        self.assertIn(word, caught.exception.message)
        self.assertTrue(caught.exception.message.startswith(name))

    def test_it_rejects_a_truncated_tiff_wherever_it_was_cut(self) -> None:
        array = pixels((2, 64, 64))
        for options in (
            {},
            {"imagej": True},
            {"ome": True},
            {"compression": "zlib"},
            {"tile": (16, 16)},
            {"metadata": None},
        ):
            content = tiff_bytes(array, **options)
            for share in (0.01, 0.3, 0.6, 0.95):
                with self.subTest(options=options, share=share):
                    cut = content[: int(len(content) * share)]
                    with self.assertRaises(UnreadableImage):
                        read_image(cut, "a.tif")

    def test_it_rejects_truncated_png_and_jpeg(self) -> None:
        array = pixels((64, 64, 3)).astype(np.uint8)
        for content, name in ((png(array), "a.png"), (jpeg(array), "a.jpg")):
            for share in (0.001, 0.5, 0.9):
                with self.subTest(name=name, share=share):
                    cut = content[: max(12, int(len(content) * share))]
                    self.assert_refused(cut, name, "")

    def test_it_rejects_a_text_file_named_png(self) -> None:
        self.assert_refused(b"label,type\n1,HEK\n", "a.png", "no image")
        self.assert_refused(b"", "a.png", "empty")

    def test_it_rejects_a_huge_header_before_decoding(self) -> None:
        self.assert_refused(png_header(60000, 60000), "a.png", "60000×60000")

    def test_it_rejects_a_tiff_that_claims_to_be_huge(self) -> None:
        content = bytearray(tiff_bytes(np.zeros((16, 16), np.uint8), metadata=None))
        with tifffile.TiffFile(io.BytesIO(bytes(content))) as file:
            for tag in ("ImageWidth", "ImageLength"):
                offset = file.pages.first.tags[tag].valueoffset
                content[offset : offset + 4] = struct.pack("<I", 60000)
        with self.assertRaises(UnreadableImage):
            read_image(bytes(content), "a.tif")

    @override_settings(IMAGE_MAX_PIXELS=100)
    def test_the_limit_is_a_setting(self) -> None:
        self.assert_refused(png(np.zeros((11, 10), np.uint8)), "a.png", "IMAGE_MAX_MEGAPIXELS")

    def test_it_rejects_five_channels_stacks_and_series(self) -> None:
        five = pixels((5, 20, 30))
        self.assert_refused(tiff_bytes(five), "a.tif", "5 channels")
        self.assert_refused(
            tiff_bytes(five, ome=True, metadata={"axes": "CYX"}), "a.tif", "5 channels"
        )
        for axes, word in (("ZYX", "z-stack"), ("TYX", "time series")):
            content = tiff_bytes(five, imagej=True, metadata={"axes": axes})
            self.assert_refused(content, "a.tif", word)
        self.assert_refused(tiff_bytes(pixels((40, 20, 30))), "a.tif", "planes")

    def test_it_asks_when_the_axes_are_ambiguous(self) -> None:
        content = tiff_bytes(pixels((2, 200, 4)), photometric="minisblack")
        self.assert_refused(content, "a.tif", "which axis")

    def test_it_rejects_pixels_that_are_no_numbers(self) -> None:
        nothing = np.full((5, 5), np.nan, np.float32)
        self.assert_refused(tiff_bytes(nothing), "a.tif", "NaN")
        self.assert_refused(tiff_bytes(np.ones((5, 5), np.complex64)), "a.tif", "complex")

    def test_it_rejects_unknown_extensions_even_of_real_images(self) -> None:
        self.assert_refused(png(np.zeros((5, 5), np.uint8)), "a.bmp", "not one of")

    def test_the_extension_may_be_wrong_among_known_ones(self) -> None:
        array = np.arange(25, dtype=np.uint8).reshape(5, 5)
        np.testing.assert_array_equal(read_image(png(array), "a.tif").array[0], array)

    def test_several_images_in_one_file_are_too_many(self) -> None:
        buffer = io.BytesIO()
        with tifffile.TiffWriter(buffer) as writer:
            writer.write(pixels((20, 30)), metadata=None)
            writer.write(pixels((8, 9)), metadata=None)
        self.assert_refused(buffer.getvalue(), "a.tif", "2 separate images")


class Roles(SimpleTestCase):
    def test_planes_are_picked_and_put_in_the_models_order(self) -> None:
        array = np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((3, 2, 2), np.uint8)
        found = with_roles(array, ["nucleus", "-", "cytoplasm"], "a.png")
        self.assertEqual(found[:, 0, 0].tolist(), [2, 0])

    def test_a_gray_image_in_a_two_channel_data_set_is_told_what_to_do(self) -> None:
        with self.assertRaises(UnreadableImage) as caught:
            with_roles(np.zeros((1, 5, 5), np.uint8), ["cytoplasm", "nucleus"], "a.png")
        self.assertIn("one channel", caught.exception.message)
        with self.assertRaises(UnreadableImage) as caught:
            with_roles(pixels((3, 5, 5)), ["cytoplasm", "nucleus"], "a.png")
        self.assertIn("-,cytoplasm,nucleus", caught.exception.message)


class Labels(SimpleTestCase):
    def test_png_palette_and_tiff_masks_keep_their_numbers(self) -> None:
        labels = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
        np.testing.assert_array_equal(read_labels(png(labels), "a_masks.png"), labels)
        wide = labels.astype(np.int32) * 100
        found = read_labels(tiff_bytes(wide), "a_masks.tif")
        np.testing.assert_array_equal(found, wide)
        self.assertEqual(found.dtype, np.uint32)
        palette = Pillow.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4), mode="P")
        palette.putpalette([9] * 768)
        buffer = io.BytesIO()
        palette.save(buffer, "PNG")
        self.assertEqual(read_labels(buffer.getvalue(), "a_masks.png").max(), 11)

    def test_it_rejects_floats_colours_and_negative_numbers(self) -> None:
        for array in (
            np.ones((5, 5), np.float32),
            np.ones((5, 5, 3), np.uint8),
            np.full((5, 5), -1, np.int16),
        ):
            with self.assertRaises(UnreadableImage):
                read_labels(tiff_bytes(array), "a_masks.tif")

    def test_it_rejects_a_jpeg_whose_numbers_are_blurred(self) -> None:
        buffer = io.BytesIO()
        Pillow.fromarray(np.full((16, 16), 7, np.uint8)).save(buffer, "JPEG")
        with self.assertRaises(UnreadableImage) as caught:
            read_labels(buffer.getvalue(), "a_masks.jpg")
        self.assertIn("TIFF or PNG", caught.exception.message)
