"""A slide of 20,000 × 20,000 px through both models, in bounded memory.

    .venv/bin/python -m benchmarks.large [--side 20000] [--diameter 90]

A synthetic field of 1,000² px, enlarged to cells of about ``--diameter`` px, is repeated over the
slide (two channels of 16 bit). ``--segmenter`` and ``--detector`` name model folders; without them
models are trained on synthetic images for some minutes. The process that predicts holds the slide
itself in memory too. The last line is one JSON object: ``peak_gb`` (10⁹ bytes, the most the
process ever had before the masks are judged), ``image_gb`` (the slide's own part of it),
``minutes``, ``cells``, and ``ap50_seams`` against ``ap50_inside``: AP at IoU 0.5 against the true
cells, of strips along the windows' edges and of strips in their middles.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.models import crowded, model_folder
from inference.labels import median_diameter, relabel
from inference.predictor import load_predictor
from inference.windows import CORE, LARGE, windows
from training.metrics import average_precision

PATCH = 1000  # px of the synthetic field
STRIP = 200  # px to each side of an edge
LEAST = int(LARGE**0.5) + 1  # px: smaller images are not seen in windows


def main() -> None:
    """Run and print the figures."""
    parser = argparse.ArgumentParser(description="One large image.")
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--diameter", type=float, default=90.0)
    parser.add_argument("--segmenter", type=Path)
    parser.add_argument("--detector", type=Path)
    given = parser.parse_args()
    if given.side < max(3 * CORE, LEAST):
        parser.error(
            f"--side must be at least {max(3 * CORE, LEAST)}: smaller images have no seams"
        )
    segmenter = model_folder("segmenter", given.segmenter)
    detector = model_folder("detector", given.detector, backbone="small")
    # In a process of its own: a training before would count among its memory.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        ask = pool.submit(figures, given.side, given.diameter, segmenter, detector)
        print(json.dumps(ask.result()))


def figures(side: int, diameter: float, segmenter: Path, detector: Path) -> dict[str, Any]:
    """Predict a slide and judge the masks along the windows' edges and inside them."""
    tile, truth = patch(diameter)
    image = np.empty((len(tile), side, side), tile.dtype)
    for plane, part in zip(tile, image, strict=True):
        repeat(plane, part)
    predictor = load_predictor(segmenter, detector)
    began = time.perf_counter()
    found = predictor.predict(image)
    minutes = (time.perf_counter() - began) / 60
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(f"{len(found.cells)} cells in {minutes:.1f} min, {peak:.2f} GB", file=sys.stderr)
    edges = [row[0].core[0] for row in windows(image.shape[1:], CORE, 0)][1:]
    inside, seams = (
        np.mean([strips(found.labels, truth, at), strips(found.labels.T, truth.T, at)])
        for at in ([edge - CORE // 2 for edge in edges], edges)
    )
    return {
        "side": side,
        "peak_gb": peak,
        "image_gb": image.nbytes / 1e9,
        "minutes": minutes,
        "cells": len(found.cells),
        "diameter": found.diameter,
        "ap50_seams": float(seams),
        "ap50_inside": float(inside),
    }


def patch(diameter: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """A field (2, h, w) and its label image, enlarged so that cells measure ``diameter`` px."""
    drawn = crowded((PATCH, PATCH), seed=7)
    zoom = diameter / median_diameter(drawn.labels)
    size = (round(PATCH * zoom),) * 2
    planes = [cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in drawn.image]
    labels = drawn.labels.astype(np.float32)
    return np.stack(planes), cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST).astype(int)


def repeat(plane: NDArray[Any], over: NDArray[Any]) -> None:
    """``plane`` (h, w) again and again until ``over`` (H, W) is full."""
    height, width = plane.shape
    for top in range(0, over.shape[0], height):
        for left in range(0, over.shape[1], width):
            part = over[top : top + height, left : left + width]
            part[:] = plane[: part.shape[0], : part.shape[1]]


def strips(found: NDArray[Any], truth: NDArray[Any], rows: list[int]) -> float:
    """Mean AP at IoU 0.5 in strips around ``rows``, without the cells that their edges cut."""
    values = []
    for row in rows:
        top, bottom = row - STRIP, row + STRIP
        true = true_rows(truth, top, bottom, found.shape[1])
        seen = relabel(found[top:bottom])[0]
        values.append(average_precision([_whole(true)], [_whole(seen)], [0.5])[0, 0])
    return float(np.mean(values))


def true_rows(truth: NDArray[Any], top: int, bottom: int, width: int) -> NDArray[Any]:
    """The true label image of rows top … bottom of the slide."""
    (row, y), (column, x) = (
        np.divmod(np.arange(*span), length)
        for span, length in zip(((top, bottom), (0, width)), truth.shape, strict=True)
    )
    part = truth[np.ix_(y, x)]
    number = row[:, None] * (int(column.max()) + 1) + column[None, :]
    return relabel(np.where(part > 0, part + number * (int(truth.max()) + 1), 0))[0]


def _whole(labels: NDArray[Any]) -> NDArray[Any]:
    cut = np.unique(np.concatenate([labels[0], labels[-1]]))
    return np.where(np.isin(labels, cut[cut > 0]), 0, labels)


if __name__ == "__main__":
    main()
