"""Our detector against torchvision's own Mask R-CNN, with the same weights, in one run.

    .venv/bin/python -m benchmarks.detector [--images DIR] [--weights FOLDER|ZIP] [--limit N]

DIR holds two-channel ``X.tif`` beside ``X_masks.tif``; FOLDER is a detector's model folder (or the
zip that ``model-versions/{id}/weights/`` gives). Without them, synthetic images of 512² and a
detector trained on synthetic images for some minutes. Both see the same pixels at the detector's
own scale, with the same number of detections allowed. The peer is torchvision's ``MaskRCNN`` as it
stands: float32, every proposal kept, each mask pasted into a plane of the image's size. Ours also
resolves overlaps, which the peer leaves to its user.

The last line is one JSON object: ``speedup`` (geometric mean), ``map_difference`` (ours − the
peer's, masks of cells of any type), ``ours_ms``, ``peer_ms``, ``cells`` (per image, true), and for
2048² with 1,000 cells ``peak_memory_ratio`` (ours over the peer's), each in a process of its own.
There the peer may keep ``--peer-detections`` cells only: with all of them it would need about
35 GB, so the ratio is an upper bound.
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from imagecodecs import imread
from numpy.typing import NDArray
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from benchmarks.models import crowded, model_folder
from benchmarks.segmenter import geometric_mean, masks_beside, timed
from inference.detector import BoxMask, Detections, Detector
from inference.detector_network import _MEAN, _STD, DetectorNetwork
from inference.labels import relabel
from inference.normalize import normalize, resize
from training.metrics import ScoredCells, TypedCells, mean_average_precision

SIDE, LARGE = 512, 2048
DRAWN = 6  # synthetic images
DENSE = 0.72  # by which synthetic fields are shrunk: about 260 cells on 512²
SPARSE = 1.4  # or enlarged: about 1,000 cells on 2048²

Planes = NDArray[np.float32]


def main() -> None:
    """Run the comparison and print its figures."""
    parser = argparse.ArgumentParser(description="Our detector against torchvision's.")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--limit", type=int, default=0, help="only so many images")
    parser.add_argument("--backbone", default="small", help="of the detector trained here")
    parser.add_argument("--peer-detections", type=int, default=250)
    parser.add_argument("--memory", choices=("ours", "peer"), help="only measure memory")
    given = parser.parse_args()
    folder = model_folder("detector", given.weights, backbone=given.backbone)
    detector = Detector.load(folder)
    if given.memory:
        print(json.dumps(memory(detector, given.memory, given.peer_detections)))
        return
    pairs = list(from_folder(given.images) if given.images else synthetic(SIDE, DRAWN))
    rows = [compare(detector, *pair) for pair in pairs[: given.limit or None]]
    peaks = {who: apart(folder, who, given.peer_detections) for who in ("ours", "peer")}
    print(json.dumps(summary(rows) | together(peaks) | {"backbone": backbone(detector)}))


def backbone(detector: Detector) -> str:
    """Its name."""
    return str(detector.meta.architecture["backbone"])


def synthetic(side: int, count: int, scale: float = DENSE) -> list[tuple[Planes, NDArray[Any]]]:
    """Fields (2, side, side) drawn ``scale`` times their size, normalised, with label images."""
    drawn = []
    for seed in range(count):
        whole = round(side / scale)
        field = crowded((whole, whole), seed)
        steps = ((np.arange(side) + 0.5) / scale).astype(int).clip(0, whole - 1)
        labels = relabel(field.labels[steps][:, steps])[0]
        drawn.append((resize(normalize(field.image), (side, side)), labels))
    return drawn


def from_folder(folder: Path) -> list[tuple[Planes, NDArray[Any]]]:
    """Normalised planes and label images of a folder."""
    found = [pair for pair in map(masks_beside, sorted(folder.iterdir())) if pair is not None]
    if not found:
        raise SystemExit(f"{folder} holds no image with a _masks file beside it")
    return [(normalize(imread(image)), relabel(imread(masks))[0]) for image, masks in found]


class Stock:
    """torchvision's ``MaskRCNN`` with the detector's weights and nothing of ours."""

    def __init__(self, network: DetectorNetwork, channels: int, detections: int = 0) -> None:
        # The hooks of ours only matter in bf16.
        self.model = copy.deepcopy(network.rcnn).to(memory_format=torch.contiguous_format)
        for module in self.model.modules():
            module._forward_hooks.clear()
        self.model.transform = GeneralizedRCNNTransform(1, 1, [_MEAN] * channels, [_STD] * channels)
        self.model.eval()  # the new transform too: only at work it pastes masks
        self.model.rpn.score_thresh = 0.0
        if detections:
            self.model.roi_heads.detections_per_img = detections

    @torch.inference_mode()
    def detect(self, planes: Planes) -> dict[str, torch.Tensor]:
        """Boxes, scores and masks (n, 1, H, W) as torchvision gives them."""
        device = next(self.model.parameters()).device
        # To the size that the image has: otherwise it would be seen at COCO's.
        self.model.transform.min_size = (min(planes.shape[1:]),)
        self.model.transform.max_size = max(planes.shape[1:])
        answer: dict[str, torch.Tensor] = self.model([torch.from_numpy(planes).to(device)])[0]
        return {name: tensor.cpu() for name, tensor in answer.items()}


def compare(detector: Detector, planes: Planes, true: NDArray[Any]) -> dict[str, Any]:
    """Times and predicted cells of both on one image."""
    peer = Stock(detector.network, len(planes))
    mine, seconds = timed(lambda: detector.detect_planes(planes, 1.0))
    theirs, peer_seconds = timed(lambda: peer.detect(planes))
    return {
        "true": true,
        "ours": scored(mine, true.shape),
        "theirs": scored(as_detections(theirs), true.shape),
        "seconds": seconds,
        "peer_seconds": peer_seconds,
    }


def as_detections(answer: dict[str, torch.Tensor]) -> Detections:
    """torchvision's answer with its full-size masks cut at one half."""
    masks = [BoxMask(0, 0, mask[0].numpy() >= 0.5) for mask in answer["masks"]]
    scores = answer["scores"].numpy()
    everything = Detections(answer["boxes"].numpy(), scores, masks)
    return everything.rows(np.array([i for i, m in enumerate(masks) if m.mask.any()], np.intp))


