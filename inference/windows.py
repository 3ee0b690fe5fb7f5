"""Images too large to be held in floats: predicted window by window, and put together as one.

Windows see a margin of three median diameters beyond their cores (256 px at most), so that all but
the longest cells lie whole in one of them. A window answers for the cells whose middle lies in its
core or next to it; of two sights of one cell the first stays. Brightness and cell diameter are
those of the whole image, so that nothing changes from window to window. Floats are held of one
window only, and the label image grows in a file; the image itself and what is known of its cells
stay in memory.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from tempfile import TemporaryFile, gettempdir
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference import memory
from inference.detector import Detections, Detector, largest_piece
from inference.doubt import Spot
from inference.errors import InferenceError
from inference.files import is_full
from inference.flow_cache import KEPT_UP_TO
from inference.fusion import Fused, FusedCell, fuse
from inference.fusion_rule import FusionRule
from inference.labels import CellGeometry, cell_geometry
from inference.normalize import Scaling, scaled, scaling
from inference.scales import busiest_windows
from inference.segmenter import Segmentation
from inference.unseen import Peak

LARGE = KEPT_UP_TO  # px above which an image is predicted in windows
CORE = 1536  # px a window answers for
_DIAMETERS = 3  # that it sees beyond
_LEAST, _MOST = 64, 256  # px it sees beyond at least and at most
_NEAR = 0.25  # diameters around the core in which a cell's middle may fall to either side
_LOOKS, _LOOK = 3, 1024  # windows that tell the diameter, and their side in px
Floats = NDArray[np.float32]


class Eyes(Protocol):
    """Both models: a ``Predictor``."""

    detector: Detector | None

    def seen_planes(
        self, planes: Floats, diameter: float | None = None
    ) -> tuple[Segmentation, Detections | None]: ...


@dataclass(frozen=True)
class Window:
    """Half-open px of the image: what is seen, and the core it answers for."""

    y0: int
    y1: int
    x0: int
    x1: int
    core: tuple[int, int, int, int]  # top, bottom, left, right

    def owns(self, x: float, y: float, near: float) -> bool:
        """Whether a cell with its middle at (x, y) may be this window's: within ``near`` px."""
        top, bottom, left, right = self.core
        return top - near <= y < bottom + near and left - near <= x < right + near


@dataclass(frozen=True)
class Mosaic:
    """``labels`` (H, W) uint32, 1 … n, with one fused cell and one row of geometry per label."""

    labels: NDArray[np.uint32]
    cells: list[FusedCell]
    geometry: CellGeometry
    diameter: float  # px
    missed: list[Spot] = field(default_factory=list)  # as ``Fused`` has them
    peaks: list[Peak] = field(default_factory=list)


def see_in_windows(
    eyes: Eyes,
    image: NDArray[Any],
    rule: FusionRule,
    core: int = CORE,
    margin: int | None = None,
    on_window: Callable[[], None] | None = None,
) -> Mosaic:
    """The fused cells of a checked ``image`` (C, H, W) of any size.

    ``on_window`` is called before each window and may raise to stop. Raises ``InferenceError``
    when there is no room for the label image's file.
    """
    scales = scaling(image)
    diameter = _diameter(eyes, image, scales, min(core, _LOOK))
    if margin is None:
        margin = min(max(_LEAST, round(_DIAMETERS * diameter)), _MOST)
    mosaic = _Growing(image.shape[1:], _NEAR * diameter)
    for row in windows(image.shape[1:], core, margin):
        for window in row:
            if on_window is not None:
                on_window()
            part = image[:, window.y0 : window.y1, window.x0 : window.x1]
            planes = scaled(part, scales)
            segmentation, detections = eyes.seen_planes(planes, diameter)
            fused = fuse(segmentation, detections, planes, eyes.detector, rule)
            mosaic.add(window, fused)
            mosaic.rest()
            # A third of a gigabyte that the allocator would keep for windows of other shapes.
            memory.give_back()
    return Mosaic(
        mosaic.labels, mosaic.cells, mosaic.geometry(), diameter, mosaic.missed, mosaic.peaks
    )


def _diameter(eyes: Eyes, image: NDArray[Any], scales: Scaling, side: int) -> float:
    """The median over some busy windows, px: one alone might show a speck of dust."""
    looks = [
        eyes.seen_planes(scaled(image[place], scales))[0]
        for place in busiest_windows(image, side, _LOOKS)
    ]
    seeing = [look.diameter for look in looks if look.labels.any()]
    return float(np.median(seeing)) if seeing else looks[0].diameter


