"""What trainings make of a snapshot's arrays, kept on disk by content.

A lab's thousand images of 2048² would not fit into memory as floats; as files of half floats
beside the snapshot they take 6 to 8 bytes a pixel, and a window of one is read in under 1 ms. A
snapshot's own folder of prepared files is linked to one that several snapshots of a machine share:
a new snapshot then costs what is new in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.flows import masks_to_flows
from inference.labels import cell_geometry, cell_ids, diameters, relabel
from inference.normalize import scaled, scaling
from inference.windows import CORE, LARGE, windows
from training.config import TrainConfig
from training.dataset import PREPARED, Snapshot, SnapshotImage, linked
from training.room import check_image_memory

Make = Callable[[NDArray[Any]], NDArray[Any]]
MakeOfShown = Callable[[NDArray[Any], NDArray[np.int64]], NDArray[Any]]  # labels, ids
FORMAT = 2  # raised when ``normalize``, ``masks_to_flows`` or what is kept of them changes
_ROWS = 512  # of an image that are floats at a time
_EXACT = 2**24  # ids up to here are told apart as 32-bit floats


def store_for(snapshot: Snapshot, config: TrainConfig) -> Store:
    """Where a run keeps what it prepares of its snapshot."""
    own = snapshot.folder / PREPARED
    shared = Path(config.prepared) if config.prepared else own
    return Store(own, shared, snapshot.on_array)


def _halved(array: NDArray[np.float32]) -> NDArray[np.float16]:
    return array.clip(-6e4, 6e4).astype(np.float16)


def normalized(pixels: NDArray[Any]) -> NDArray[np.float16]:
    """``normalize`` of (C, H, W) in half floats, with full floats of a few rows at a time."""
    scales = scaling(pixels)
    planes = np.empty(pixels.shape, np.float16)
    for top in range(0, pixels.shape[1], _ROWS):
        rows = slice(top, top + _ROWS)
        planes[:, rows] = _halved(scaled(pixels[:, rows], scales))
    return planes


def flows_of(labels: NDArray[Any]) -> NDArray[np.float16]:
    """``masks_to_flows`` of (H, W) in half floats; of large images some cells at a time."""
    if labels.size <= LARGE:
        return _halved(masks_to_flows(labels))
    flows = np.zeros((2, *labels.shape), np.float16)
    geometry = cell_geometry(labels)
    x, y = geometry.boxes[:, 0], geometry.boxes[:, 1]
    for row in windows(labels.shape, CORE, 0):
        for window in row:
            own = (x >= window.x0) & (x < window.x1) & (y >= window.y0) & (y < window.y1)
            if own.any():
                _add_flows(labels, geometry.labels[own], geometry.boxes[own], flows)
    return flows


def _add_flows(
    labels: NDArray[Any],
    ids: NDArray[np.int64],
    boxes: NDArray[np.int32],
    flows: NDArray[np.float16],
) -> None:
    """Fill in those of the cells ``ids``, which lie in ``boxes``."""
    x0, y0 = boxes[:, :2].min(axis=0)
    x1, y1 = boxes[:, 2:].max(axis=0)
    part = labels[y0:y1, x0:x1]
    inside = np.isin(part, ids)
    flows[:, y0:y1, x0:x1][:, inside] = _halved(masks_to_flows(np.where(inside, part, 0)))[
        :, inside
    ]


# What is kept of an image, by kind; of its pixels, or of its labels.
_OF_PIXELS: dict[str, Make] = {"planes": normalized}
_OF_LABELS: dict[str, Make] = {
    "flows": flows_of,
    "labels": lambda labels: relabel(labels)[0],
}


@dataclass(frozen=True)
class Store:
    """Prepared files by kind and content, in a snapshot's folder and a shared one."""

    own: Path
    shared: Path
    on_array: Callable[[], None] | None = None

    def kept(self, kind: str, image: SnapshotImage) -> Path:
        """The file of one kind, made once per content."""
        read = image.pixels if kind in _OF_PIXELS else image.labels
        told = image.pixels_content if kind in _OF_PIXELS else image.labels_content
        make = (_OF_PIXELS | _OF_LABELS)[kind]

        def made() -> NDArray[Any]:
            check_image_memory(image.name, image.shape())
            return make(read())

        return self._file(f"{kind} {told or _content(read())}", made)

    def ids(self, image: SnapshotImage) -> Path:
        """The file of the ids (n,), ascending, of the cells that the complete regions show."""
        return self._of_shown("ids", image, lambda labels, ids: ids)

    def sizes(self, image: SnapshotImage) -> Path:
        """The file of the diameters (n,), px, of those cells."""
        return self._of_shown(
            "sizes", image, lambda labels, ids: diameters(labels)[np.isin(cell_ids(labels), ids)]
        )

    def shown(self, image: SnapshotImage) -> Path:
        """The file of the label image (H, W) of those cells, numbered from 1 in their order."""
        return self._of_shown(
            "shown",
            image,
            lambda labels, ids: relabel(np.where(np.isin(labels, ids), labels, 0))[0],
        )

    def _of_shown(self, kind: str, image: SnapshotImage, make: MakeOfShown) -> Path:
        content = image.labels_content or _content(image.labels())

        def made() -> NDArray[Any]:
            check_image_memory(image.name, image.shape())
            labels = image.labels()
            return make(labels, image.complete_cells(labels))

        return self._file(f"{kind} {content} {image.complete_regions}", made)

    def _file(self, content: str, make: Callable[[], NDArray[Any]]) -> Path:
        name = f"{hashlib.sha256(f'{FORMAT} {content}'.encode()).hexdigest()}.npy"
        if self.on_array:
            self.on_array()
        return linked(self.own / name, self.shared / name, make)

    def labels(self, image: SnapshotImage) -> Path:
        """The image's labels; numbered anew where windows could not hold the ids."""
        ids = np.load(image.labels_path, mmap_mode="r")
        if ids.dtype.itemsize <= 2 or int(ids.max(initial=0)) <= _EXACT:
            return image.labels_path
        return self.kept("labels", image)


def _content(array: NDArray[Any]) -> str:
    digest = hashlib.sha256(repr((array.shape, array.dtype.str)).encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
