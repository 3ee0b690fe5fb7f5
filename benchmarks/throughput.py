"""From stored file to stored typed prediction, against both stock models in a plain loop.

    .venv/bin/python -m benchmarks.throughput [--images DIR] [--segmenter FILE] [--detector FOLDER]

DIR holds two-channel images (cytoplasm, nucleus); FILE is a cellpose 2/3 checkpoint, FOLDER a
detector's model folder or zip. Without them, synthetic images of 512² and models trained on
synthetic images for some minutes. Ours is ``images_predict --wait`` on a server's own database and
folder: read, estimate the diameter, segment (in bfloat16, as models trained here do), detect, fuse,
name types, store masks, flows, cells.
The peer reads the same files and runs ``CellposeModel.eval``, which is told the images' median
diameter, then torchvision's ``MaskRCNN`` with its pasted masks, and stores nothing; it sees
``--peer-images`` of them. The last line is one JSON object: ``speedup``, ``images_per_minute``,
``peer_images_per_minute``, and ``cost_growth``: seconds per image of the last run over the first.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from cellpose.models import CellposeModel
from imagecodecs import imread
from numpy.typing import NDArray

from benchmarks.browser import UNWANTED, manage
from benchmarks.detector import Stock
from benchmarks.models import CHANNELS, TYPES, crowded, kept, model_folder
from benchmarks.segmenter import as_cellpose, planes_of
from inference.detector import Detector
from inference.labels import median_diameter
from inference.normalize import normalize, resize
from training.synthetic import write_image

SIDE = 512
RUNS = (50, 200, 500)  # images; the speed-up is that of 200


def main() -> None:
    """Run and print the figures."""
    parser = argparse.ArgumentParser(description="Images per minute, against stock models.")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--segmenter", "--weights", dest="segmenter", type=Path)
    parser.add_argument("--detector", type=Path)
    parser.add_argument("--runs", type=int, nargs="+", default=RUNS)
    parser.add_argument("--peer-images", type=int, default=12)
    parser.add_argument("--diameter", type=float, help="px; ours then estimates nothing either")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    weights = given.segmenter or as_cellpose(model_folder("segmenter", None))
    detector = model_folder("detector", given.detector, backbone="small")
    files = sorted(given.images.iterdir()) if given.images else drawn(max(given.runs))
    rows = [served(files[:count], weights, detector, given.diameter) for count in given.runs]
    peer = plain_loop(files[: given.peer_images], weights, detector)
    chosen = next((row for row in rows if row["images"] == 200), rows[-1])
    print(
        json.dumps(
            {
                "speedup": peer / chosen["seconds_per_image"],
                "images_per_minute": 60 / chosen["seconds_per_image"],
                "peer_images_per_minute": 60 / peer,
                "cost_growth": rows[-1]["seconds_per_image"] / rows[0]["seconds_per_image"],
                "runs": rows,
            }
        )
    )


def drawn(count: int) -> list[Path]:
    """Synthetic images of 512², kept for the next run."""
    folder = kept() / f"images-{SIDE}"
    folder.mkdir(exist_ok=True)
    files = [folder / f"field_{number}.tif" for number in range(count)]
    for number, file in enumerate(files):
        if not file.exists():
            write_image(file, crowded((SIDE, SIDE), number).image)
    return files


def served(
    files: list[Path], weights: Path, detector: Path, diameter: float | None
) -> dict[str, Any]:
    """Seconds per image of the server's own prediction of ``files``."""
    with tempfile.TemporaryDirectory(prefix="throughput-") as folder:
        environment = {key: value for key, value in os.environ.items() if key not in UNWANTED}
        environment["CYTOLOOP_VAR"] = str(Path(folder) / "var")
        images = Path(folder) / "images"
        images.mkdir()
        for file in files:
            (images / file.name).symlink_to(file.resolve())
        channels, types = ",".join(CHANNELS), ",".join(TYPES)
        manage(environment, "migrate", "--verbosity", "0")
        create = ("--channels", channels, "--types", types, "--type-pattern", "")
        manage(environment, "dataset_create", "bench", *create)
        manage(environment, "images_import", "bench", str(images))
        fixed = ("--diameter", str(diameter)) if diameter else ()
        fast = ("--precision", "bfloat16", *fixed)
        manage(environment, "model_import", "bench", "segmenter", str(weights), *fast)
        manage(environment, "model_import", "bench", "detector", str(detector))
        answer = manage(environment, "images_predict", "bench", "--wait", "--json")
        done = json.loads(answer.splitlines()[-1])
        print(len(files), done, file=sys.stderr, flush=True)
        return {
            "images": done["images"],
            "cells": done["cells"],
            "seconds_per_image": done["seconds"] / done["images"],
        }


def plain_loop(files: list[Path], weights: Path, folder: Path) -> float:
    """Seconds per image of the two stock models, one after the other."""
    segmenter = CellposeModel(gpu=False, pretrained_model=str(weights))
    detector = Detector.load(folder)
    stock = Stock(detector.network, len(detector.meta.channels))
    zoom = detector.zoom()
    warm = read(files[0])
    masks = segmenter.eval(warm.transpose(1, 2, 0), diameter=30, channels=[1, 2])[0]
    diameter = median_diameter(masks) or 30.0
    seconds = []
    for file in files:
        began = time.perf_counter()
        image = read(file)
        segmenter.eval(image.transpose(1, 2, 0), diameter=diameter, channels=[1, 2])
        planes = normalize(image)
        size = round(planes.shape[1] * zoom), round(planes.shape[2] * zoom)
        stock.detect(resize(planes, size))
        seconds.append(time.perf_counter() - began)
    return float(np.mean(seconds))


def read(file: Path) -> NDArray[Any]:
    """All planes of an image (C, H, W)."""
    if file.suffix in (".tif", ".tiff"):
        return tifffile.imread(file)
    return planes_of(imread(file))


if __name__ == "__main__":
    main()
