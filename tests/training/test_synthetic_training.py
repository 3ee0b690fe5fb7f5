"""The drawn images: whole labels, known types, and no single number that gives a type away."""

from __future__ import annotations

import csv
import tempfile
import unittest
from pathlib import Path

import numpy as np
import tifffile

from inference.labels import cell_ids, diameters, fragments
from training.synthetic import Layout, draw_image, plan_folder, write_folder


class DrawnImageTests(unittest.TestCase):
    def test_the_same_seed_draws_the_same_image_and_another_seed_another(self):
        first, again, other = (draw_image("mixed", seed=seed) for seed in (3, 3, 4))
        np.testing.assert_array_equal(first.image, again.image)
        np.testing.assert_array_equal(first.labels, again.labels)
        self.assertFalse(np.array_equal(first.labels, other.labels))

    def test_an_image_holds_twenty_to_fifty_whole_cells_numbered_without_gaps(self):
        for seed, kind in enumerate(("HEK", "N2a", "mixed", "mixed")):
            drawn = draw_image(kind, seed=seed)
            self.assertEqual(drawn.image.shape, (2, 256, 256))
            self.assertEqual(drawn.image.dtype, np.uint16)
            ids = cell_ids(drawn.labels)
            np.testing.assert_array_equal(ids, np.arange(1, ids.size + 1))
            self.assertTrue(18 <= ids.size <= 50, ids.size)
            self.assertEqual(fragments(drawn.labels).size, 0)
            self.assertEqual(sorted(drawn.types), ids.tolist())

    def test_a_single_type_image_holds_one_type_and_a_mixed_one_both(self):
        self.assertEqual(set(draw_image("HEK", seed=1).types.values()), {"HEK"})
        self.assertEqual(set(draw_image("N2a", seed=1).types.values()), {"N2a"})
        self.assertEqual(set(draw_image("mixed", seed=1).types.values()), {"HEK", "N2a"})

    def test_neither_brightness_nor_size_alone_tells_the_types_apart(self):
        stain, size, hek = [], [], []
        for seed in range(10):
            drawn = draw_image("mixed", seed=(7, seed))
            flat = drawn.labels.ravel()
            areas = np.bincount(flat)[1:]
            stain += (np.bincount(flat, drawn.image[0].ravel())[1:] / areas).tolist()
            size += diameters(drawn.labels).tolist()
            hek += [drawn.types[label] == "HEK" for label in cell_ids(drawn.labels)]
        for values in (stain, size):
            self.assertLess(best_threshold_accuracy(np.array(values), np.array(hek)), 0.85)

    def test_an_unknown_kind_is_refused_by_name(self):
        with self.assertRaisesRegex(ValueError, "CHO"):
            draw_image("CHO")


def best_threshold_accuracy(values, positive):
    """Of all rules "above t" and "below t", the accuracy of the best."""
    order = np.argsort(values)
    right = np.concatenate([[0], np.cumsum(positive[order])])
    wrong = np.concatenate([[0], np.cumsum(~positive[order])])
    correct = right + (wrong[-1] - wrong)
    return max(correct.max(), (len(values) - correct).max()) / len(values)


class WrittenFolderTests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_names_tell_type_batch_and_field_and_are_unique(self):
        stems = [stem for stem, _, _ in plan_folder(60, Layout())]
        self.assertEqual(len(set(stems)), 60)
        self.assertEqual(stems[0], "HEK_b1_001")
        self.assertEqual({stem.split("_")[0] for stem in stems}, {"HEK", "N2a", "mixed"})
        self.assertEqual(len({stem.split("_")[1] for stem in stems}), 15)

    def test_images_are_imagej_cyx_with_pixel_size(self):
        layout = Layout(shape=(64, 80))
        written = write_folder(self.folder, 1, masked=0.0, layout=layout)
        with tifffile.TiffFile(written[0].path) as tif:
            self.assertEqual(tif.series[0].axes, "CYX")
            self.assertEqual(tif.series[0].shape, (2, 64, 80))
            top, bottom = tif.pages[0].tags["XResolution"].value
            self.assertAlmostEqual(bottom / top, 0.65, places=3)

    def test_masks_and_types_lie_beside_the_images_asked_for_only(self):
        layout = Layout(shape=(96, 96), first_batch=4)
        written = write_folder(
            self.folder, 3, seed=1, masked=lambda stem: stem.startswith("mixed"), layout=layout
        )
        self.assertEqual([w.masked for w in written], [False, False, True])
        names = sorted(path.name for path in self.folder.iterdir())
        self.assertEqual(
            names,
            [
                "HEK_b4_001.tif",
                "N2a_b4_002.tif",
                "mixed_b4_003.tif",
                "mixed_b4_003_masks.tif",
                "mixed_b4_003_types.csv",
            ],
        )
        labels = tifffile.imread(self.folder / "mixed_b4_003_masks.tif")
        with (self.folder / "mixed_b4_003_types.csv").open() as stream:
            types = {int(row["label"]): row["type"] for row in csv.DictReader(stream)}
        self.assertEqual(sorted(types), cell_ids(labels).tolist())

    def test_a_fraction_masks_whole_batches(self):
        layout = Layout(shape=(64, 64), batch_size=2)
        written = write_folder(self.folder, 8, masked=0.5, layout=layout)
        masked = {w.batch for w in written if w.masked}
        self.assertEqual(len(masked), 2)
        self.assertTrue(all(w.masked == (w.batch in masked) for w in written))