def scored(found: Detections, shape: tuple[int, ...]) -> ScoredCells:
    """Detections as the metrics take them."""
    labels, kept = found.to_labels((shape[0], shape[1]))
    scores = {label: float(found.scores[index]) for label, index in enumerate(kept, 1)}
    return ScoredCells(labels, {}, scores)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of the contract."""
    true = [TypedCells(row["true"], {}) for row in rows]
    ours, theirs = (
        mean_average_precision(true, [row[who] for row in rows], ()) or 0.0
        for who in ("ours", "theirs")
    )
    return {
        "images": len(rows),
        "cells": round(float(np.mean([row["true"].max() for row in rows]))),
        "speedup": geometric_mean([row["peer_seconds"] / row["seconds"] for row in rows]),
        "ours_ms": 1000 * float(np.median([row["seconds"] for row in rows])),
        "peer_ms": 1000 * float(np.median([row["peer_seconds"] for row in rows])),
        "map_ours": ours,
        "map_peer": theirs,
        "map_difference": ours - theirs,
    }


def apart(folder: Path, who: str, detections: int) -> dict[str, Any]:
    """``memory`` in a process of its own, so that neither inherits the other's."""
    command = [sys.executable, "-m", "benchmarks.detector", "--weights", str(folder)]
    command += ["--memory", who, "--peer-detections", str(detections)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def memory(detector: Detector, who: str, detections: int) -> dict[str, Any]:
    """Peak of resident memory (MB) above that before, on 2048² with 1,000 cells or more."""
    ((planes, true),) = synthetic(LARGE, 1, SPARSE)
    if who == "ours":
        detector.detect_planes(planes[:, :256, :256], 1.0)  # libraries load and compile
        before = peak_anew()
        cells = len(detector.detect_planes(planes, 1.0))
    else:
        peer = Stock(detector.network, len(planes), detections)
        peer.detect(planes[:, :256, :256])
        before = peak_anew()
        cells = len(peer.detect(planes)["scores"])
    return {"mb": peak() - before, "cells": cells, "true": int(true.max())}


def peak_anew() -> float:
    """Forget the peak of this process's memory so far; what it has now, MB (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> float:
    """Highest resident memory of this process, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def together(peaks: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Both peaks and their ratio."""
    ours, peer = peaks["ours"], peaks["peer"]
    return {
        "peak_memory_ratio": ours["mb"] / peer["mb"],
        "peak_mb_ours": round(ours["mb"]),
        "peak_mb_peer": round(peer["mb"]),
        "memory_cells_true": ours["true"],
        "memory_cells_ours": ours["cells"],
        "memory_cells_peer": peer["cells"],
    }


if __name__ == "__main__":
    main()
