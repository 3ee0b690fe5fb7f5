"""Small files that would take the server's memory or minutes: refused before they do."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from typing import Any

import imagecodecs
import numpy as np
import roifile
from django.test import SimpleTestCase

from annotator.exceptions import BadInput, UnreadableImage, UnusableLabels
from annotator.formats.label_files import read_label_file
from annotator.readers import read_image
from tests.annotator.factories import pixels, square_labels, tiff_bytes
from tests.annotator.test_label_formats import rectangle, seg_bytes, zipped

SHAPE = (48, 64)
NONE, JPEG, DEFLATE = 1, 7, 8
# Of a TIFF directory: tag → (type, value), type 3 = uint16 and 4 = uint32.
Tags = dict[int, tuple[int, int]]


def crafted_tiff(pixel_bytes: bytes, changes: Tags, width: int = 64, height: int = 48) -> bytes:
    """A gray 8-bit TIFF of one strip, its directory as ``changes`` has it (value −1: left out)."""
    tags: Tags = {
        256: (4, width),
        257: (4, height),
        258: (3, 8),
        259: (3, NONE),
        262: (3, 1),
        273: (4, 8),
        277: (3, 1),
        278: (4, height),
        279: (4, len(pixel_bytes)),
    }
    tags |= changes
    entries = [
        struct.pack("<HHI", tag, kind, 1) + struct.pack("<H2x" if kind == 3 else "<I", value)
        for tag, (kind, value) in sorted(tags.items())
        if value >= 0
    ]
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(pixel_bytes)) + pixel_bytes + directory


def zeros_zlib(count: int) -> bytes:
    """``count`` zero bytes, deflated: a thousandth."""
    packer = zlib.compressobj(9)
    blocks = [packer.compress(bytes(2**20)) for _ in range(count // 2**20)]
    return b"".join([*blocks, packer.compress(bytes(count % 2**20)), packer.flush()])


class Images(SimpleTestCase):
    def assert_refused(self, content: bytes, name: str, words: str) -> None:
        with self.assertRaises(UnreadableImage) as caught:
            read_image(content, name)
        self.assertIn(words, caught.exception.message)

    def test_the_crafted_tiff_is_read_when_nothing_is_wrong(self) -> None:
        found = read_image(crafted_tiff(bytes(range(256)) * 12, {}), "a.tif").array
        self.assertEqual(found.shape, (1, *SHAPE))

    def test_it_rejects_codecs_whose_own_header_claims_the_memory(self) -> None:
        picture = bytearray(imagecodecs.jpeg_encode(np.zeros(SHAPE, np.uint8)))
        size = picture.find(b"\xff\xc0") + 5
        picture[size : size + 4] = struct.pack(">HH", 65500, 65500)
        self.assert_refused(crafted_tiff(bytes(picture), {259: (3, JPEG)}), "a.tif", "as JPEG")
        self.assert_refused(bytes(picture), "a.jpg", "65500×65500")

    def test_it_rejects_tiles_larger_than_any_image(self) -> None:
        tiles: Tags = {322: (4, 60000), 323: (4, 60000), 324: (4, 8), 325: (4, 3072)}
        strips: Tags = {273: (4, -1), 278: (4, -1), 279: (4, -1)}
        self.assert_refused(crafted_tiff(bytes(3072), tiles | strips), "a.tif", "60000×60000")

    def test_it_rejects_an_image_without_pixels(self) -> None:
        self.assert_refused(crafted_tiff(bytes(9), {}, width=0), "a.tif", "no pixels")

    def test_it_rejects_a_chain_of_directories_without_end(self) -> None:
        chain = bytearray(b"II*\0" + struct.pack("<I", 8))
        for number in range(20_000):
            offset = 8 + 18 * number
            chain += struct.pack("<H", 1) + struct.pack("<HHII", 256, 4, 1, 64)
            chain += struct.pack("<I", offset + 18)
        self.assert_refused(bytes(chain), "a.tif", "planes")

    def test_a_large_picture_within_the_limit_is_not_refused_by_the_library(self) -> None:
        # Pillow alone refuses from 179 megapixels; the server's limit is 400.
        wide = imagecodecs.jpeg_encode(np.zeros((3000, 60_000), np.uint8))
        self.assertEqual(read_image(bytes(wide), "a.jpg").array.shape, (1, 3000, 60_000))


class Masks(SimpleTestCase):
    def assert_refused(self, content: bytes, name: str, words: str) -> None:
        with self.assertRaises(BadInput) as caught:
            read_label_file(content, name, SHAPE)
        self.assertIn(words, caught.exception.message)

    def test_it_rejects_masks_many_times_the_size_of_their_image_undecoded(self) -> None:
        side = 20_000
        packed = zeros_zlib(side * side)
        large = crafted_tiff(packed, {259: (3, DEFLATE)}, width=side, height=side)
        self.assert_refused(large, "a_masks.tif", "much larger than its image")
        header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        chunk = struct.pack(">I", 13) + b"IHDR" + header
        chunk += struct.pack(">I", zlib.crc32(b"IHDR" + header))
        self.assert_refused(
            b"\x89PNG\r\n\x1a\n" + chunk, "a_masks.png", "much larger than its image"
        )

    def test_it_rejects_a_pickle_that_asks_numpy_for_gigabytes(self) -> None:
        class Claim:
            def __init__(self, *arguments: Any) -> None:
                self.arguments = arguments

            def __reduce__(self) -> tuple[Any, ...]:
                return np.ndarray, self.arguments

        side = (100_000, 100_000)
        for arguments in ((side, "u1"), (side, "u1", b"\1", 0, (0, 0))):
            content = seg_bytes({"masks": Claim(*arguments)}, protocol=2)
            self.assertLess(len(content), 1000)
            with self.assertRaises(UnreadableImage):
                read_label_file(content, "a_seg.npy", SHAPE)
        self.assertIn(b"ndarray", pickle.dumps(Claim(side), 2))

    def test_it_rejects_a_picture_in_the_place_of_masks(self) -> None:
        gray = np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.uint16)
        for picture in (gray, pixels(SHAPE)):
            self.assert_refused(tiff_bytes(picture), "a_masks.tif", "picture")
        labels = square_labels(24)
        labels[40:44, 60:] = 3  # a cell in two pieces is a cell all the same
        np.testing.assert_array_equal(
            read_label_file(tiff_bytes(labels), "a_masks.tif", SHAPE).labels, labels
        )

    def test_it_rejects_rois_that_unpack_to_more_than_outlines(self) -> None:
        buffer = io.BytesIO()
        outline = rectangle(1, 1, 5, 5).tobytes() + bytes(3 * 2**20)
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(90):
                archive.writestr(f"{number}.roi", outline)
        self.assertLess(len(buffer.getvalue()), 2**20)
        self.assert_refused(buffer.getvalue(), "a_rois.zip", "256 MB")

    def test_it_rejects_an_outline_that_crosses_every_row_again_and_again(self) -> None:
        count = 200_000
        xs = np.random.default_rng(0).integers(0, 64, count)
        zigzag = np.stack([xs, np.where(np.arange(count) % 2, 0, 48)], axis=1)
        roi = roifile.ImagejRoi.frompoints(zigzag.astype(np.float32))
        self.assert_refused(zipped([roi]), "a_rois.zip", "tangled")

    def test_it_rejects_rois_that_cover_the_image_without_end(self) -> None:
        covering = [rectangle(0, 0, 2000, 2000, str(number)) for number in range(1, 40)]
        with self.assertRaises(UnusableLabels) as caught:
            read_label_file(zipped(covering), "a_rois.zip", (2000, 2000))
        self.assertIn("many times over", caught.exception.message)
