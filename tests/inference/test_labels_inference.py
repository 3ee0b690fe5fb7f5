"""Label images: what is refused, and geometry known by arithmetic."""

from __future__ import annotations

import unittest

import numpy as np
from scipy import ndimage

from inference import labels as under_test
from inference.labels import LabelsError


def rectangles(*boxes: tuple[int, int, int, int, int], shape=(20, 30), dtype=np.uint16):
    """A label image of (id, x0, y0, x1, y1) rectangles."""
    image = np.zeros(shape, dtype)
    for label, x0, y0, x1, y1 in boxes:
        image[y0:y1, x0:x1] = label
    return image


class ValidateTest(unittest.TestCase):
    def test_it_accepts_any_integer_image_of_the_shape(self):
        for dtype in (np.uint8, np.uint16, np.int32, np.uint32, np.int64):
            under_test.validate(np.zeros((4, 5), dtype), (4, 5))

    def test_it_rejects_floats_stacks_other_shapes_and_negative_numbers(self):
        wrong = {
            "integers": np.zeros((4, 5), np.float32),
            "dimensions": np.zeros((1, 4, 5), np.uint16),
            "4×5 px": np.zeros((5, 4), np.uint16),
            "negative": np.full((4, 5), -1, np.int32),
            "4294967295": np.full((4, 5), 2**33, np.int64),
        }
        for word, labels in wrong.items():
            with self.subTest(word), self.assertRaisesRegex(LabelsError, word):
                under_test.validate(labels, (4, 5))


class RelabelTest(unittest.TestCase):
    def test_ids_become_one_to_n_in_ascending_order(self):
        image = rectangles((900, 0, 0, 3, 3), (7, 5, 5, 9, 9), dtype=np.uint32)
        fresh, old = under_test.relabel(image)
        self.assertEqual(fresh.dtype, np.uint16)
        self.assertEqual(old.tolist(), [7, 900])
        self.assertEqual((fresh[6, 6], fresh[0, 0], fresh[19, 29]), (1, 2, 0))

    def test_ids_too_large_for_a_table_are_relabelled_too(self):
        image = rectangles((4_000_000_000, 0, 0, 3, 3), (5, 5, 5, 9, 9), dtype=np.uint32)
        fresh, old = under_test.relabel(image)
        self.assertEqual(old.tolist(), [5, 4_000_000_000])
        self.assertEqual((fresh[6, 6], fresh[0, 0]), (1, 2))

    def test_past_65535_cells_the_image_is_uint32(self):
        image = np.arange(70_000, dtype=np.uint32).reshape(200, 350)
        fresh, old = under_test.relabel(image)
        self.assertEqual(fresh.dtype, np.uint32)
        self.assertEqual(old.size, 69_999)

    def test_an_image_without_cells_has_no_ids(self):
        fresh, old = under_test.relabel(np.zeros((3, 4), np.int64))
        self.assertEqual((fresh.shape, old.size), ((3, 4), 0))


class GeometryTest(unittest.TestCase):
    def test_boxes_areas_and_centroids_of_rectangles(self):
        geometry = under_test.cell_geometry(
            rectangles((3, 2, 4, 8, 7), (9, 20, 0, 30, 10), dtype=np.uint32)
        )
        self.assertEqual(geometry.labels.tolist(), [3, 9])
        self.assertEqual(geometry.boxes.tolist(), [[2, 4, 8, 7], [20, 0, 30, 10]])
        self.assertEqual(geometry.areas.tolist(), [18, 100])
        self.assertEqual(geometry.centroids.tolist(), [[4.5, 5.0], [24.5, 4.5]])

    def test_the_inner_pixel_is_the_centroids_or_the_cells_nearest_to_it(self):
        y, x = np.mgrid[:40, :50]
        away = np.hypot(y - 18, x - 21)
        labels = np.zeros((40, 50), np.uint16)
        labels[away < 6] = 4
        labels[(away > 9) & (away < 13) & (x > 15)] = 7  # bent around it
        labels[0, 49] = 9
        geometry = under_test.cell_geometry(labels)
        self.assertEqual(geometry.inner[[0, 2]].tolist(), [[21, 18], [49, 0]])
        for number, inner, centroid in zip(
            geometry.labels, geometry.inner, geometry.centroids, strict=True
        ):
            self.assertEqual(labels[inner[1], inner[0]], number)
            rows, columns = np.nonzero(labels == number)
            nearest = np.hypot(columns - centroid[0], rows - centroid[1]).min()
            self.assertAlmostEqual(float(np.hypot(*(inner - centroid))), nearest)

    def test_no_cells_give_empty_rows(self):
        geometry = under_test.cell_geometry(np.zeros((5, 5), np.uint16))
        self.assertEqual(geometry.boxes.shape, (0, 4))
        self.assertEqual(geometry.centroids.shape, (0, 2))
        self.assertEqual(geometry.inner.shape, (0, 2))

    def test_the_diameter_is_that_of_the_circle_of_equal_area(self):
        y, x = np.mgrid[:101, :101]
        disk = ((y - 50) ** 2 + (x - 50) ** 2 <= 40**2).astype(np.uint16)
        self.assertAlmostEqual(under_test.median_diameter(disk), 80, delta=0.5)
        self.assertEqual(under_test.median_diameter(np.zeros((5, 5), np.uint16)), 0.0)


