"""Simulated loops on tiny drawn data, and what is made of their figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import unittest
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np

from inference.doubt import USUAL
from inference.labels import cell_geometry
from inference.unseen import unseen_cells
from tests.training.snapshots import disks
from training.dataset import MANIFEST, open_snapshot
from training.errors import TrainingError
from training.simulate import Loop, Plan, round_ends, simulated, start_folder, start_of
from training.study import jobs_of, run_study, summarised
from training.study_curves import Run, area_under, labels_to, rising, summary
from training.study_images import (
    MOST_DIAMETERS,
    Known,
    RawImage,
    StudySet,
    open_set,
    scaled,
    write_round,
    write_set,
)
from training.study_model import Budget
from training.study_questions import (
    Batch,
    Question,
    View,
    _spread,
    _with_neighbours,
    cell_questions,
    in_order,
    random_windows,
)

ROOT = Path(__file__).parents[2]
TINY = Budget(width=4, crop=48, batch=2, start_steps=4, steps=3, type_steps=3)


def tiny_set(folder: Path, pool: int = 5, test: int = 2, types: bool = False) -> Path:
    images = []
    for seed in range(pool + test):
        pixels, labels = disks(seed, radius=8)
        named = {n: "AB"[n % 2] for n in range(1, int(labels.max()) + 1)} if types else {}
        split = "train" if seed < pool else "test"
        images.append(RawImage(f"i{seed}", pixels, labels, named, "disk", split))
    return write_set(folder, images, ("nucleus",), ("A", "B") if types else ())


class CurvesTests(unittest.TestCase):
    def test_the_target_is_met_between_two_rounds_over_log_labels(self):
        found = labels_to(0.6, [10, 100, 1000], [0.4, 0.5, 0.7])
        self.assertTrue(found.whether)
        self.assertAlmostEqual(found.labels, 10**2.5)

    def test_a_start_that_is_good_enough_needs_no_more(self):
        self.assertEqual(labels_to(0.3, [10, 100], [0.4, 0.5]).labels, 10)

    def test_a_target_that_is_never_met_is_told_with_all_labels(self):
        found = labels_to(0.9, [10, 100], [0.4, 0.5])
        self.assertEqual((found.labels, found.whether), (100, False))

    def test_one_lucky_round_does_not_count(self):
        self.assertFalse(labels_to(0.7, [1, 2, 4, 8], [0.5, 0.75, 0.5, 0.52]).whether)
        np.testing.assert_allclose(rising([1, 3, 2, 4]), [1, 2.5, 2.5, 4])

    def test_the_area_is_the_mean_height_of_the_common_part(self):
        self.assertAlmostEqual(area_under([0, 10, 20], [0.0, 1.0, 1.0], 0, 20), 0.75)
        self.assertAlmostEqual(area_under([0, 10, 20], [0.0, 1.0, 1.0], 5, 15), 0.875)

    def test_ratios_are_paired_by_seed(self):
        def run(asking, strategy, seed, cells):
            rows = [
                {"cells": n, "minutes": n / 10, "ap50": ap}
                for n, ap in zip(cells, (0.1, 0.5, 0.8), strict=True)
            ]
            return Run(asking, strategy, seed, rows)

        runs = [
            run("image", "random", 0, (10, 100, 400)),
            run("image", "random", 1, (10, 100, 800)),
            run("region", "value", 0, (10, 50, 100)),
            run("region", "value", 1, (10, 50, 400)),
        ]
        full = [{"ap50": 0.8 / 0.95}, {"ap50": 0.8 / 0.95}]
        figures = summary(runs, full)
        self.assertAlmostEqual(figures["target"], 0.8)
        ours = next(run for run in figures["runs"] if run["asking"] == "region")
        self.assertAlmostEqual(ours["cells"]["mean"], 250)
        np.testing.assert_allclose(ours["cells_ratio"]["by_seed"], [0.25, 0.5])
        self.assertAlmostEqual(ours["cells_ratio"]["mean"], 0.375)
        self.assertAlmostEqual(ours["cells_ratio"]["se"], 0.125)
        self.assertEqual((ours["reached"], ours["baseline_reached"], ours["of"]), (2, 2, 2))
        self.assertEqual(figures["area_between"], [10.0, 100.0])

    def test_rounds_grow_by_equal_factors(self):
        self.assertEqual(round_ends(10, 1000, 2), (10, 100, 1000))


class SetTests(unittest.TestCase):
    def test_cells_come_to_the_networks_diameter_and_keep_their_types(self):
        pixels, labels = disks(0, radius=12, shape=(128, 128))
        image = RawImage("i", pixels, labels * 3, {3: "A", 6: "B"})
        planes, small, types, fine = scaled(image, 12.0)
        zoom = 12 / (2 * np.sqrt((labels == 1).sum() / np.pi))
        self.assertAlmostEqual(planes.shape[1], 128 * zoom, delta=1)
        self.assertEqual(planes.shape[1:], small.shape)
        self.assertEqual(fine.shape[1:], tuple(2 * side for side in small.shape))
        self.assertEqual(types, {1: "A", 2: "B"})
        self.assertEqual(int(small.max()), int(labels.max()))

    def test_a_large_image_is_cut_to_its_middle(self):
        labels = np.zeros((100, 800), np.uint16)
        labels[45:55, 20:30], labels[45:55, 395:405] = 1, 2
        image = RawImage("i", np.arange(80_000).reshape(1, 100, 800), labels, {2: "B"})
        planes, middle, types, fine = scaled(image, 2 * np.sqrt(100 / np.pi))
        side = round(MOST_DIAMETERS * 2 * np.sqrt(100 / np.pi))
        self.assertEqual((planes.shape, fine.shape), ((1, 100, side), (1, 200, 2 * side)))
        self.assertEqual((int(middle.max()), types), (1, {1: "B"}))
        self.assertEqual(int((middle == 1).sum()), 100)

    def test_a_round_tells_what_is_known_and_nothing_else(self):
        with TemporaryDirectory() as name:
            study = open_set(tiny_set(Path(name) / "set", types=True))
            known = [Known() for _ in study.pool]
            known[1] = Known(regions=[(0, 0, 30, 30)], ids={1})
            known[2] = Known(regions=[(0, 0, 9, 9)], whole=True)
            snapshot = open_snapshot(write_round(Path(name) / "round", study, known))
            part, whole = snapshot.split("train")
            self.assertEqual(part.complete_regions, ((0, 0, 30, 30),))
            self.assertEqual(part.cell_types, {1: study.pool[1].truth.types[1]})
            self.assertIsNone(whole.complete_regions)
            np.testing.assert_array_equal(whole.labels(), study.pool[2].truth.labels)

    def test_a_set_without_test_images_is_refused(self):
        with TemporaryDirectory() as name, self.assertRaisesRegex(TrainingError, "to judge by"):
            tiny_set(Path(name) / "set", test=0)


class LoopTests(unittest.TestCase):
    """One start's model for all; it is taught for a second and knows next to nothing."""

    study: StudySet
    plan: Plan
    work: Path

    @classmethod
    def setUpClass(cls):
        cls.folder = TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.work = Path(cls.folder.name) / "runs"
        cls.work.mkdir()
        cls.study = open_set(tiny_set(Path(cls.folder.name) / "set", types=True))
        cls.plan = Plan("image", "random", 0, (4, 20, 34), TINY)
        cls.start = start_of(cls.study, cls.plan, cls.work)

    def loop(self, **fields) -> Loop:
        loop = Loop(self.study, replace(self.plan, **fields), self.work)
        loop.begin()
        return loop

    def test_all_begin_with_the_same_windows_of_different_images(self):
        one, other = self.loop(), self.loop(asking="cell", strategy="uncertainty")
        self.assertEqual([k.regions for k in one.known], [k.regions for k in other.known])
        self.assertGreaterEqual(one.cells, 4)
        self.assertEqual(one.edits.added, one.cells)  # nothing was predicted
        self.assertNotEqual(one.cells, self.loop(seed=1).questions)
        images = [q.image for q in random_windows(self.study.pool, 12.0, 0)]
        self.assertEqual(sorted(images), list(range(len(self.study.pool))))

    def test_whole_images_are_known_as_a_whole(self):
        loop = self.loop()
        loop.ask(self.start.looks, 20)
        self.assertGreaterEqual(loop.cells, 20)
        self.assertTrue(any(state.whole for state in loop.known))
        self.assertEqual(len(loop.doubted), sum(state.whole for state in loop.known))

    def test_windows_do_not_overlap_and_end_with_the_budget(self):
        loop = self.loop(asking="region", strategy="uncertain-novel")
        loop.ask(self.start.looks, 20)
        self.assertGreaterEqual(loop.cells, 20)
        self.assertFalse(any(state.whole for state in loop.known))
        for state in loop.known:
            self.assertEqual(len(state.windows), len(state.regions))

    def test_few_of_one_image_in_a_batch_and_the_others_in_the_next(self):
        def asked(images, batch):
            questions = [Question(image, None) for image in images]
            return [question.image for question in _spread(questions, batch)]

        self.assertEqual(asked([0, 0, 0, 1, 2], Batch(3, 1)), [0, 1, 2, 0, 0])
        self.assertEqual(asked([0, 0, 0, 1, 2], Batch(3, 2)), [0, 0, 1, 0, 2])
        self.assertEqual(asked([0] * 5, Batch(2, 1)), [0] * 5)
        boxes = [(0, 0, 4, 4), (2, 2, 6, 6), (4, 4, 8, 8)]
        windows = [Question(0, None, region=box) for box in boxes]
        self.assertEqual([q.region for q in _spread(windows, Batch(8, 1))], boxes[::2])

    def test_a_cell_is_asked_about_with_its_nearest_neighbour(self):
        places = [(0, (50, 50)), (1, (50, 50)), (0, (90, 90)), (2, (9, 9)), (0, (50, 59))]
        questions = [Question(image, None, point=at) for image, at in places]
        view = View(self.study, {}, [], USUAL, diameter=10.0)
        found = [questions.index(each) for each in _with_neighbours(questions, view)]
        self.assertEqual(found, [0, 4, 1, 2, 3])
        alone = [Question(0, None, point=at) for at in ((5, 5), (5, 36), (5, 40), (5, 50))]
        order = [alone[row] for row in (0, 3, 1, 2)]
        found = [alone.index(each) for each in _with_neighbours(order, view)]
        self.assertEqual(found, [0, 3, 2, 1])

    def test_single_cells_are_asked_about_where_the_model_draws_none(self):
        image = self.study.pool[0]
        blind = replace(
            self.start.looks[0],
            labels=np.zeros(image.shape, np.uint16),
            geometry=cell_geometry(np.zeros(image.shape, np.uint16)),
            terms=(),
            types=(),
            shares=np.zeros((0, 2), np.float32),
            embeddings=np.zeros((0, 64), np.float32),
            missed=(),
            unseen=tuple(
                unseen_cells(image.planes, np.zeros(image.shape, np.uint16), TINY.diameter)
            ),
        )
        blind = replace(blind, around=np.ones((len(blind.unseen), 64), np.float32))
        known = [Known() for _ in self.study.pool]
        view = View(self.study, {0: blind}, known, USUAL, TINY.diameter)
        fresh, _ = cell_questions([view._seen(0)], np.random.default_rng(0))
        loop = self.loop(asking="cell", strategy="uncertain-novel")
        loop.known[0] = Known()
        for question in fresh:
            loop._answer(question, blind)
        self.assertGreater(len(loop.known[0].ids), 0.5 * int(image.truth.labels.max()))

    def test_a_cell_alone_is_known_of_its_image(self):
        loop = self.loop(asking="cell", strategy="random")
        labels = self.study.pool[0].truth.labels
        look = replace(self.start.looks[0], labels=labels, types=("A",) * int(labels.max()))
        before = loop.cells
        known = set(loop.known[0].ids)
        label = next(n for n in range(1, int(labels.max()) + 1) if n not in known)
        loop._answer(Question(0, None, label=label), look)
        self.assertEqual(loop.cells, before + 1)
        self.assertEqual(loop.known[0].ids, known | {label})
        self.assertFalse(loop.known[0].whole)

    def test_the_same_seed_chooses_the_same_and_every_strategy_gives_all_questions(self):
        known = [Known() for _ in self.study.pool]
        view = View(self.study, self.start.looks, known, USUAL, 12.0)
        for asking in ("image", "region", "cell"):
            counts = set()
            for strategy in ("random", "uncertainty", "uncertain-novel", "novel"):
                one = in_order(asking, strategy, view, 3)
                again = in_order(asking, strategy, view, 3)
                self.assertEqual(
                    [(q.image, q.region, q.label) for q in one],
                    [(q.image, q.region, q.label) for q in again],
                )
                if asking != "region":  # which windows overlap depends on the order
                    counts.add(len(one))
            self.assertLessEqual(len(counts), 1)
        with self.assertRaisesRegex(TrainingError, "no strategy badge.*random"):
            in_order("image", "badge", view, 0)

    def test_a_run_has_a_row_for_the_start_and_each_round(self):
        for asking in ("region", "cell"):
            plan = replace(self.plan, asking=asking, strategy="uncertainty")
            rows = simulated(self.study, plan, self.work, self.start)
            self.assertEqual([row["round"] for row in rows], [0, 1, 2])
            cells = [row["cells"] for row in rows]
            self.assertEqual(cells, sorted(cells))
            for row in rows:
                self.assertTrue(0 <= row["typed_ap50"] <= row["ap50"] <= 1)
            self.assertGreater(rows[-1]["minutes"], rows[0]["minutes"])
        self.assertEqual([f.name for f in self.work.glob("run-*")], [])
        self.assertTrue(start_folder(self.work, 0).is_dir())


