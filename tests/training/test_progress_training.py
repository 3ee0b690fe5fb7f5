"""Long work tells how many images it is through with."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

from tests.training.snapshots import write_disks
from training.config import TrainConfig
from training.evaluate import evaluate
from training.progress import Counter, telling
from training.smoke import smoke_test
from training.train import train


def steps(of: int) -> list[tuple[int, int]]:
    """What work on so many images tells."""
    return [(done, of) for done in range(of + 1)]


class ProgressTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.told: list[tuple[int, int]] = []

    def tell(self, done: int, of: int) -> None:
        self.told.append((done, of))

    def test_preparing_counts_the_images_learnt_from_and_judged_by(self) -> None:
        snapshot = write_disks(self.folder / "s", ["train", "train", "validation", "test"])
        quick = {"width": 8, "crop": 64, "batch_size": 2, "crops_per_epoch": 4, "epochs": 2}
        quick |= {"patience": 0}
        for family in ("segmenter", "detector"):
            with self.subTest(family), telling(self.tell):
                run, config = self.folder / family, TrainConfig.for_family(family, quick)
                train(config, snapshot, run, on_epoch=lambda _: self.tell(-1, -1))
                # All of it before the first epoch.
                self.assertEqual(self.told, [*steps(3), (-1, -1), (-1, -1)])
                self.told.clear()
        with telling(self.tell):
            evaluate(self.folder / "segmenter", snapshot, "test")
            smoke_test(self.folder / "segmenter", snapshot)
        self.assertEqual(self.told, steps(1) + steps(2))

    def test_an_image_counts_when_the_work_on_it_is_over(self) -> None:
        with telling(self.tell):
            counter = Counter(3)
            for part in ("ab", "c"):
                for _ in counter.each(part):
                    self.told.append((-1, -1))
        work = (-1, -1)
        self.assertEqual(self.told, [(0, 3), work, (1, 3), work, (2, 3), work, (3, 3)])
        list(Counter(2).each("ab"))
        self.assertEqual(len(self.told), 7, "nobody listens any more")
