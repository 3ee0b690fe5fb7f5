"""A snapshot folder as typed rows: what to train on, read lazily, checked where it is opened."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.files import linked_or_copied, whole
from inference.labels import LabelsError, cell_ids, validate
from training.errors import TrainingError

SPLITS = ("train", "validation", "test")
MANIFEST = "manifest.json"
PREPARED = "prepared"  # folder of what a training makes of a snapshot's arrays


@dataclass(frozen=True)
class SnapshotImage:
    """One image of a snapshot with its label image and what is known of its cells."""

    id: str
    name: str
    split: str
    group: str
    image_file: Path
    labels_file: Path | None
    culture: str = ""  # a type's name (single-type culture), "mixed" or ""
    source: str = "revision"  # or "prediction": weak labels
    weight: float = 1.0
    cell_types: dict[int, str] = field(default_factory=dict)  # label → type; absent = unknown
    complete_regions: tuple[tuple[int, int, int, int], ...] | None = None  # x0, y0, x1, y1
    pixel_size_um: float | None = None
    # What the arrays hold, where the snapshot says it: equal words, equal arrays.
    pixels_content: str = ""
    labels_content: str = ""

    def pixels(self) -> NDArray[Any]:
        """The role-ordered image (C, H, W) in its original dtype."""
        image = _array(self.image_file, self.name)
        if image.ndim != 3 or image.dtype.kind not in "uif":
            raise TrainingError(f"The image {self.name} in the snapshot is no CYX array.")
        if image.dtype.kind == "f" and not np.isfinite(image).all():
            raise TrainingError(
                f"The image {self.name} in the snapshot has pixels that are no numbers (NaN or"
                " infinite): give them a value first."
            )
        return image

    def labels(self) -> NDArray[Any]:
        """The label image (H, W); ``TrainingError`` when there is none or it does not fit."""
        labels = _array(self.labels_path, self.name)
        try:
            validate(labels, np.load(self.image_file, mmap_mode="r").shape[1:])
        except LabelsError as error:
            raise TrainingError(f"The labels of {self.name} cannot be used: {error}") from error
        return labels

    def shape(self) -> tuple[int, int]:
        """(H, W) px, read from the heads of image and labels; ``TrainingError`` if they differ."""
        try:
            pixels = np.load(self.image_file, mmap_mode="r").shape
            labels = np.load(self.labels_path, mmap_mode="r").shape
        except (OSError, ValueError, EOFError) as error:
            raise TrainingError(f"The arrays of {self.name} cannot be read: {error}.") from error
        if len(pixels) != 3 or labels != pixels[1:]:
            raise TrainingError(
                f"The labels of {self.name} are not of its image's shape: {labels} and {pixels}."
            )
        return pixels[1], pixels[2]

    @property
    def labels_path(self) -> Path:
        """The file of ``labels``; ``TrainingError`` when there is none."""
        if self.labels_file is None:
            raise TrainingError(f"The image {self.name} in the snapshot has no label image.")
        return self.labels_file

    def trusted(self, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
        """Where the labels are complete (H, W), or None when they are so everywhere."""
        if self.complete_regions is None:
            return None
        inside = np.zeros(shape, bool)
        for x0, y0, x1, y1 in self.complete_regions:
            inside[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = True
        return inside

    def complete_cells(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        """Ids, ascending, of the cells of ``labels`` (H, W) that the complete regions show."""
        trusted = self.trusted(labels.shape)
        return cell_ids(labels if trusted is None else np.where(trusted, labels, 0))


@dataclass(frozen=True)
class Snapshot:
    """A frozen training set on disk."""

    folder: Path
    hash: str
    dataset: str
    family: str
    channels: tuple[str, ...]
    types: tuple[str, ...]
    images: tuple[SnapshotImage, ...]
    on_array: Callable[[], None] | None = None  # called before an array is prepared; may raise

    def split(self, name: str) -> tuple[SnapshotImage, ...]:
        """The labelled images of "train", "validation" or "test".

        Without those where nothing is complete: they teach nothing, and every answer to them
        would be perfect.
        """
        labelled = (i for i in self.images if i.labels_file is not None)
        return tuple(i for i in labelled if i.split == name and i.complete_regions != ())


def open_snapshot(folder: Path) -> Snapshot:
    """Read the manifest of ``folder``; ``TrainingError`` if it is absent, damaged or partial."""
    try:
        document = json.loads((folder / MANIFEST).read_text())
        snapshot = Snapshot(
            folder=folder,
            hash=str(document["hash"]),
            dataset=str(document.get("dataset", "")),
            family=str(document.get("family", "")),
            channels=tuple(document["channels"]),
            types=tuple(document.get("types", ())),
            images=tuple(_image(folder, entry) for entry in document["images"]),
        )
    except FileNotFoundError as error:
        raise TrainingError(
            f"The folder {folder} is no whole snapshot: {MANIFEST} is missing."
        ) from error
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"The {MANIFEST} in {folder} is damaged: {error!r}.") from error
    return snapshot


def hold_out(
    images: Sequence[SnapshotImage], share: float
) -> tuple[tuple[SnapshotImage, ...], tuple[SnapshotImage, ...]]:
    """Split ``images`` into (train, validation) with about ``share`` of them to validate on.

    Deterministic, by a hash of each image's group, and never splitting a group: crops of one
    well on both sides would flatter the validation. One group only, or no known cell outside of
    what would be held out: nothing is held out.
    """
    groups: dict[str, list[SnapshotImage]] = {}
    for image in images:
        groups.setdefault(image.group or image.id, []).append(image)
    order = sorted(groups, key=lambda group: hashlib.sha256(group.encode()).hexdigest())
    wanted = share * len(images)
    held: list[SnapshotImage] = []
    for group in order:
        rest = len(images) - len(held) - len(groups[group])
        if rest < 1 or len(held) >= wanted:
            continue
        if not held or len(held) + len(groups[group]) <= max(1.0, 1.5 * wanted):
            held.extend(groups[group])
    ids = {image.id for image in held}
    kept = tuple(i for i in images if i.id not in ids)
    if not any(image.complete_cells(image.labels()).size for image in kept):
        return tuple(images), ()
    return kept, tuple(held)


def _image(folder: Path, entry: dict[str, Any]) -> SnapshotImage:
    if entry["split"] not in SPLITS:
        raise ValueError(f"split {entry['split']!r}")
    regions = entry.get("complete_regions")
    return SnapshotImage(
        id=str(entry["id"]),
        name=str(entry.get("name", entry["id"])),
        split=entry["split"],
        group=str(entry.get("group", "")),
        image_file=folder / entry["image"],
        labels_file=folder / entry["labels"] if entry.get("labels") else None,
        culture=str(entry.get("culture") or ""),
        source=str(entry.get("source", "revision")),
        weight=float(entry.get("weight", 1.0)),
        cell_types={int(k): str(v) for k, v in (entry.get("cell_types") or {}).items()},
        complete_regions=None if regions is None else tuple(_rectangle(r) for r in regions),
        pixel_size_um=entry.get("pixel_size_um"),
        pixels_content=str(entry.get("pixels_content") or ""),
        labels_content=str(entry.get("labels_content") or ""),
    )


def _rectangle(corners: Sequence[float]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (int(corner) for corner in corners)
    return x0, y0, x1, y1


def _array(file: Path, name: str) -> NDArray[Any]:
    try:
        return np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise TrainingError(f"The file {file.name} of {name} cannot be read: {error}.") from error


def linked(target: Path, shared: Path, make: Callable[[], NDArray[Any]]) -> Path:
    """The array of ``shared`` at ``target`` too: made where neither is there, else one more name.

    Files appear whole, so that several workers may do this at once. Arrays that a power cut has
    cut short are made again.
    """
    while not is_whole(target):
        if not is_whole(shared):
            shared.parent.mkdir(parents=True, exist_ok=True)
            array = make()
            # A thousand waits for the disk would cost more than making anew what a power cut took.
            with whole(shared, durable=False) as fresh, fresh.open("wb") as stream:
                np.save(stream, array, allow_pickle=False)
        if shared == target:
            break
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{uuid.uuid4().hex}")
        try:
            os.utime(shared)  # in use: nobody tidies it away now
            linked_or_copied(shared, fresh, durable=False)
            os.replace(fresh, target)
        except FileNotFoundError:
            continue  # somebody has, just before
        finally:
            fresh.unlink(missing_ok=True)
    return target


def is_whole(file: Path) -> bool:
    """Whether there is an array in ``file``."""
    try:
        np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return True
