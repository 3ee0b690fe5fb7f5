"""The images of a study: a snapshot folder in which everything is at the network's own scale.

A study trains hundreds of small networks on the same images. So each image is resized once, such
that its cells have the network's diameter, and kept with its truth; each training then reads it
where it lies, by a manifest that says what is known of it so far.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.files import whole
from inference.labels import cell_ids, median_diameter, relabel
from inference.normalize import normalize, resize
from training.dataset import MANIFEST, Snapshot, open_snapshot
from training.errors import TrainingError
from training.oracle import Rectangle, Truth

FINER = 2  # times as many px a side for telling types, whose texture the network's scale blurs
MOST_DIAMETERS = 24  # on a side of an image; larger ones are cut to their middle, for speed
_SPECK = 12  # px² at the network's scale, below which a cell cannot be seen


@dataclass(frozen=True)
class RawImage:
    """An image (C, H, W) with its truth; ``kind`` is a word for figures by kind of image."""

    name: str
    pixels: NDArray[Any]
    labels: NDArray[Any]
    types: dict[int, str] = field(default_factory=dict)
    kind: str = ""
    split: str = "train"  # or "test"


@dataclass(frozen=True)
class StudyImage:
    """One image at the network's scale."""

    id: str
    kind: str
    planes: NDArray[np.float32]  # (C, h, w) normalised
    truth: Truth
    entry: dict[str, Any]  # of the manifest, with absolute paths
    fine: NDArray[np.float32] | None = None  # (C, FINER h, FINER w), where cells have types

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) px."""
        return self.planes.shape[1], self.planes.shape[2]


@dataclass(frozen=True)
class StudySet:
    """What strategies choose from, and what they are judged on."""

    name: str
    channels: tuple[str, ...]
    types: tuple[str, ...]
    pool: tuple[StudyImage, ...]
    test: tuple[StudyImage, ...]


def write_set(
    folder: Path,
    images: Iterable[RawImage],
    channels: Sequence[str],
    types: Sequence[str] = (),
    diameter: float = 16.0,
) -> Path:
    """Write ``images`` at the scale where their cells measure ``diameter`` px; a whole folder is
    left as it is. Raises ``TrainingError`` when there is nothing to choose from or to judge by.
    """
    if (folder / MANIFEST).exists():
        return folder
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    entries = [_written(folder, number, image, diameter) for number, image in enumerate(images)]
    for split, need in (("train", "to choose from"), ("test", "to judge by")):
        if not any(entry["split"] == split for entry in entries):
            raise TrainingError(f"The study {folder.name} has no labelled image {need}.")
    document = {
        "hash": folder.name,
        "dataset": folder.name,
        "channels": list(channels),
        "types": list(types),
        "images": entries,
    }
    with whole(folder / MANIFEST, durable=False) as fresh:
        fresh.write_text(json.dumps(document))
    return folder


def _written(folder: Path, number: int, image: RawImage, diameter: float) -> dict[str, Any]:
    planes, labels, types, fine = scaled(image, diameter)
    files = {part: f"{part}/{number}.npy" for part in ("images", "labels")}
    np.save(folder / files["images"], planes)
    np.save(folder / files["labels"], labels)
    if image.types:
        np.save(_fine(folder, number), fine)
    return {
        "id": str(number),
        "name": image.name,
        "group": str(number),
        "split": image.split,
        "culture": image.kind,
        "image": files["images"],
        "labels": files["labels"],
        "pixels_content": _digest(planes),
        "labels_content": _digest(labels),
        "cell_types": types,
    }


def _fine(folder: Path, number: int | str) -> Path:
    return folder / f"images/{number}-fine.npy"


def _digest(array: NDArray[Any]) -> str:
    return hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()


Floats = NDArray[np.float32]


def scaled(image: RawImage, diameter: float) -> tuple[Floats, NDArray[Any], dict[int, str], Floats]:
    """The middle of an image at the scale where its cells measure ``diameter`` px: normalised
    planes (C, h, w), labels (h, w) 1 … n, types by label, and planes ``FINER`` times as large.

    An image without cells is not resized.
    """
    zoom = diameter / (median_diameter(image.labels) or diameter)
    height, width = (max(8, round(side * zoom)) for side in image.labels.shape)
    most = round(MOST_DIAMETERS * diameter)
    top, left = max(0, (height - most) // 2), max(0, (width - most) // 2)
    planes = normalize(image.pixels)
    small, ids = relabel(image.labels)
    small = cv2.resize(small.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST)
    small = small[top : top + most, left : left + most].astype(np.intp)
    areas = np.bincount(small.ravel(), minlength=ids.size + 1)
    kept, old = relabel(np.where(np.isin(small, np.flatnonzero(areas >= _SPECK)), small, 0))
    names = {new: image.types.get(int(ids[was - 1]), "") for new, was in enumerate(old, 1)}
    middle, fine = (
        resize(planes, (height * k, width * k))[
            :, top * k : (top + most) * k, left * k : (left + most) * k
        ]
        for k in (1, FINER)
    )
    types = {label: name for label, name in names.items() if name}
    return np.ascontiguousarray(middle), kept, types, np.ascontiguousarray(fine)


def open_set(folder: Path) -> StudySet:
    """The set in ``folder``, in memory. Raises ``TrainingError`` when it is damaged."""
    snapshot = open_snapshot(folder)
    document = json.loads((folder / MANIFEST).read_text())
    entries = {entry["id"]: entry for entry in document["images"]}
    return StudySet(
        name=folder.name,
        channels=snapshot.channels,
        types=snapshot.types,
        pool=_opened(snapshot, "train", entries),
        test=_opened(snapshot, "test", entries),
    )


def _opened(
    snapshot: Snapshot, split: str, entries: dict[str, dict[str, Any]]
) -> tuple[StudyImage, ...]:
    found = []
    for image in snapshot.split(split):
        entry = dict(entries[image.id])
        for part in ("image", "labels"):
            entry[part] = str((snapshot.folder / entry[part]).resolve())
        truth = Truth(image.labels(), image.cell_types)
        planes = normalize(image.pixels())
        file = _fine(snapshot.folder, image.id)
        fine = np.load(file) if file.exists() else None
        found.append(StudyImage(image.id, image.culture, planes, truth, entry, fine))
    return tuple(found)


@dataclass
class Known:
    """What was answered of one image so far."""

    regions: list[Rectangle] = field(default_factory=list)
    windows: list[Rectangle] = field(default_factory=list)  # those of them that were asked about
    ids: set[int] = field(default_factory=set)
    whole: bool = False

    def area(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Where everything is complete (h, w)."""
        inside = np.full(shape, self.whole)
        for x0, y0, x1, y1 in self.regions:
            inside[y0:y1, x0:x1] = True
        return inside


def write_round(
    folder: Path, study: StudySet, known: Sequence[Known], everything: bool = False
) -> Path:
    """A snapshot of what is ``known`` of each image of the pool (of all of it, if ``everything``):
    a manifest alone, for the arrays lie in the set's folder.

    Labels are the whole truth; what no complete region shows is left out by the training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for image, state in zip(study.pool, known, strict=True):
        if not (everything or state.whole or state.regions):
            continue
        entry = dict(image.entry)
        if not (everything or state.whole):
            entry["complete_regions"] = [list(region) for region in state.regions]
            ids = {str(label) for label in state.ids}
            types = entry["cell_types"]
            entry["cell_types"] = {label: types[label] for label in types if label in ids}
        entries.append(entry)
    document = {
        "hash": f"{study.name} {folder.name}",
        "dataset": study.name,
        "channels": list(study.channels),
        "types": list(study.types),
        "images": entries,
    }
    (folder / MANIFEST).write_text(json.dumps(document))
    return folder


def cells_of(images: Sequence[StudyImage]) -> int:
    """How many true cells there are."""
    return sum(cell_ids(image.truth.labels).size for image in images)
