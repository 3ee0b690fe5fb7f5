"""Images too large for a model to see whole, judged window by window where labels are complete.

As in production (``inference.windows``), brightness and cell diameter are those of the whole image,
and a window answers for the cells whose middle lies in its core. Windows far from all complete
regions are not looked at, and what lies in no other window's core is not compared. The rest is laid
side by side as (1, n): the figures count pixels by cell, wherever they lie.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.interruption import asking
from inference.labels import cell_geometry, median_diameter
from inference.normalize import Scaling, scaled, scaling
from inference.scales import busiest_windows
from inference.windows import CORE, LARGE, Window, windows
from training.answers import Answer, Model, compared
from training.dataset import SnapshotImage
from training.metrics import TypedCells

MOST = 4 * LARGE  # px: to compare more takes more memory than many machines have
MARGIN = 256  # px that a window sees beyond its core
_NEAR = 0.25  # diameters around the core in which a cell's middle may fall to either side
_LOOKS, _LOOK = 3, 1024  # windows that tell the diameter, and their side in px

log = logging.getLogger(__name__)


def is_large(image: SnapshotImage) -> bool:
    """Whether a model sees it in windows; told without reading its pixels."""
    height, width = image.shape()
    return height * width > LARGE


def judged_in_windows(
    model: Model, image: SnapshotImage, check: Callable[[], None], core: int = CORE
) -> tuple[TypedCells, Answer] | None:
    """``training.answers.judged`` of a large image; None, and the log says so, where too much of
    it is complete. ``check`` is called before each tile and may raise.
    """
    everywhere = (window for row in windows(image.shape(), core, MARGIN) for window in row)
    seen = [window for window in everywhere if _shows(window, image.complete_regions)]
    if sum(_area(window) for window in seen) > MOST:
        log.warning(
            "%s is left out of the evaluation: more than %d million of its pixels are complete,"
            " which takes too much memory; cut it into several images.",
            image.name,
            MOST // 1_000_000,
        )
        return None
    with asking(check):
        answer = _answered(model, image.pixels(), seen)
    labels = image.labels()
    trusted = image.trusted(labels.shape)
    beside = None if trusted is None else _laid(trusted, seen)
    return compared(_laid(labels, seen), beside, image.cell_types, answer)


def _shows(window: Window, regions: Sequence[tuple[int, int, int, int]] | None) -> bool:
    """Whether a cell of one of the complete ``regions`` (None: everywhere) may reach its core."""
    if regions is None:
        return True
    return any(
        x0 < window.x1 and x1 > window.x0 and y0 < window.y1 and y1 > window.y0
        for x0, y0, x1, y1 in regions
    )


def _area(window: Window) -> int:
    top, bottom, left, right = window.core
    return (bottom - top) * (right - left)


def _laid(array: NDArray[Any], seen: Sequence[Window]) -> NDArray[Any]:
    """The cores of ``seen`` in an image (H, W), side by side: (1, n)."""
    cores = (window.core for window in seen)
    parts = [array[top:bottom, left:right].ravel() for top, bottom, left, right in cores]
    return np.concatenate([np.zeros(0, array.dtype), *parts])[None]


def _answered(model: Model, pixels: NDArray[Any], seen: Sequence[Window]) -> Answer:
    """What ``model`` says about ``pixels`` (C, H, W) in the cores of ``seen``, laid out."""
    scales = scaling(pixels)
    diameter = _diameter(model, pixels, scales)
    together = _Together(pixels.shape[1:], _NEAR * (diameter or 0.0))
    for window in seen:
        part = pixels[:, window.y0 : window.y1, window.x0 : window.x1]
        together.add(window, model(scaled(part, scales), diameter))
    drawn = _laid(together.labels, seen)
    return Answer(drawn, together.types, together.scores, together.least, together.chances)


def _diameter(model: Model, pixels: NDArray[Any], scales: Scaling) -> float | None:
    """The median over some busy windows, px; None where no cell is seen."""
    looks = (
        model(scaled(pixels[place], scales)).shown().labels
        for place in busiest_windows(pixels, _LOOK, _LOOKS)
    )
    found = [median_diameter(labels) for labels in looks if labels.any()]
    return float(np.median(found)) if found else None


class _Together:
    """A label image (H, W) and what is said of its cells, window by window."""

    def __init__(self, shape: tuple[int, ...], near: float) -> None:
        self._near = near
        self._count = 0
        self.labels = np.zeros(shape, np.uint32)  # takes memory where cells are drawn only
        self.types: dict[int, str] = {}
        self.scores: dict[int, float] = {}
        self.chances: dict[int, float] = {}
        self.least = 0.0

    def add(self, window: Window, found: Answer) -> None:
        """Draw the cells that ``window`` answers for, where nobody has drawn them yet."""
        self.least = found.least
        geometry = cell_geometry(found.labels)
        places = ndimage.find_objects(found.labels)
        for label, (x, y) in zip(geometry.labels.tolist(), geometry.centroids, strict=True):
            if not window.owns(x + window.x0, y + window.y0, self._near):
                continue
            rows, columns = places[label - 1]
            mask = found.labels[rows, columns] == label
            y0, x0 = rows.start + window.y0, columns.start + window.x0
            target = self.labels[y0 : y0 + mask.shape[0], x0 : x0 + mask.shape[1]]
            free = mask & (target == 0)
            if 2 * free.sum() > mask.sum():
                self._draw(target, free, label, found)

    def _draw(
        self, target: NDArray[np.uint32], free: NDArray[np.bool_], label: int, found: Answer
    ) -> None:
        self._count += 1
        target[free] = self._count
        if label in found.types:
            self.types[self._count] = found.types[label]
        if label in found.scores:
            self.scores[self._count] = found.scores[label]
        if label in found.chances:
            self.chances[self._count] = found.chances[label]
