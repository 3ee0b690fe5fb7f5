"""Our segmenter against ``cellpose.models.CellposeModel`` with the same weights, in one run.

    .venv/bin/python -m benchmarks.segmenter --images DIR --weights FILE [--limit N]

DIR holds ``X.png|tif`` beside ``X_masks.png|tif``; FILE is a cellpose 2/3 checkpoint. Both see each
image at its own median cell diameter. The last line is one JSON object: ``speedup_geomean`` (time
of cellpose over ours, per image), ``ap50_difference`` and ``ap75_difference`` (ours − cellpose's
against the masks), ``agreement_ap50`` (between the two), ``per_size`` (speed-ups by image side),
``postprocess_speedup`` (flows to masks alone), ``images`` and ``precision``.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from cellpose import dynamics
from cellpose.models import CellposeModel
from imagecodecs import imread
from numpy.typing import NDArray

from inference import checkpoint
from inference.flows import DecodeSettings, decode
from inference.labels import median_diameter, relabel
from inference.segmenter import Segmenter, SegmenterSettings
from training.metrics import average_precision

SUFFIXES = (".png", ".tif", ".tiff")


def main() -> None:
    """Run the comparison and print its figures."""
    parser = argparse.ArgumentParser(description="Our segmenter against cellpose 3.")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=0, help="only so many images")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    pairs = [p for p in map(masks_beside, sorted(given.images.iterdir())) if p is not None]
    if not pairs:
        parser.error(f"{given.images} holds no image with a _masks file beside it")
    state, meta = checkpoint.import_cellpose(given.weights, ("nucleus",))
    ours = Segmenter(state, replace(meta, settings={"precision": given.precision}))
    peer = CellposeModel(gpu=ours.device.type == "cuda", pretrained_model=str(given.weights))
    rows = [compare(ours, peer, *pair) for pair in pairs[: given.limit or None]]
    print(json.dumps(summary(rows) | {"precision": given.precision}))


def masks_beside(file: Path) -> tuple[Path, Path] | None:
    """An image and its masks, or None when ``file`` is not an image with masks."""
    if file.suffix not in SUFFIXES or file.stem.endswith("_masks"):
        return None
    beside = [file.with_name(f"{file.stem}_masks{suffix}") for suffix in SUFFIXES]
    return next(((file, masks) for masks in beside if masks.exists()), None)


def compare(ours: Segmenter, peer: CellposeModel, file: Path, masks: Path) -> dict[str, Any]:
    """Times, precisions and agreement on one image."""
    image, true = imread(file), relabel(imread(masks))[0]
    if image.ndim == 3:
        image = image.mean(axis=-1)
    diameter = median_diameter(true) or 30.0
    settings = SegmenterSettings(diameter=diameter)
    mine, seconds = timed(lambda: ours.segment(image[None], settings))
    (theirs, flows, _), peer_seconds = timed(
        lambda: peer.eval(image, diameter=diameter, channels=[0, 0])
    )
    niter = int(200 * diameter / ours.meta.diameter)
    fields = np.ascontiguousarray(flows[1]), np.ascontiguousarray(flows[2])
    _, decode_seconds = timed(lambda: decode(*fields, DecodeSettings(niter=niter)))
    _, peer_decode = timed(lambda: dynamics.resize_and_compute_masks(*fields, niter=niter))
    return {
        "side": max(image.shape),
        "speedup": peer_seconds / seconds,
        "postprocess": peer_decode / decode_seconds,
        "ours": precision(true, mine.labels),
        "theirs": precision(true, theirs),
        "agreement": float(precision(theirs, mine.labels)[0]),
    }


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """The result of the faster of two calls, and its seconds: the first one may compile."""
    seconds = []
    for _ in range(2):
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
    return {
        "images": len(rows),
        "speedup_geomean": geometric_mean([row["speedup"] for row in rows]),
        "ap50_difference": float(difference[0]),
        "ap75_difference": float(difference[1]),
        "agreement_ap50": float(np.mean([row["agreement"] for row in rows])),
        "per_size": {
            str(side): geometric_mean([r["speedup"] for r in rows if r["side"] == side])
            for side in sides
        },
        "postprocess_speedup": geometric_mean([row["postprocess"] for row in rows]),
    }


def geometric_mean(values: list[float]) -> float:
    """exp of the mean logarithm."""
    return float(np.exp(np.mean(np.log(values))))


if __name__ == "__main__":
    main()
