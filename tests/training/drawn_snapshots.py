"""Tiny snapshots of drawn images, for detectors."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

import torch

from tests.training.snapshots import write_snapshot
from training.config import TrainConfig
from training.dataset import open_snapshot
from training.detector_learner import DetectorLearner
from training.synthetic import draw_image

TYPES = ["HEK", "N2a"]
QUICK = {
    "epochs": 1,
    "crops_per_epoch": 4,
    "batch_size": 2,
    "crop": 96,
    "width": 8,
    "device": "cpu",
}


def drawn(kind="mixed", seed=0, shape=(128, 128), **fields):
    """A snapshot entry of a drawn image, all cells typed."""
    image = draw_image(kind, shape, seed)
    return {
        "pixels": image.image,
        "labels": image.labels,
        "cell_types": {str(label): name for label, name in image.types.items()},
        "culture": kind,
        **fields,
    }


class TemporaryFolder(unittest.TestCase):
    """Snapshots of drawn images, and learners of them."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def snapshot(self, *images, **document):
        return write_snapshot(
            self.folder / f"snapshot{len(list(self.folder.iterdir()))}",
            list(images),
            **{
                "family": "detector",
                "channels": ["cytoplasm", "nucleus"],
                "types": TYPES,
                **document,
            },
        )

    def learner(self, snapshot, base=None, **overrides):
        config = TrainConfig.for_family("detector", {**QUICK, **overrides}).settled(False)
        return DetectorLearner(
            config, open_snapshot(snapshot), self.folder, base, torch.device("cpu")
        )
