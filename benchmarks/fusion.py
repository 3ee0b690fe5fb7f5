"""Both models' cells fused, beside each model's alone, on images no training has seen.

    .venv/bin/python -m benchmarks.fusion [--segmenter FOLDER] [--detector FOLDER]

Without model folders (or zips) two are trained on synthetic images (``benchmarks.models``;
``--minutes 4,2`` says for how long). The rule is fitted on ``--known`` images and measured on
``--judged`` others; ``--repeats`` fits it on as many further sets of known images, for how far it
depends on them. The last line is one JSON object: ``rules``, each with its ``least`` chance and AP
at IoU 0.5, missed and extra cells of "fused", "segmenter" and "detector", and ``better``: in how
many of them the fused cells have the higher AP, fewer missed cells, and both.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.models import KINDS, model_folder
from inference.predictor import Predictor, load_predictor
from training.dataset import SnapshotImage
from training.fusion_fit import fit_rule, measure_rule
from training.synthetic import draw_image

SHAPE = (256, 256)
ALONE = ("segmenter", "detector")


def main() -> None:
    """Run and print the figures."""
    parser = argparse.ArgumentParser(description="Two models' cells together and alone.")
    parser.add_argument("--segmenter", type=Path)
    parser.add_argument("--detector", type=Path)
    parser.add_argument("--minutes", default="4,4", help="of training the two, where none is given")
    parser.add_argument("--known", type=int, default=4, help="images a rule is fitted on")
    parser.add_argument("--judged", type=int, default=60, help="images it is measured on")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    if given.known * given.repeats > 500:
        parser.error("More than 500 known images: some of them would be judged too.")
    logging.disable(logging.WARNING)
    minutes = [float(part) for part in given.minutes.split(",")]
    folders = [
        model_folder(family, folder, minutes=time)
        for family, folder, time in zip(
            ALONE, (given.segmenter, given.detector), minutes, strict=True
        )
    ]
    predictor = load_predictor(*folders)
    with tempfile.TemporaryDirectory(prefix="fusion-") as name:
        judged = drawn(Path(name), 1000, given.judged)
        rules = [
            measured(predictor, drawn(Path(name), 500 + at * given.known, given.known), judged)
            for at in range(given.repeats)
        ]
    print(json.dumps({"known": given.known, "rules": rules, "better": better(rules)}))


def measured(
    predictor: Predictor, known: list[SnapshotImage], judged: list[SnapshotImage]
) -> dict[str, Any]:
    """The figures of a rule that ``known`` taught, on ``judged``."""
    rule = fit_rule(predictor, known)
    return {"least": rule.least, "borders": rule.borders} | measure_rule(predictor, rule, judged)


def better(rules: list[dict[str, Any]]) -> dict[str, int]:
    """How often the fused cells are better than those of each model."""
    ap = [rule["ap50"]["fused"] > max(rule["ap50"][model] for model in ALONE) for rule in rules]
    missed = [
        rule["missed"]["fused"] < min(rule["missed"][model] for model in ALONE) for rule in rules
    ]
    both = [a and b for a, b in zip(ap, missed, strict=True)]
    return {"ap50": sum(ap), "missed": sum(missed), "both": sum(both), "of": len(rules)}


def drawn(folder: Path, first: int, count: int) -> list[SnapshotImage]:
    """Synthetic images whose cells are known, a third of them mixed."""
    images = []
    for number in range(first, first + count):
        kind = KINDS[number % len(KINDS)]
        image = draw_image(kind, SHAPE, seed=(number, 7))
        pixels, labels = (folder / f"{number}-{part}.npy" for part in ("image", "labels"))
        np.save(pixels, image.image)
        np.save(labels, image.labels)
        name, types = str(number), image.types
        images.append(
            SnapshotImage(name, name, "test", name, pixels, labels, kind, cell_types=types)
        )
    return images


if __name__ == "__main__":
    main()
