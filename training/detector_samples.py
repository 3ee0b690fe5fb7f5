"""Training crops for the detector: what is cut from an image, and the targets in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.labels import cell_geometry
from inference.rectangles import painted
from training.dataset import SnapshotImage
from training.known import KNOWN, Rectangle
from training.prepared import Store
from training.transforms import jitter

UNKNOWN = -1  # type index of a cell whose type nobody told
WEAK_WEIGHT = 0.5  # of an image labelled by a segmenter's prediction, next to a corrected one
FADE_CELLS = 2000  # typed by people, at which predicted labels weigh half of that
_WINDOW = 0.75  # cell diameters a side from which a complete region is cut from alone
_CUT = 0.1  # of a cell that nobody told, from which it is not taught
_SMALLEST = 15  # px² of a cell still taught after cropping


@dataclass(frozen=True)
class CellSample:
    """One training image, of which a crop reads only what it shows. Cells that no complete region
    shows are left out: nobody answers for them. ``types`` (n + 1,) is the type index of label
    0 … n.
    """

    name: str
    planes_file: Path
    labels_file: Path
    shape: tuple[int, int]
    types: NDArray[np.int64]
    weight: float
    diameter: float  # px, median of the image's cells; 0 without cells
    predicted: bool  # by a model, not told by people
    regions: tuple[Rectangle, ...]  # x0, y0, x1, y1 where labels are complete

    @property
    def planes(self) -> NDArray[np.float32]:
        """The normalised image (C, H, W), read anew."""
        return np.load(self.planes_file).astype(np.float32)

    @property
    def labels(self) -> NDArray[Any]:
        """The label image (H, W) of ids 0 … n, read anew."""
        labels: NDArray[Any] = np.load(self.labels_file)
        return labels

    def window(self, x0: int, y0: int, x1: int, y1: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Planes (C, h, w) and labels (h, w), f32, of a part inside the image."""
        planes, labels = (
            # Opened anew each time: a mapping holds a file descriptor.
            np.asarray(np.load(file, mmap_mode="r")[..., y0:y1, x0:x1], np.float32)
            for file in (self.planes_file, self.labels_file)
        )
        return planes, labels


@dataclass(frozen=True)
class CellBatch:
    """Crops and, for each, torchvision's target with two more entries: "types" and "owners"."""

    images: list[Tensor]  # (C, s, s) f32
    targets: list[dict[str, Tensor]]
    names: tuple[str, ...]


def weak_weight(images: Sequence[SnapshotImage]) -> float:
    """The weight of each image of predicted labels, where a corrected one weighs 1.

    It fades as cells that people typed grow in number, and so does the share that all predicted
    images together may have of what is shown: 1 / (1 + typed / ``FADE_CELLS``), however many they
    are.
    """
    people = [image for image in images if image.source != "prediction"]
    predicted = sum(image.weight for image in images if image.source == "prediction")
    typed = sum(len(image.cell_types) for image in people)
    fading = WEAK_WEIGHT / (1 + typed / FADE_CELLS)
    if not typed or not predicted:
        return fading
    theirs = sum(image.weight for image in people)
    return min(fading, theirs * FADE_CELLS / typed / predicted)


def shown_shares(samples: Sequence[CellSample], known: Sequence[float]) -> NDArray[np.float64]:
    """How often each sample is shown, relatively: its weight times how much of a crop is ``known``;
    predicted ones together at most as ``weak_weight`` says.
    """
    shares = np.array([sample.weight for sample in samples]) * known
    predicted = np.array([sample.predicted for sample in samples])
    typed = sum(int((s.types != UNKNOWN).sum()) for s in samples if not s.predicted)
    theirs, others = shares[predicted].sum(), shares[~predicted].sum()
    if theirs and others and typed:
        shares[predicted] *= min(1.0, others * FADE_CELLS / typed / theirs)
    return shares


def prepare(
    image: SnapshotImage, types: Sequence[str], store: Store, weak: float = WEAK_WEIGHT
) -> CellSample:
    """Prepare one labelled image of a snapshot; predicted labels weigh ``weak``."""
    height, width = image.shape()
    ids, sizes = (np.load(file) for file in (store.ids(image), store.sizes(image)))
    index = {name: position for position, name in enumerate(types)}
    named = [index.get(image.cell_types.get(int(label), ""), UNKNOWN) for label in ids]
    regions = image.complete_regions
    if regions is None:
        regions = ((0, 0, width, height),)
    return CellSample(
        name=image.name,
        planes_file=store.kept("planes", image),
        labels_file=store.shown(image),
        shape=(height, width),
        types=np.array([UNKNOWN, *named], np.int64),
        weight=image.weight * (weak if image.source == "prediction" else 1.0),
        diameter=float(np.median(sizes)) if sizes.size else 0.0,
        predicted=image.source == "prediction",
        regions=tuple(_within(region, width, height) for region in regions),
    )


