"""Training images prepared once and kept on disk: of each, a crop reads only what it shows.

A lab's thousand images of 2048² would not fit into memory as floats; as files of half floats
beside the snapshot they take 6 to 8 bytes a pixel, and a window of one is read in under 1 ms.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.flows import masks_to_flows
from inference.labels import diameters, relabel
from inference.normalize import normalize
from training.dataset import SnapshotImage

_EXACT = 2**24  # ids up to here are told apart as 32-bit floats
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
    diameter: float  # px, median of the image's cells
    sizes: NDArray[np.float64]  # px, of each cell

    def area(self, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Where to look: a complete region (large ones more often), or the whole image."""
        height, width = self.shape
        if not self.regions:
            return 0, 0, width, height
        sizes = np.array([max(0, x1 - x0) * max(0, y1 - y0) for x0, y0, x1, y1 in self.regions])
        if not sizes.sum():
            return 0, 0, width, height
        x0, y0, x1, y1 = self.regions[rng.choice(len(sizes), p=sizes / sizes.sum())]
        return max(0, x0), max(0, y0), min(width, x1), min(height, y1)

    def window(self, top: int, left: int, bottom: int, right: int) -> Window:
        """Rows top … bottom and columns left … right, which must lie inside the image."""

        def read(file: Path) -> NDArray[np.float32]:
            # Opened anew each time: a mapping holds a file descriptor.
            part = np.load(file, mmap_mode="r")[..., top:bottom, left:right]
            return np.asarray(part, np.float32)

        trusted = None
        if self.regions is not None:
            trusted = np.zeros((bottom - top, right - left), np.float32)
            for x0, y0, x1, y1 in self.regions:
                rows = slice(max(0, y0 - top), max(0, y1 - top))
                trusted[rows, max(0, x0 - left) : max(0, x1 - left)] = 1.0
        return Window(
            read(self.planes_file), read(self.flows_file), read(self.labels_file), trusted
        )


def prepare(images: Sequence[SnapshotImage], cache: Path, default: float) -> list[Sample]:
    """Samples of labelled images. One without cells is a negative, seen at the others' typical
    size (``default`` px when none has cells).
    """
    sizes = [diameters(image.labels()) for image in images]
    medians = [float(np.median(s)) for s in sizes if s.size]
    typical = float(np.median(medians)) if medians else default
    return [
        Sample(
            name=image.name,
            planes_file=kept_planes(image.pixels(), cache),
            flows_file=kept_flows(image.labels(), cache),
            labels_file=kept_labels(image, cache),
            regions=image.complete_regions,
            shape=(image.labels().shape[0], image.labels().shape[1]),
            diameter=max(_SMALLEST, float(np.median(s)) if s.size else typical),
            sizes=s,
        )
        for image, s in zip(images, sizes, strict=True)
    ]


def kept_planes(pixels: NDArray[Any], cache: Path) -> Path:
    """The file with ``normalize(pixels)``, made once per content."""
    return _kept("planes", pixels, cache, lambda array: _halved(normalize(array)))


def kept_flows(labels: NDArray[Any], cache: Path) -> Path:
    """The file with ``masks_to_flows(labels)``, made once per content."""
    return _kept("flows", labels, cache, lambda array: _halved(masks_to_flows(array)))


def kept_labels(image: SnapshotImage, cache: Path) -> Path:
    """The file with the image's labels; numbered anew where windows could not hold the ids."""
    labels = image.labels()
    if int(labels.max(initial=0)) <= _EXACT:
        return image.labels_path
    return _kept("labels", labels, cache, lambda array: relabel(array)[0])


def _halved(array: NDArray[np.float32]) -> NDArray[np.float16]:
    return array.clip(-6e4, 6e4).astype(np.float16)


def _kept(
    kind: str,
    array: NDArray[Any],
    cache: Path,
    make: Callable[[NDArray[Any]], NDArray[Any]],
) -> Path:
    """The result of ``make(array)`` on disk, named by the array's sha256."""
    digest = hashlib.sha256(repr((kind, array.shape, array.dtype.str)).encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    file = cache / f"{digest.hexdigest()}.npy"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        # Two runs of one snapshot may prepare it at the same time.
        part = cache / f"{file.stem}.{os.getpid()}.part.npy"
        np.save(part, make(array))
        part.replace(file)
    return file
