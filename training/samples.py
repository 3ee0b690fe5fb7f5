"""A segmenter's training images: prepared files, of which a crop reads only what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.dataset import SnapshotImage
from training.prepared import Store
from training.progress import Counter

_SMALLEST = 3.0  # px: diameters below are specks, and would be enlarged without bound


@dataclass(frozen=True)
class Window:
    """A part of an image with its targets."""

    planes: NDArray[np.float32]  # (C, h, w) normalised over the whole image
    flows: NDArray[np.float32]  # (2, h, w) dy, dx of unit length, zero outside cells
    labels: NDArray[np.float32]  # (h, w) ids, up to 2^24
    trusted: NDArray[np.float32] | None  # (h, w) 1 where labels are complete; None = everywhere


@dataclass(frozen=True)
class Sample:
    """One training image: where its prepared arrays lie, and what is needed to choose a view."""

    name: str
    planes_file: Path
    flows_file: Path
    labels_file: Path
    regions: tuple[tuple[int, int, int, int], ...] | None  # complete ones; None = everywhere
    shape: tuple[int, int]
    diameter: float  # px, median of ``sizes``
    sizes: NDArray[np.float64]  # px, of each cell that complete regions show

    def area(self, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Where to look: a complete region (large ones more often), or the whole image."""
        height, width = self.shape
        if not self.regions or not self._shares.any():
            return 0, 0, width, height
        x0, y0, x1, y1 = self._boxes[rng.choice(len(self._shares), p=self._shares)].tolist()
        return x0, y0, x1, y1

    @cached_property
    def _boxes(self) -> NDArray[np.int64]:
        """The regions inside the image (n, 4): where single cells are known there may be
        thousands.
        """
        height, width = self.shape
        boxes = np.array(self.regions or (), np.int64).reshape(-1, 4)
        return boxes.clip(0, [width, height, width, height])

    @cached_property
    def _shares(self) -> NDArray[np.float64]:
        """Of each region in the area of all (n,); zeros where they have none."""
        sides = np.maximum(0, self._boxes[:, 2:] - self._boxes[:, :2])
        sizes = sides.prod(axis=1).astype(np.float64)
        return sizes / max(sizes.sum(), 1.0)

    def window(self, top: int, left: int, bottom: int, right: int) -> Window:
        """Rows top … bottom and columns left … right, which must lie inside the image."""

        def read(file: Path) -> NDArray[np.float32]:
            # Opened anew each time: a mapping holds a file descriptor.
            part = np.load(file, mmap_mode="r")[..., top:bottom, left:right]
            return np.asarray(part, np.float32)

        trusted = None
        if self.regions is not None:
            trusted = np.zeros((bottom - top, right - left), np.float32)
            x0, y0, x1, y1 = self._boxes.T
            seen = (x0 < right) & (x1 > left) & (y0 < bottom) & (y1 > top)
            for x0, y0, x1, y1 in self._boxes[seen].tolist():
                rows = slice(max(0, y0 - top), max(0, y1 - top))
                trusted[rows, max(0, x0 - left) : max(0, x1 - left)] = 1.0
        return Window(
            read(self.planes_file), read(self.flows_file), read(self.labels_file), trusted
        )


def prepare(
    images: Sequence[SnapshotImage], store: Store, default: float, counter: Counter | None = None
) -> list[Sample]:
    """Samples of labelled images. One without cells is a negative, seen at the others' typical
    size (``default`` px when none has cells). ``counter`` counts the images that are prepared.
    """
    shapes = [image.shape() for image in images]  # a misfit is told before an hour's work
    made = [
        Sample(
            name=image.name,
            planes_file=store.kept("planes", image),
            flows_file=store.kept("flows", image),
            labels_file=store.labels(image),
            regions=image.complete_regions,
            shape=shape,
            diameter=0.0,
            sizes=np.load(store.sizes(image)),
        )
        for image, shape in zip((counter or Counter(len(images))).each(images), shapes, strict=True)
    ]
    medians = [float(np.median(sample.sizes)) for sample in made if sample.sizes.size]
    typical = float(np.median(medians)) if medians else default
    return [replace(sample, diameter=_diameter(sample.sizes, typical)) for sample in made]


def _diameter(sizes: NDArray[np.float64], typical: float) -> float:
    return max(_SMALLEST, float(np.median(sizes)) if sizes.size else typical)