def windows(shape: tuple[int, ...], core: int, margin: int) -> Iterator[list[Window]]:
    """Rows of windows whose cores cover an image of ``shape`` (H, W) once."""
    for top, bottom in _spans(shape[0], core):
        yield [
            Window(
                max(0, top - margin),
                min(shape[0], bottom + margin),
                max(0, left - margin),
                min(shape[1], right + margin),
                (top, bottom, left, right),
            )
            for left, right in _spans(shape[1], core)
        ]


def _spans(length: int, core: int) -> list[tuple[int, int]]:
    count = -(-length // core)
    edges = [round(length * k / count) for k in range(count + 1)]
    return list(pairwise(edges))


def _make_room(file: int, size: int) -> None:
    """Let ``file`` have ``size`` bytes now: a full disk later would end the process at a write to
    memory. Where the system or the file system cannot do that, they are promised only.
    """
    if hasattr(os, "posix_fallocate"):  # not on macOS
        try:
            os.posix_fallocate(file, 0, size)
            return
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
    os.truncate(file, size)


class _Growing:
    """A label image in a file, and what is known of its cells so far."""

    def __init__(self, shape: tuple[int, ...], near: float) -> None:
        self._near = near
        size = max(1, shape[0] * shape[1]) * 4
        try:
            self._file = TemporaryFile()  # noqa: SIM115 - it lives as long as the label image
            _make_room(self._file.fileno(), size)
        except OSError as error:
            failed, mend = "cannot be made", "Set TMPDIR to a folder where it can."
            if is_full(error):
                failed, mend = "has no room", "Free some, or set TMPDIR."
            raise InferenceError(
                f"A file of {size / 1e9:.1f} GB, which an image of this size needs, {failed} in"
                f" {gettempdir()} ({error.strerror}). {mend}"
            ) from error
        self._map = mmap.mmap(self._file.fileno(), 0)
        self.labels: NDArray[np.uint32] = np.ndarray(shape, np.uint32, buffer=self._map)
        self.cells: list[FusedCell] = []
        self.missed: list[Spot] = []
        self.peaks: list[Peak] = []
        self._boxes: list[tuple[int, int, int, int]] = []
        self._areas: list[int] = []
        self._middles: list[tuple[float, float]] = []
        self._inner: list[tuple[int, int]] = []

    def add(self, window: Window, fused: Fused) -> None:
        """Draw the cells that ``window`` answers for, where nobody has drawn them yet."""
        spots = ((x + window.x0, y + window.y0, cells) for x, y, cells in fused.missed)
        self.missed += [spot for spot in spots if window.owns(spot[0], spot[1], 0)]
        found = (replace(p, x=p.x + window.x0, y=p.y + window.y0) for p in fused.peaks)
        self.peaks += [peak for peak in found if window.owns(peak.x, peak.y, 0)]
        middles = cell_geometry(fused.labels).centroids + np.array([window.x0, window.y0])
        for cell, place in zip(fused.cells, ndimage.find_objects(fused.labels), strict=True):
            x, y = middles[cell.label - 1]
            if not window.owns(x, y, self._near):
                continue
            rows, columns = place
            y0, x0 = rows.start + window.y0, columns.start + window.x0
            mask = fused.labels[place] == cell.label
            target = self.labels[y0 : y0 + mask.shape[0], x0 : x0 + mask.shape[1]]
            free = mask & (target == 0)
            if 2 * free.sum() > mask.sum():
                self._draw(target, largest_piece(free), cell, (y0, x0))

    def _draw(
        self,
        target: NDArray[np.uint32],
        mask: NDArray[np.bool_],
        cell: FusedCell,
        corner: tuple[int, int],
    ) -> None:
        number = len(self.cells) + 1
        target[mask] = number
        y, x = np.nonzero(mask)
        y, x = y + corner[0], x + corner[1]
        self._boxes.append((int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1))
        self._areas.append(int(mask.sum()))
        self._middles.append((float(x.mean()), float(y.mean())))
        nearest = np.argmin((x - x.mean()) ** 2 + (y - y.mean()) ** 2)
        self._inner.append((int(x[nearest]), int(y[nearest])))
        self.cells.append(replace(cell, label=number))

    def rest(self) -> None:
        """Let the file have what was drawn."""
        if hasattr(mmap, "MADV_DONTNEED"):  # not on every system
            self._map.madvise(mmap.MADV_DONTNEED)

    def geometry(self) -> CellGeometry:
        """As ``cell_geometry`` would measure it, without another pass over the image."""
        count = len(self.cells)
        return CellGeometry(
            np.arange(1, count + 1, dtype=np.int64),
            np.array(self._boxes, np.int32).reshape(count, 4),
            np.array(self._areas, np.int64),
            np.array(self._middles, float).reshape(count, 2),
            np.array(self._inner, np.int64).reshape(count, 2),
        )
