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
from inference.labels import cell_ids, diameters, relabel
from inference.normalize import normalize
from training.config import TrainConfig
from training.dataset import PREPARED, Snapshot, SnapshotImage, linked

Make = Callable[[NDArray[Any]], NDArray[Any]]
MakeOfShown = Callable[[NDArray[Any], NDArray[np.int64]], NDArray[Any]]  # labels, ids
FORMAT = 2  # raised when ``normalize``, ``masks_to_flows`` or what is kept of them changes
_EXACT = 2**24  # ids up to here are told apart as 32-bit floats


def store_for(snapshot: Snapshot, config: TrainConfig) -> Store:
    """Where a run keeps what it prepares of its snapshot."""
    own = snapshot.folder / PREPARED
    shared = Path(config.prepared) if config.prepared else own
    return Store(own, shared, snapshot.on_array)


def _halved(array: NDArray[np.float32]) -> NDArray[np.float16]:
    return array.clip(-6e4, 6e4).astype(np.float16)


# What is kept of an image, by kind; of its pixels, or of its labels.
_OF_PIXELS: dict[str, Make] = {"planes": lambda pixels: _halved(normalize(pixels))}
_OF_LABELS: dict[str, Make] = {
    "flows": lambda labels: _halved(masks_to_flows(labels)),
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
        return self._file(f"{kind} {told or _content(read())}", lambda: make(read()))

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