def _within(region: Rectangle, width: int, height: int) -> Rectangle:
    x0, y0, x1, y1 = region
    return max(0, x0), max(0, y0), min(width, x1), min(height, y1)


def random_crop(
    sample: CellSample, zoom: float, side: int, rng: np.random.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """A turned, mirrored crop of ``side`` px at ``zoom`` with its target.

    Partly annotated images: the crop is cut from one complete window alone and is empty beyond it,
    so unlabelled cells outside are never taught as background. Where the complete region is no
    window but a part of one, as around a single cell, the crop shows what lies around it too, and
    its target says where labels are complete (``training.known``).
    """
    areas = np.array([max(0, x1 - x0) * max(0, y1 - y0) for x0, y0, x1, y1 in sample.regions])
    region = sample.regions[rng.choice(len(areas), p=areas / areas.sum())]
    if not is_window(region, sample):
        return _patch_crop(sample, region, zoom, side, rng)
    matrix = _random_view((region[2] - region[0], region[3] - region[1]), zoom, side, rng)
    matrix[:, 2] -= matrix[:, :2] @ region[:2]
    x0, y0, x1, y1 = _seen(matrix, side, region)
    matrix[:, 2] += matrix[:, :2] @ (x0, y0)
    planes, seen = sample.window(x0, y0, x1, y1)
    warped = np.stack([_warp(plane, matrix, side) for plane in planes])
    labels = _warp(seen, matrix, side, cv2.INTER_NEAREST).astype(np.int64)
    return torch.from_numpy(jitter(warped, rng)), target(labels, sample.types)


def is_window(region: Rectangle, sample: CellSample) -> bool:
    """Whether whole cells fit into it, or it is all of the image there is."""
    height, width = sample.shape
    shorter = min(region[2] - region[0], region[3] - region[1])
    return shorter >= min(_WINDOW * (sample.diameter or max(height, width)), height, width)


def _patch_crop(
    sample: CellSample, region: Rectangle, zoom: float, side: int, rng: np.random.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """A crop around ``region``. Its target has the cells that are known nearly from end to end."""
    whole = 0, 0, sample.shape[1], sample.shape[0]
    half = side / zoom / 2
    away = max(0.0, half - sample.diameter) / np.sqrt(2)  # cells stay in the crop, however turned
    centre = []
    for k, n in ((0, sample.shape[1]), (1, sample.shape[0])):
        middle = (region[k] + region[k + 2]) / 2 + rng.uniform(-away, away)
        centre.append(float(np.clip(middle, min(half, n / 2), max(n - half, n / 2))))
    matrix = _turned(centre, zoom, side, rng)
    box = x0, y0, _, _ = _seen(matrix, side, whole)
    matrix[:, 2] += matrix[:, :2] @ (x0, y0)
    planes, seen = sample.window(*box)
    known = painted(sample.regions, box)
    index = seen.astype(np.intp)
    cut = np.bincount(index[~known], minlength=index.max() + 1) > _CUT * np.bincount(index.ravel())
    cut[0] = False
    known &= ~cut[index]  # no background either
    shown = np.where(cut[index], 0, seen)
    warped = np.stack([_warp(plane, matrix, side) for plane in planes])
    labels = _warp(shown, matrix, side, cv2.INTER_NEAREST).astype(np.int64)
    # Beyond the image there is nothing, and that is known.
    unknown = _warp((~known).astype(np.float32), matrix, side, cv2.INTER_NEAREST) > 0
    told = target(labels, sample.types) | {KNOWN: torch.from_numpy(~unknown)}
    # Not of a cell, nor free of cells: the type head hides it, as it hides other cells at work.
    told["owners"][torch.from_numpy(unknown & (labels == 0))] = -1
    return torch.from_numpy(jitter(warped, rng)), told


def _seen(matrix: NDArray[np.float64], side: int, region: Rectangle) -> Rectangle:
    """The part of ``region`` (x0, y0, x1, y1) that the crop can show, at least one pixel."""
    corners = np.array([(x, y) for x in (-1, side) for y in (-1, side)], np.float64)
    points = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    low, high = np.floor(points.min(axis=0)) - 1, np.ceil(points.max(axis=0)) + 2
    x0, y0 = (int(np.clip(low[k], region[k], region[k + 2] - 1)) for k in (0, 1))
    x1, y1 = (int(np.clip(high[k], (x0, y0)[k] + 1, region[k + 2])) for k in (0, 1))
    return x0, y0, x1, y1


def _random_view(
    size: tuple[int, int], zoom: float, side: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(2, 3) from region px to crop px: any angle, either hand, inside the region if it fits."""
    half = side / zoom / 2
    centre = [rng.uniform(min(half, n / 2), max(n - half, n / 2)) for n in size]
    return _turned(centre, zoom, side, rng)


def _turned(
    centre: Sequence[float], zoom: float, side: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(2, 3) from px to px of a crop around ``centre`` (x, y): any angle, either hand."""
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
