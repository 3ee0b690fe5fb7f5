"""Our segmenter against ``cellpose.models.CellposeModel`` with the same weights, in one run.

    .venv/bin/python -m benchmarks.segmenter [--images DIR] [--weights FILE] [--limit N]

DIR holds ``X.png|tif`` beside ``X_masks.png|tif``, of one plane or two (cytoplasm, nucleus); FILE
is a cellpose 2/3 checkpoint. Without them, synthetic images of four sizes, and a network of
cellpose's size trained on synthetic images for some minutes. Both see each image at its own median
cell diameter. The last line is one JSON object: ``speedup_geomean`` (time of cellpose over ours,
per image), ``ap50_difference`` and ``ap75_difference`` (ours − cellpose's against the masks),
``agreement_ap50`` (between the two), ``per_size`` (speed-ups by image side), ``seconds`` (ours and
cellpose's by side), ``postprocess_speedup`` (flows to masks alone, on the largest images),
``postprocess_agreement_ap90``, ``postprocess_cells``, ``images`` and ``precision``.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cellpose import dynamics
from cellpose.models import CellposeModel
from imagecodecs import imread
from numpy.typing import NDArray

from benchmarks.models import crowded, kept, model_folder
from inference import checkpoint
from inference.flows import DecodeSettings, decode
from inference.labels import median_diameter, relabel
from inference.segmenter import Segmenter, SegmenterSettings
from training.metrics import average_precision

SUFFIXES = (".png", ".tif", ".tiff")
SIZES = (((256, 256), 4), ((520, 696), 3), ((1024, 1024), 2), ((2048, 2048), 1))  # (shape, images)
ENOUGH = 10.0  # s: what takes longer is not run twice

Pair = tuple[NDArray[Any], NDArray[Any]]  # planes (1 or 2, H, W), label image (H, W)


def main() -> None:
    """Run the comparison and print its figures."""
    parser = argparse.ArgumentParser(description="Our segmenter against cellpose 3.")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--limit", type=int, default=0, help="only so many images")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    pairs = list(from_folder(given.images) if given.images else synthetic())
    weights = given.weights or as_cellpose(model_folder("segmenter", None))
    state, meta = checkpoint.import_cellpose(weights, ("nucleus",))
    ours = Segmenter(state, replace(meta, settings={"precision": given.precision}))
    peer = CellposeModel(gpu=ours.device.type == "cuda", pretrained_model=str(weights))
    rows = [compare(ours, peer, *pair) for pair in pairs[: given.limit or None]]
    print(json.dumps(summary(rows) | {"precision": given.precision}))


def as_cellpose(folder: Path) -> Path:
    """A segmenter's weights as the file that cellpose itself would have saved."""
    file = kept() / "segmenter.cellpose"
    torch.save(checkpoint.load(folder)[0], file)
    return file


def synthetic() -> Iterator[Pair]:
    """Mixed fields of every size."""
    for shape, count in SIZES:
        for seed in range(count):
            drawn = crowded(shape, seed)
            yield drawn.image, drawn.labels


def from_folder(folder: Path) -> Iterator[Pair]:
    """The images of a folder that have masks beside them."""
    found = [pair for pair in map(masks_beside, sorted(folder.iterdir())) if pair is not None]
    if not found:
        raise SystemExit(f"{folder} holds no image with a _masks file beside it")
    for file, masks in found:
        yield planes_of(imread(file)), relabel(imread(masks))[0]


def planes_of(image: NDArray[Any]) -> NDArray[Any]:
    """(H, W), (C, H, W) or (H, W, C) as one plane, or as two when exactly two hold something."""
    if image.ndim == 2:
        return image[None]
    planes = image if image.shape[0] <= 4 else image.transpose(2, 0, 1)
    filled = planes[[plane.any() for plane in planes[:3]] + [False] * (len(planes) - 3)]
    if len(filled) == 2:
        return filled
    return filled.mean(axis=0, keepdims=True) if len(filled) else planes[:1]


def masks_beside(file: Path) -> tuple[Path, Path] | None:
    """An image and its masks, or None when ``file`` is not an image with masks."""
    if file.suffix not in SUFFIXES or file.stem.endswith("_masks"):
        return None
    beside = [file.with_name(f"{file.stem}_masks{suffix}") for suffix in SUFFIXES]
    return next(((file, masks) for masks in beside if masks.exists()), None)


def compare(
    ours: Segmenter, peer: CellposeModel, planes: NDArray[Any], true: NDArray[Any]
) -> dict[str, Any]:
    """Times, precisions and agreement on one image."""
    diameter = median_diameter(true) or 30.0
    settings = SegmenterSettings(diameter=diameter)
    channels = ("cytoplasm", "nucleus")[-len(planes) :]
    ours.meta = replace(ours.meta, channels=channels)
    # cellpose names channels from 1, the one to segment first; 0 is grey, or none.
    image, names = (planes[0], [0, 0]) if len(planes) == 1 else (planes.transpose(1, 2, 0), [1, 2])
    mine, seconds = timed(lambda: ours.segment(planes, settings))
    (theirs, flows, _), peer_seconds = timed(
        lambda: peer.eval(image, diameter=diameter, channels=names)
    )
    niter = int(200 * diameter / ours.meta.diameter)
    fields = np.ascontiguousarray(flows[1]), np.ascontiguousarray(flows[2])
    decoded, decode_seconds = timed(lambda: decode(*fields, DecodeSettings(niter=niter)))
    by_peer, peer_decode = timed(lambda: dynamics.resize_and_compute_masks(*fields, niter=niter))
    return {
        "side": max(true.shape),
        "cells": int(true.max()),
        "seconds": (seconds, peer_seconds),
        "speedup": peer_seconds / seconds,
        "postprocess": peer_decode / decode_seconds,
        "postprocess_agreement": float(precision(by_peer, decoded)[2]),
        "ours": precision(true, mine.labels),
        "theirs": precision(true, theirs),
        "agreement": float(precision(theirs, mine.labels)[0]),
    }


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """The result of the faster of some calls, and its seconds: the first one may compile."""
    seconds: list[float] = []
    while len(seconds) < 3 and sum(seconds) < ENOUGH:
        began = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - began)
    return result, min(seconds)


def precision(true: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
    """AP (cellpose) of one image at IoU 0.5, 0.75, 0.9."""
    return average_precision([true], [predicted])[0]


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of the contract."""
    difference = np.mean([row["ours"] - row["theirs"] for row in rows], axis=0)
    sides = sorted({row["side"] for row in rows})
    by_side = {side: [row for row in rows if row["side"] == side] for side in sides}
    largest = by_side[sides[-1]]
    return {
        "images": len(rows),
        "speedup_geomean": geometric_mean([row["speedup"] for row in rows]),
        "ap50_difference": float(difference[0]),
        "ap75_difference": float(difference[1]),
        "agreement_ap50": float(np.mean([row["agreement"] for row in rows])),
        "per_size": {
            str(side): geometric_mean([row["speedup"] for row in some])
            for side, some in by_side.items()
        },
        "seconds": {
            str(side): np.median([row["seconds"] for row in some], axis=0).round(3).tolist()
            for side, some in by_side.items()
        },
        "postprocess_speedup": geometric_mean([row["postprocess"] for row in largest]),
        "postprocess_agreement_ap90": min(row["postprocess_agreement"] for row in largest),
        "postprocess_cells": min(row["cells"] for row in largest),
    }


def geometric_mean(values: list[float]) -> float:
    """exp of the mean logarithm."""
    return float(np.exp(np.mean(np.log(values))))


if __name__ == "__main__":
    main()
