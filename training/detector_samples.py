"""Training crops for the detector: what is cut from an image, and the targets in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.labels import cell_geometry, median_diameter, relabel
from inference.normalize import normalize
from training.dataset import SnapshotImage
from training.transforms import jitter

UNKNOWN = -1  # type index of a cell whose type nobody told
WEAK_WEIGHT = 0.5  # of an image labelled by a segmenter's prediction, next to a corrected one
_SMALLEST = 15  # px² of a cell still taught after cropping


@dataclass(frozen=True)
class CellSample:
    """One training image. ``types`` (n + 1,) is the type index of label 0 … n."""

    name: str
    planes: NDArray[np.float32]  # (C, H, W) normalised
    labels: NDArray[Any]  # (H, W) 0 … n
    types: NDArray[np.int64]
    weight: float
    diameter: float  # px, median of the image's cells; 0 without cells
    regions: tuple[tuple[int, int, int, int], ...]  # x0, y0, x1, y1 where labels are complete


@dataclass(frozen=True)
class CellBatch:
    """Crops and, for each, torchvision's target with two more entries: "types" and "owners"."""

    images: list[Tensor]  # (C, s, s) f32
    targets: list[dict[str, Tensor]]
    names: tuple[str, ...]


def prepare(image: SnapshotImage, types: Sequence[str]) -> CellSample:
    """Read one labelled image of a snapshot."""
    labels, old = relabel(image.labels())
    index = {name: position for position, name in enumerate(types)}
    named = [index.get(image.cell_types.get(int(label), ""), UNKNOWN) for label in old]
    height, width = labels.shape
    regions = image.complete_regions
    if regions is None:
        regions = ((0, 0, width, height),)
    return CellSample(
        name=image.name,
        planes=normalize(image.pixels()),
        labels=labels,
        types=np.array([UNKNOWN, *named], np.int64),
        weight=image.weight * (WEAK_WEIGHT if image.source == "prediction" else 1.0),
        diameter=median_diameter(labels),
        regions=tuple(_within(region, width, height) for region in regions),
    )


def _within(
    region: tuple[int, int, int, int], width: int, height: int
) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = region
    return max(0, x0), max(0, y0), min(width, x1), min(height, y1)


def random_crop(
    sample: CellSample, zoom: float, side: int, rng: np.random.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """A turned, mirrored crop of ``side`` px at ``zoom`` with its target.

    Partly annotated images: the crop is cut from one complete region alone and is empty beyond it,
    so unlabelled cells outside are never taught as background.
    """
    areas = np.array([max(0, x1 - x0) * max(0, y1 - y0) for x0, y0, x1, y1 in sample.regions])
    x0, y0, x1, y1 = sample.regions[rng.choice(len(areas), p=areas / areas.sum())]
    matrix = _random_view((x1 - x0, y1 - y0), zoom, side, rng)
    planes = np.stack([_warp(plane[y0:y1, x0:x1], matrix, side) for plane in sample.planes])
    seen = sample.labels[y0:y1, x0:x1].astype(np.float32)
    labels = _warp(seen, matrix, side, cv2.INTER_NEAREST).astype(np.int64)
    return torch.from_numpy(jitter(planes, rng)), target(labels, sample.types)


def _random_view(
    size: tuple[int, int], zoom: float, side: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(2, 3) from region px to crop px: any angle, either hand, inside the region if it fits."""
    half = side / zoom / 2
    centre = [rng.uniform(min(half, n / 2), max(n - half, n / 2)) for n in size]
    angle, mirror = rng.uniform(0, 2 * np.pi), rng.choice((-1.0, 1.0))
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix = np.empty((2, 3))
    matrix[:, :2] = zoom * np.array([[cosine * mirror, -sine], [sine * mirror, cosine]])
    matrix[:, 2] = (side - 1) / 2 - matrix[:, :2] @ (np.array(centre) - 0.5)
    return matrix


def _warp(
    plane: NDArray[Any], matrix: NDArray[np.float64], side: int, how: int = cv2.INTER_LINEAR
) -> NDArray[np.float32]:
    return np.asarray(cv2.warpAffine(plane, matrix, (side, side), flags=how), np.float32)


def target(labels: NDArray[np.int64], types: NDArray[np.int64]) -> dict[str, Tensor]:
    """torchvision's target of a label crop, "types" (n,) and "owners" (s, s) of ids 1 … n.

    One class for all cells: Mask R-CNN finds them, the type head names them. Slivers left by the
    crop's edge stay unlabelled.
    """
    geometry = cell_geometry(labels)
    spans = geometry.boxes[:, 2:] - geometry.boxes[:, :2]
    whole = (geometry.areas >= _SMALLEST) & (spans.min(axis=1, initial=9999) >= 2)
    ids = torch.from_numpy(geometry.labels[whole])
    owners = torch.from_numpy(labels)
    return {
        "boxes": torch.from_numpy(geometry.boxes[whole].astype(np.float32)).reshape(-1, 4),
        "labels": torch.ones(len(ids), dtype=torch.int64),
        "masks": (owners[None] == ids[:, None, None]).to(torch.uint8),
        "types": torch.from_numpy(types[geometry.labels[whole]]),
        "ids": ids,
        "centres": torch.from_numpy(geometry.centroids[whole].astype(np.float32) + 0.5),
        "owners": owners,
    }
