"""Both models' cells fused, beside each model's alone, on images no training has seen.

    .venv/bin/python -m benchmarks.fusion [--segmenter FOLDER] [--detector FOLDER]
    .venv/bin/python -m benchmarks.fusion --train DIR --test DIR

Without model folders (or zips) two are trained on synthetic images (``benchmarks.models``;
``--minutes 4,2`` says for how long). With ``--train`` and ``--test``, folders of ``X.png|tif``
beside ``X_masks.png|tif``, they are trained on the first ``--taught`` images of the one, rules are
fitted on the images after those, and judged on the other folder's. ``--keep FOLDER`` has models
trained there, and takes those that lie there from an earlier run of the same ``--train``. A rule
is fitted on ``--known`` images and measured on ``--judged`` others; ``--repeats`` fits it on as
many further sets of known images, for how far it depends on them.

The last line is one JSON object: ``rules``, each with its ``least`` chance and AP at IoU 0.5,
missed and extra cells of "fused", "segmenter" and "detector", and ``better``: in how many of them
the fused cells have the higher AP, fewer missed cells, and both.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.models import KINDS, model_folder
from benchmarks.segmenter import from_folder
from benchmarks.training import channels_of, say, written
from inference.predictor import Predictor, load_predictor
from training.config import TrainConfig
from training.dataset import SnapshotImage
from training.fusion_fit import fit_rule, measure_rule
from training.synthetic import draw_image
from training.train import train

SHAPE = (256, 256)
ALONE = ("segmenter", "detector")


def main() -> None:
    """Run and print the figures."""
    parser = argparse.ArgumentParser(description="Two models' cells together and alone.")
    parser.add_argument("--segmenter", type=Path)
    parser.add_argument("--detector", type=Path)
    parser.add_argument("--minutes", default="4,4", help="of training the two, where none is given")
    parser.add_argument("--train", type=Path)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--keep", type=Path, help="with --train: where the models stay")
    parser.add_argument("--taught", type=int, default=60, help="images of --train to train on")
    parser.add_argument("--known", type=int, default=4, help="images a rule is fitted on")
    parser.add_argument("--judged", type=int, default=60, help="images it is measured on")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    if not given.train and given.known * given.repeats > 500:
        parser.error("More than 500 known images: some of them would be judged too.")
    if given.train and (given.segmenter or given.detector):
        parser.error("With --train both models are trained on its images; leave them out.")
    if bool(given.train) != bool(given.test):
        parser.error("--train and --test go together.")
    if given.keep and not given.train:
        parser.error("--keep goes with --train; what is trained without it is kept anyhow.")
    logging.disable(logging.WARNING)
    minutes = [float(part) for part in given.minutes.split(",")]
    with tempfile.TemporaryDirectory(prefix="fusion-") as name:
        if given.train:
            predictor, known, judged = real(given, minutes, Path(name))
        else:
            predictor, known, judged = synthetic(given, minutes, Path(name))
        rules = [
            measured(predictor, known[first : first + given.known], judged)
            for first in range(0, given.known * given.repeats, given.known)
        ]
    print(json.dumps({"known": given.known, "rules": rules, "better": better(rules)}))


Set = tuple[Predictor, list[SnapshotImage], list[SnapshotImage]]  # models, known, judged


def synthetic(given: argparse.Namespace, minutes: list[float], folder: Path) -> Set:
    """Models given, or trained on synthetic images, and images of other seeds."""
    folders = [
        model_folder(family, model, minutes=time)
        for family, model, time in zip(
            ALONE, (given.segmenter, given.detector), minutes, strict=True
        )
    ]
    known = drawn(folder, 500, given.known * given.repeats)
    return load_predictor(*folders), known, drawn(folder, 1000, given.judged)


def real(given: argparse.Namespace, minutes: list[float], folder: Path) -> Set:
    """Models trained on a folder's first images, the next ones, and another folder's."""
    images = list(from_folder(given.train))
    taught, others = images[: given.taught], images[given.taught :]
    tests = list(from_folder(given.test))[: given.judged]
    if len(others) < given.known * given.repeats:
        raise SystemExit(
            f"{given.train} has {len(images)} images: too few for {given.taught} to train on and"
            f" {given.repeats} times {given.known} to fit a rule on."
        )
    others = others[: given.known * given.repeats]
    if len({planes.shape[0] for planes, _ in (*taught, *others, *tests)}) > 1:
        raise SystemExit("Some of these images have one filled plane and some have two.")
    folders = [
        (given.keep or folder) / f"{family}-{len(taught)}-{time:g}"
        for family, time in zip(ALONE, minutes, strict=True)
    ]
    if not all(run.exists() for run in folders):
        snapshot = written(taught, folder / "snapshot", channels_of(taught))
        # In processes of their own, as ``benchmarks.models`` trains.
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            for family, time, run in zip(ALONE, minutes, folders, strict=True):
                if run.exists():
                    continue
                pool.submit(taught_on, family, snapshot, time, run).result()
    known = [saved(folder, f"known {n}", *pair) for n, pair in enumerate(others)]
    judged = [saved(folder, f"test {n}", *pair) for n, pair in enumerate(tests)]
    return load_predictor(*folders), known, judged


def taught_on(family: str, snapshot: Path, minutes: float, run: Path) -> None:
    """Leave a model trained on ``snapshot`` in ``run``, which appears when it is whole."""
    config = TrainConfig.for_family(family, {"minutes": minutes})
    part = run.with_name(f"{run.name}.part")
    train(config, snapshot, part, on_epoch=lambda report: say(f"{family}: {report.sentence()}"))
    part.rename(run)


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
        one = saved(folder, str(number), image.image, image.labels)
        images.append(replace(one, culture=kind, cell_types=image.types))
    return images


def saved(folder: Path, name: str, planes: NDArray[Any], labels: NDArray[Any]) -> SnapshotImage:
    """An image (C, H, W) and its label image (H, W) as files of a snapshot."""
    pixels, masks = (folder / f"{name}-{part}.npy" for part in ("image", "labels"))
    np.save(pixels, planes)
    np.save(masks, labels)
    return SnapshotImage(name, name, "test", name, pixels, masks)


if __name__ == "__main__":
    main()