class ResumeTests(unittest.TestCase):
    def test_a_study_that_was_interrupted_goes_on_and_repeats_nothing(self):
        with TemporaryDirectory() as name:
            folder = tiny_set(Path(name) / "disks")
            results = Path(name) / "results.jsonl"
            plans = [Plan("image", s, 0, (4, 20), TINY) for s in ("random", "uncertainty")]
            jobs = jobs_of(folder, plans)
            done: list[str] = []

            def told(line: str) -> None:
                done.append(line)
                if len(done) == 3:  # how much there is to do, then two jobs
                    raise KeyboardInterrupt

            with self.assertRaises(KeyboardInterrupt):
                run_study(jobs, results, tell=told)
            results.write_text(results.read_text() + '{"digest": "cut sho')
            with results.open("a") as stream:
                stream.write("\n")
            lines: list[str] = []
            run_study(jobs, results, tell=lines.append)
            self.assertEqual(lines[0], "1 of 3 runs to do")
            figures = summarised(jobs, results, {})["disks"]
            self.assertEqual(
                {run["strategy"] for run in figures["runs"]}, {"random", "uncertainty"}
            )
            self.assertEqual(figures["runs"][0]["of"], 1)
            with mock.patch("training.study.work_on", side_effect=AssertionError):
                run_study(jobs, results)
            other = jobs_of(folder, [replace(plan, ends=(4, 22)) for plan in plans])
            self.assertFalse({job.digest for job in other} & {job.digest for job in jobs})
            json.dumps(figures)

    def test_workers_of_a_study_that_is_killed_end_with_it(self):
        with TemporaryDirectory() as name:
            folder = tiny_set(Path(name) / "disks")
            script = Path(name) / "study.py"  # of hours
            script.write_text(
                "from pathlib import Path\n"
                "from tests.training.test_study_training import *\n"
                "if __name__ == '__main__':\n"
                "    long = replace(TINY, start_steps=400_000)\n"
                "    plan = Plan('image', 'random', 0, (4, 20), long)\n"
                f"    jobs = jobs_of(Path({str(folder)!r}), [plan])\n"
                f"    run_study(jobs, Path({name!r}) / 'results', processes=2)\n"
            )
            paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
            study = subprocess.Popen(
                [sys.executable, str(script)], env=os.environ | {"PYTHONPATH": paths}
            )
            try:
                patiently(lambda: any(folder.glob(f"runs-*/*/{MANIFEST}")), "training has begun")
                workers = [pid for pid in children(study.pid) if "spawn_main" in command(pid)]
                self.assertTrue(workers)
            finally:
                study.kill()
                study.wait()
            patiently(lambda: not any(command(pid) for pid in workers), "the workers have ended")


def patiently(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 120
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"Not in two minutes: {what}")
        time.sleep(0.2)


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command(pid: int) -> str:
    """ "" where no such process lives."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
