"""The sets, figures and plot of ``benchmarks.active_learning``; the study itself takes hours."""

from __future__ import annotations

import unittest
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import tifffile

from benchmarks.active_learning import OURS, headline, panels, plans, table
from benchmarks.active_learning_sets import kept_set, of_folder, stains_of, synthetic
from benchmarks.curves_svg import write_curves
from training.study_curves import Run, summary
from training.study_images import open_set
from training.study_model import Budget

SVG = "{http://www.w3.org/2000/svg}"


def run(asking: str, strategy: str, seed: int, factor: float) -> Run:
    rows = [
        {"cells": n * factor, "minutes": n * factor / 10, "ap50": ap}
        for n, ap in ((30, 0.4), (100, 0.7), (300, 0.9))
    ]
    return Run(asking, strategy, seed, rows)


def figures() -> dict[str, dict]:
    runs = [run("image", "random", seed, 1.0) for seed in (0, 1)]
    for asking, strategy in OURS.items():
        runs += [run(asking, strategy, 0, 0.5), run(asking, strategy, 1, 0.5)]
    return {"drawn": summary(runs, [{"ap50": 0.9}, {"ap50": 0.9}])}


def write_pair(folder: Path, name: str, pixels: np.ndarray, labels: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(folder / f"{name}.tif", pixels)
    tifffile.imwrite(folder / f"{name}_masks.tif", labels)


class PlansTests(unittest.TestCase):
    def test_other_seeds_confirm_a_choice_beside_the_baseline(self):
        given = SimpleNamespace(
            seeds=2, first_seed=5, budget=400, rounds=3, compare="region:uncertain-representative"
        )
        found = [(each.seed, each.asking, each.strategy) for each in plans(given, Budget())]
        ways = [("image", "random"), ("region", "uncertain-representative")]
        self.assertEqual(found, [(seed, *way) for seed in (5, 6) for way in ways])


class FiguresTests(unittest.TestCase):
    def test_the_headline_is_ours_over_random_whole_images(self):
        found = headline(figures())
        self.assertEqual(set(found["cells_ratio"]), {"image", "region", "cell"})
        for ratio in (*found["cells_ratio"].values(), *found["minutes_ratio"].values()):
            self.assertAlmostEqual(ratio, 0.5)
        self.assertAlmostEqual(found["cells_ratio_se"]["region"], 0.0)

    def test_the_table_has_a_row_for_each_strategy(self):
        rows = [line for line in table(figures()) if line.startswith("| image | random")]
        self.assertEqual(len(rows), 1)
        self.assertIn("| 1.00 ± 0.00 |", rows[0])
        self.assertIn("2 of 2", rows[0])

    def test_the_plot_shows_every_curve_once(self):
        with TemporaryDirectory() as name:
            file = Path(name) / "curves.svg"
            sets = figures() | {"a <set>": figures()["drawn"]}
            write_curves(file, panels(sets))
            root = ElementTree.parse(file).getroot()
        lines = root.findall(f".//{SVG}polyline")
        self.assertEqual(len(lines), 8)
        texts = [text.text for text in root.findall(f".//{SVG}text")]
        self.assertIn("a <set>", texts)
        self.assertEqual(texts.count("image, random"), 1)
        for line in lines:  # inside the picture
            for point in line.attrib["points"].split():
                x, y = map(float, point.split(","))
                self.assertTrue(0 <= x <= 400 and 0 <= y <= 300)


class SetsTests(unittest.TestCase):
    def test_hard_cases_are_rare_in_the_pool_and_half_of_the_test(self):
        images = list(synthetic(16, 6))
        kinds = {s: Counter(i.kind for i in images if i.split == s) for s in ("train", "test")}
        self.assertEqual(kinds["train"], {"usual": 14, "dim": 1, "inverted": 1})
        self.assertEqual(kinds["test"], {"usual": 3, "dim": 1, "inverted": 1, "membrane": 1})

    def test_a_folder_is_split_by_type_and_two_sights_of_a_field_stay_together(self):
        with TemporaryDirectory() as name:
            folder = Path(name)
            rng = np.random.default_rng(0)
            for n in range(18):
                labels = np.zeros((40, 40), np.uint16)
                labels[5:15, 5:15], labels[20:30, 20 + n // 2 : 32] = 1, 2
                pixels = rng.integers(0, 200, (40, 40)).astype(np.uint8)
                write_pair(folder, f"{'AB'[n % 2]}_b_{n}", pixels, labels)
            images = list(of_folder(folder, typed=True))
            splits: dict[str, set[str]] = {}
            for image in images:
                splits.setdefault(str(image.labels.tobytes()), set()).add(image.split)
            self.assertTrue(all(len(each) == 1 for each in splits.values()))
            self.assertEqual({image.split for image in images}, {"train", "test"})
            self.assertEqual({kind for i in images for kind in i.types.values()}, {"A", "B"})
            made = kept_set(folder / "kept", "ab", "said", lambda: iter(images), 10.0)
            study = open_set(made)
            self.assertEqual((study.types, study.channels), (("A", "B"), ("nucleus",)))
            fine = study.pool[0].fine
            self.assertIsNotNone(fine)
            self.assertEqual(fine.shape[1:], tuple(2 * side for side in study.pool[0].shape))

    def test_train_and_test_folders_say_what_is_judged_by(self):
        with TemporaryDirectory() as name:
            labels = np.ones((8, 8), np.uint16)
            for split, count in (("train", 2), ("test", 1)):
                for n in range(count):
                    write_pair(Path(name) / split, f"x{n}", np.eye(8, dtype=np.uint8), labels)
            images = list(of_folder(Path(name)))
        self.assertEqual([image.split for image in images], ["train", "train", "test"])

    def test_stains_take_light_and_dyes_give_it(self):
        bright = np.full((4, 4, 3), 220, np.uint8)
        bright[1, 1] = 40, 90, 200  # a blue stain takes red
        self.assertEqual(stains_of(bright)[:, 1, 1].tolist(), [215, 55])
        dark = np.zeros((4, 4, 3), np.uint8)
        dark[2, 2] = 90, 10, 200
        self.assertEqual(stains_of(dark)[:, 2, 2].tolist(), [200, 90])

    def test_a_folder_without_masks_is_told(self):
        expected = self.assertRaisesRegex(SystemExit, "no image with a _masks file")
        with TemporaryDirectory() as name, expected:
            list(of_folder(Path(name)))