class OverlapTest(unittest.TestCase):
    def test_shifted_squares_have_the_iou_that_arithmetic_says(self):
        # Two 10 × 10 squares shifted by 5 px: 50 / 150.
        a = rectangles((4, 0, 0, 10, 10), (6, 20, 10, 30, 20))
        b = rectangles((2, 5, 0, 15, 10), (8, 20, 10, 30, 20))
        rows, columns, iou = under_test.iou_pairs(a, b)
        self.assertEqual((rows.tolist(), columns.tolist()), ([0, 1], [0, 1]))
        np.testing.assert_allclose(iou, [1 / 3, 1], rtol=1e-6)

    def test_random_cells_overlap_as_counted_pixel_by_pixel(self):
        random = np.random.default_rng(5)
        for _ in range(20):
            a, b = (random.integers(0, 4, (13, 9)).astype(np.uint16) * 7 for _ in range(2))
            found = {
                (row, column): value
                for row, column, value in zip(*under_test.iou_pairs(a, b), strict=True)
            }
            expected = {}
            for row, first in enumerate(under_test.cell_ids(a)):
                for column, second in enumerate(under_test.cell_ids(b)):
                    shared = ((a == first) & (b == second)).sum()
                    if shared:
                        union = ((a == first) | (b == second)).sum()
                        expected[row, column] = np.float32(shared / union)
            self.assertEqual(found, expected)

    def test_ids_may_be_huge_and_the_images_of_two_kinds(self):
        a = rectangles((60_000_000, 0, 0, 10, 10), (4_000_000_000, 20, 10, 30, 20), dtype=np.uint32)
        b = np.asfortranarray(rectangles((2, 5, 0, 15, 10), (8, 20, 10, 30, 20)))
        rows, columns, iou = under_test.iou_pairs(a, b)
        self.assertEqual((rows.tolist(), columns.tolist()), ([0, 1], [0, 1]))
        np.testing.assert_allclose(iou, [1 / 3, 1], rtol=1e-6)
        geometry = under_test.cell_geometry(a)
        self.assertEqual(geometry.labels.tolist(), [60_000_000, 4_000_000_000])
        self.assertEqual(geometry.boxes.tolist(), [[0, 0, 10, 10], [20, 10, 30, 20]])

    def test_images_without_pixels_or_cells_have_no_pairs(self):
        for shape in ((0, 0), (0, 5), (3, 0), (4, 4)):
            empty = np.zeros(shape, np.uint16)
            self.assertEqual([part.size for part in under_test.iou_pairs(empty, empty)], [0, 0, 0])
            self.assertEqual(under_test.cell_ids(empty).size, 0)

    def test_it_rejects_images_of_different_shapes(self):
        with self.assertRaises(LabelsError):
            under_test.iou_pairs(np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8))


class EncodingTest(unittest.TestCase):
    def test_bytes_are_little_endian_rows_and_come_back(self):
        image = rectangles((258, 1, 0, 2, 1), shape=(1, 3))
        raw, dtype = under_test.encode(image.astype(">u2"))
        self.assertEqual((raw, dtype), (b"\x00\x00\x02\x01\x00\x00", "uint16"))
        np.testing.assert_array_equal(under_test.decode(raw, (1, 3), dtype), image)

    def test_large_ids_need_four_bytes(self):
        image = rectangles((70_000, 0, 0, 2, 2), dtype=np.int64)
        raw, dtype = under_test.encode(image)
        self.assertEqual((len(raw), dtype), (20 * 30 * 4, "uint32"))
        np.testing.assert_array_equal(under_test.decode(raw, (20, 30), dtype), image)

    def test_it_rejects_bytes_of_another_length_or_kind(self):
        with self.assertRaisesRegex(LabelsError, "7 bytes"):
            under_test.decode(b"1234567", (2, 2), "uint16")
        with self.assertRaisesRegex(LabelsError, "float32"):
            under_test.decode(b"1234", (1, 1), "float32")


class FragmentsTest(unittest.TestCase):
    def test_only_cells_in_several_pieces_are_named(self):
        image = rectangles((1, 0, 0, 4, 4), (2, 10, 0, 12, 3), (2, 15, 0, 18, 3))
        self.assertEqual(under_test.fragments(image).tolist(), [2])

    def test_pieces_touching_at_a_corner_are_one(self):
        image = rectangles((5, 0, 0, 3, 3), (5, 3, 3, 6, 6))
        self.assertEqual(under_test.fragments(image).tolist(), [])

    def test_it_agrees_with_scipy_on_winding_random_cells(self):
        rng = np.random.default_rng(3)
        for _ in range(20):
            image = (rng.random((40, 40)) < 0.55) * rng.integers(1, 4, (1, 40))
            expected = [k for k in (1, 2, 3) if ndimage.label(image == k, np.ones((3, 3)))[1] > 1]
            self.assertEqual(under_test.fragments(image).tolist(), expected)
