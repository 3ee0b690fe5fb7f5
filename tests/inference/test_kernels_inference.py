"""Every compiled kernel against a plain reference, on random and on degenerate input."""

from __future__ import annotations

import unittest

import numpy as np
from scipy import ndimage

from inference import kernels
from inference.flows import (
    DecodeSettings,
    decode,
    fill_and_filter,
    flow_errors,
    follow_flows,
    masks_to_flows,
    seeds_to_masks,
)
from inference.labels import cell_geometry


def random_labels(seed: int, shape: tuple[int, int] = (61, 83)):
    """Winding cells of all sizes, some in pieces, ids 1 … n."""
    rng = np.random.default_rng(seed)
    return kernels.renumber(
        (ndimage.gaussian_filter(rng.random(shape), 2.0).argsort(axis=1) // 9).astype(np.int32)
    )


def stepped(field, point, niter):
    """One point, one step after the other, in single precision."""
    bottom, right = (np.float32(side - 1) for side in field.shape[1:])
    y, x = np.float32(point[0]), np.float32(point[1])
    for _ in range(niter):
        row, column = int(y), int(x)
        fy, fx = y - np.float32(row), x - np.float32(column)
        rows, columns = [row, min(int(bottom), row + 1)], [column, min(int(right), column + 1)]
        step = []
        for plane in field:
            (a, b), (c, d) = plane[np.ix_(rows, columns)]
            above, below = a + fx * (b - a), c + fx * (d - c)
            step.append(above + fy * (below - above))
        y = min(bottom, max(np.float32(0), y + step[0]))
        x = min(right, max(np.float32(0), x + step[1]))
    return int(y), int(x)


def diffused(inside, cy, cx):
    """Heat by the 3 × 3 mean of scipy, inside only."""
    heat = np.zeros(inside.shape)
    for _ in range(2 * sum(inside.shape)):
        heat[cy, cx] += 1
        heat = ndimage.uniform_filter(heat, 3, mode="constant") * inside
    return heat


class KernelTests(unittest.TestCase):
    def test_flow_errors_are_the_mean_squared_difference_from_the_masks_own_flows(self):
        rng = np.random.default_rng(3)
        cases = [random_labels(1), np.ones((9, 7), np.int32), np.eye(12, dtype=np.int32) * 70_000]
        for labels in cases:
            flows = rng.normal(0, 3, (2, *labels.shape)).astype(np.float32)
            squared = ((masks_to_flows(labels) - flows / np.float32(5)) ** 2).sum(axis=0)
            expected = ndimage.mean(squared, labels, np.unique(labels[labels > 0]))
            np.testing.assert_allclose(flow_errors(labels, flows), expected, rtol=1e-5)
        self.assertEqual(flow_errors(np.zeros((4, 5), int), np.zeros((2, 4, 5))).size, 0)

    def test_ids_are_counted_and_dropped(self):
        labels = random_labels(2)
        count = int(labels.max())
        found = kernels.areas(labels, count)
        np.testing.assert_array_equal(found, np.bincount(labels.ravel(), minlength=count + 1))
        kept = np.random.default_rng(0).random(count + 1) < 0.5
        expected = np.where(kept[labels], labels, 0)
        kernels.keep(labels, kept)
        np.testing.assert_array_equal(labels, expected)
        nothing = np.zeros((0, 5), np.int32)
        kernels.keep(nothing, kept)
        self.assertEqual(kernels.areas(nothing, 0).tolist(), [0])

    def test_points_end_where_every_single_step_would_lead_them(self):
        rng = np.random.default_rng(0)
        for smooth, niter in ((0.0, 7), (3.0, 200), (3.0, 201)):
            flows = rng.normal(0, 5, (2, 19, 23)).astype(np.float32)
            if smooth:  # then points circle around places of rest
                flows = 20 * ndimage.gaussian_filter(flows, (0, smooth, smooth))
            inside = rng.random((19, 23)) < 0.8
            ends = follow_flows(flows, inside, niter)
            field = flows * inside / np.float32(5.0)
            expected = [stepped(field, point, niter) for point in np.argwhere(inside)]
            np.testing.assert_array_equal(ends.T, expected)

    def test_the_layout_of_the_field_does_not_matter(self):
        rng = np.random.default_rng(3)
        flows = rng.normal(0, 5, (2, 19, 23)).astype(np.float32)
        inside = np.ones((19, 23), bool)
        strided = np.asfortranarray(flows)
        np.testing.assert_array_equal(
            follow_flows(strided, np.asfortranarray(inside), 9), follow_flows(flows, inside, 9)
        )

    def test_heat_is_the_repeated_mean_inside_the_cell(self):
        for seed in range(3):
            cells = random_labels(seed, (14, 17))
            inside = np.pad(cells == cells.max() // 2, 1).astype(float)
            ys, xs = np.nonzero(inside)
            heat = kernels.diffuse(inside, ys[0], xs[0])
            np.testing.assert_allclose(heat, diffused(inside, ys[0], xs[0]), rtol=1e-9, atol=1e-12)

    def test_peaks_are_the_maxima_of_their_neighbourhood(self):
        histogram = np.random.default_rng(1).integers(0, 40, (40, 57)).astype(np.int32)
        highest = ndimage.maximum_filter(histogram, 5, mode="constant")
        expected = np.argwhere((histogram == highest) & (histogram > 10))
        np.testing.assert_array_equal(kernels.peaks(histogram), expected)

    def test_basins_grow_over_full_bins_in_five_steps(self):
        histogram = np.random.default_rng(2).integers(0, 6, (50, 60)).astype(np.int32)
        seeds = np.array([[20, 20], [24, 23], [30, 40]])
        expected = np.zeros(histogram.shape, np.int32)
        for number, (y, x) in enumerate(seeds, 1):
            window = np.zeros(histogram.shape, bool)
            window[y, x] = True
            for _ in range(5):
                window = ndimage.binary_dilation(window, np.ones((3, 3))) & (histogram > 2)
            expected[window] = number
        np.testing.assert_array_equal(kernels.grow(histogram, seeds), expected)

    def test_ids_follow_the_order_of_appearance(self):
        labels = np.array([[0, 9, 9, 4], [7, 0, 4, 4]], np.int32)
        np.testing.assert_array_equal(kernels.renumber(labels), [[0, 1, 1, 2], [3, 0, 2, 2]])

    def test_holes_are_those_that_scipy_fills(self):
        for seed in range(4):
            field = ndimage.gaussian_filter(np.random.default_rng(seed).random((60, 70)), 1.5)
            labels = (field > 0.5).astype(np.int32)
            expected = ndimage.binary_fill_holes(labels).astype(np.int32)
            kernels.fill_holes(labels, cell_geometry(labels).boxes)
            np.testing.assert_array_equal(labels, expected)


class DegenerateTests(unittest.TestCase):
    def test_no_cell(self):
        nothing = np.zeros((9, 11), np.int32)
        self.assertEqual(masks_to_flows(nothing).any(), False)
        self.assertEqual(fill_and_filter(nothing, 15).max(), 0)
        ends = follow_flows(np.zeros((2, 9, 11), np.float32), nothing > 0, 200)
        self.assertEqual(seeds_to_masks(ends, nothing > 0).max(), 0)

    def test_one_cell_that_fills_the_image_flows_to_its_middle_and_is_one_mask(self):
        for shape in ((40, 40), (33, 71), (1, 50)):
            whole = np.ones(shape, np.int32)
            flows = masks_to_flows(whole)
            inside = whole > 0
            masks = seeds_to_masks(follow_flows(5 * flows, inside, 400), inside, largest=1.0)
            self.assertEqual(np.unique(masks).size, 1)
            # Above two fifths of the image cellpose takes it for background.
            found = decode(5 * flows, np.ones(shape, np.float32), DecodeSettings(niter=400))
            self.assertEqual(found.max(), 0)

    def test_cells_of_one_pixel_have_no_flow_and_go_unless_they_are_wanted(self):
        labels = np.zeros((20, 30), np.int32)
        labels[::4, ::5] = np.arange(1, 31).reshape(5, 6)
        self.assertEqual(masks_to_flows(labels).any(), False)
        self.assertEqual(fill_and_filter(labels, 2).max(), 0)
        self.assertEqual(fill_and_filter(labels, 1).max(), 30)

    def test_more_than_65535_cells_keep_their_numbers(self):
        side = 264
        labels = np.zeros((2 * side, 2 * side), np.int32)
        labels[::2, ::2] = np.arange(1, side**2 + 1).reshape(side, side)
        kept = fill_and_filter(labels, 0)
        self.assertEqual((kept.max(), kept.dtype), (side**2, np.uint32))
        np.testing.assert_array_equal(kept, labels)

    def test_images_of_a_pixel_or_a_row(self):
        for shape in ((1, 1), (1, 7), (5, 1)):
            flows = np.full((2, *shape), 3.0, np.float32)
            found = decode(flows, np.ones(shape, np.float32), DecodeSettings())
            self.assertEqual((found.shape, found.max()), (shape, 0))
