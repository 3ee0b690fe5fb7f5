"""Partial annotation: training on a part of each image's area against training on all of it.

    .venv/bin/python -m benchmarks.partial [--train DIR --test DIR] [--share 0.25] [--epochs 30]

Folders hold ``X.png|tif`` beside ``X_masks.png|tif``; without them, synthetic images. Of each
training image one rectangle of ``--share`` of its area, somewhere, is marked complete; outside it
the labels are blank, as where nobody has annotated yet. Both trainings have the same images, seed
and number of epochs; both are judged on the whole test images. The last line is one JSON object:
``segmenter`` and ``detector``, each with AP at IoU 0.5 of "all" and "part" and their
``ap50_difference`` (part − all).
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.training import Pair, channels_of, pairs, precision, say, written
from inference.detector import Detector
from inference.segmenter import Segmenter
from training.config import FAMILIES, TrainConfig
from training.dataset import MANIFEST
from training.engine import EpochReport
from training.metrics import average_precision
from training.train import train

SEED = 0  # of where the rectangles lie


def main() -> None:
    """Run and print the figures."""
    parser = argparse.ArgumentParser(description="Training on a part of each image's area.")
    parser.add_argument("--train", type=Path)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--judged", type=int, default=50, help="test images")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--share", type=float, default=0.25, help="of each image's area")
    parser.add_argument("--families", default=",".join(FAMILIES))
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    taught = pairs(given.train, given.images, 0)
    judged = pairs(given.test, given.judged, 1000)
    figures: dict[str, Any] = {"share": given.share, "epochs": given.epochs}
    for family in given.families.split(","):
        found = {
            name: trained(family, taught, judged, share, given.epochs)
            for name, share in (("all", 1.0), ("part", given.share))
        }
        figures[family] = found | {"ap50_difference": found["part"] - found["all"]}
    print(json.dumps(figures | {"images": {"train": len(taught), "test": len(judged)}}))


def trained(
    family: str, taught: Sequence[Pair], judged: Sequence[Pair], share: float, epochs: int
) -> float:
    """AP at IoU 0.5 of a model taught on ``share`` of each image's area."""
    with tempfile.TemporaryDirectory(prefix="partial-") as name:
        snapshot = snapshot_of(taught, Path(name) / "snapshot", share)
        run = Path(name) / "run"
        config = TrainConfig.for_family(family, {"epochs": epochs})

        def tell(report: EpochReport) -> None:
            say(f"{family}, {share:.0%} of the area: {report.sentence()}")

        train(config, snapshot, run, on_epoch=tell)
        if family == "segmenter":
            return precision(Segmenter.load(run), judged)
        return detector_precision(Detector.load(run), judged)


def detector_precision(detector: Detector, judged: Sequence[Pair]) -> float:
    """Mean AP at IoU 0.5 of the cells a person would be shown."""
    values = []
    for planes, labels in judged:
        found = detector.detect(planes).sure().to_labels((labels.shape[0], labels.shape[1]))[0]
        values.append(average_precision([labels], [found], [0.5])[0, 0])
    return float(np.mean(values))


def snapshot_of(taught: Sequence[Pair], folder: Path, share: float) -> Path:
    """A snapshot in which one rectangle of each image is complete and the rest is blank."""
    rng = np.random.default_rng(SEED)
    regions = [rectangle(labels.shape[0], labels.shape[1], share, rng) for _, labels in taught]
    seen = [
        (planes, inside(labels, region))
        for (planes, labels), region in zip(taught, regions, strict=True)
    ]
    written(seen, folder, channels_of(taught))
    document = json.loads((folder / MANIFEST).read_text())
    if share < 1.0:
        for entry, region in zip(document["images"], regions, strict=True):
            entry["complete_regions"] = [region]
            entry["labels_content"] += f" {region}"
    (folder / MANIFEST).write_text(json.dumps(document))
    return folder


def rectangle(height: int, width: int, share: float, rng: np.random.Generator) -> list[int]:
    """x0, y0, x1, y1 of the image's proportions, anywhere in it."""
    side = share**0.5
    tall, wide = round(height * side), round(width * side)
    y0, x0 = int(rng.integers(0, height - tall + 1)), int(rng.integers(0, width - wide + 1))
    return [x0, y0, x0 + wide, y0 + tall]


def inside(labels: Any, region: list[int]) -> Any:
    """Labels of the cells that ``region`` shows, whole; the others blank."""
    x0, y0, x1, y1 = region
    return np.where(np.isin(labels, np.unique(labels[y0:y1, x0:x1])), labels, 0)


if __name__ == "__main__":
    main()
