"""Frozen training sets: which labels count, and the folder that training reads.

A snapshot's hash covers every image, label image, type and split in it, so the same state of a
data set gives the same snapshot, and any machine can write its folder again from the rows.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.db.models import Q
from numpy.typing import NDArray

from annotator import storage
from annotator.exceptions import NotHere
from annotator.models import (
    Cell,
    CellType,
    Dataset,
    Family,
    Image,
    Revision,
    RunStatus,
    Search,
    SearchStatus,
    Snapshot,
    Split,
    TrainingRun,
)
from annotator.readers import model_channels
from annotator.selectors.annotations import cells_shown
from annotator.selectors.predictions import newest_predictions
from annotator.selectors.runs import telling_revisions
from annotator.services.images import image_array
from inference.files import told_when_full, whole
from inference.labels import cell_ids
from training.dataset import MANIFEST, PREPARED, is_whole, linked
from training.progress import Counter

log = logging.getLogger(__name__)

# cellpose's `min_train_masks`: images with fewer cells teach a segmenter little and are skipped.
MIN_TRAIN_MASKS = 5
MEASURED = "measured"  # beside the snapshots' folders: what one evaluation reads, then removes
ARRAYS = "arrays"  # beside them: pixels and labels by content, linked into every snapshot's folder
_FORMAT = 1  # of those arrays: raised when the readers read files otherwise
_LEFT_SECONDS = 24 * 3600  # no evaluation takes so long: what is older was left by a killed one
_KEPT_FOLDERS = 4  # newest snapshot folders left on this machine; the rows can write any again

_SHOWN = ("name", "split", "group", "culture", "complete_regions", "pixel_size_um")

Entry = dict[str, Any]


def snapshot_create(*, dataset: Dataset, family: str) -> Snapshot:
    """Freeze what teaches and measures ``family`` now; an equal snapshot is found, not doubled."""
    entries, skipped = snapshot_entries(dataset=dataset, family=family)
    digest = entries_hash(dataset, family, entries)
    found = {"entries": entries, "counts": _counted(entries) | {"skipped": skipped}}
    snapshot, made = Snapshot.objects.get_or_create(
        dataset=dataset, family=family, hash=digest, defaults=found
    )
    if not made and (snapshot.entries, snapshot.counts) != (entries, found["counts"]):
        # Images deleted and imported again are the same content in other rows.
        snapshot.entries, snapshot.counts = entries, found["counts"]
        snapshot.save(update_fields=["entries", "counts"])
    return snapshot


def snapshot_entries(*, dataset: Dataset, family: str) -> tuple[list[Entry], list[str]]:
    """Entries of a snapshot taken now, by image, and the names of training images left out.

    An entry names its image, where its labels come from ("revision" or "prediction" with the
    row's id), the key of the label image, and everything else the manifest says of it.
    """
    entries, skipped = [], []
    revisions = list(telling_revisions(dataset))
    shown = cells_shown(
        {each.pk: each.complete_regions for each in revisions if each.complete_regions is not None}
    )
    for revision in revisions:
        image = revision.image
        teaches = image.split == Split.TRAIN
        if family == Family.SEGMENTER and teaches and revision.cell_count < MIN_TRAIN_MASKS:
            skipped.append(image.name)
            continue
        entries.append(_revision_entry(revision, shown.get(revision.pk)))
    if family == Family.DETECTOR:
        entries += _weak_entries(dataset)
    return sorted(entries, key=lambda entry: entry["image"]), skipped


def _revision_entry(revision: Revision, shown: int | None) -> Entry:
    """``shown``: how many cells its complete regions show; None where the image is complete."""
    return _entry(revision.image) | {
        "revision": revision.pk,
        "labels_key": revision.labels_key,
        "complete_regions": revision.complete_regions,
        "cells": revision.cell_count if shown is None else shown,
    }


def _weak_entries(dataset: Dataset) -> list[Entry]:
    """Single-type training images of which nobody said anything: predicted cells, typed by the
    file name.
    """
    # Not those without a revision: one whose answers were undone calls nothing complete.
    told = telling_revisions(dataset, Split.TRAIN).order_by().values("image")
    predictions = (
        newest_predictions(dataset, Split.TRAIN)
        .filter(image__culture_type__isnull=False, cell_count__gt=0)
        .exclude(image__in=told)
    )
    return [
        _entry(prediction.image)
        | {
            "prediction": prediction.pk,
            "labels_key": prediction.labels_key,
            "complete_regions": None,
            "cells": prediction.cell_count,
        }
        for prediction in predictions
    ]


def _entry(image: Image) -> Entry:
    return {
        "image": image.pk,
        "sha256": image.sha256,
        "name": image.name,
        "split": image.split,
        "group": image.group,
        "culture": image.culture,
        "culture_type": image.culture_type_id,
        "pixel_size_um": image.pixel_size_um,
    }


def entries_hash(dataset: Dataset, family: str, entries: list[Entry]) -> str:
    """Hex sha256 over all that training or evaluation sees of ``entries``."""
    types = _cell_types(entries)
    seen = {
        "family": family,
        "channels": dataset.channels,
        "types": list(dataset.types.values_list("name", flat=True)),
        "entries": [
            {
                "sha256": entry["sha256"],
                "labels": entry["labels_key"],
                "regions": entry["complete_regions"],
                "split": entry["split"],
                "group": entry["group"],
                "culture": entry["culture"],
                "types": types.get(entry.get("revision")),
            }
            for entry in entries
        ],
    }
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()


def _counted(entries: list[Entry]) -> dict[str, dict[str, int]]:
    counts = {split: {"images": 0, "cells": 0} for split in Split.values}
    for entry in entries:
        counts[entry["split"]]["images"] += 1
        counts[entry["split"]]["cells"] += entry["cells"]
    return counts


def _cell_types(entries: list[Entry]) -> dict[int | None, dict[str, str]]:
    """{revision id: {label: type}} of the cells that have one.

    A type the models proposed counts too: who submitted the revision has let it stand.
    """
    revisions = [entry["revision"] for entry in entries if "revision" in entry]
    found: dict[int | None, dict[str, str]] = {}
    rows = Cell.objects.filter(revision__in=revisions, type__isnull=False)
    for revision, label, name in rows.values_list("revision", "label", "type__name"):
        found.setdefault(revision, {})[str(label)] = name
    return found


def snapshot_folder(snapshot: Snapshot) -> Path:
    """Where this machine keeps the snapshot's folder."""
    # With the data set: two of equal content have equal hashes, but not the same image ids.
    return Path(settings.SNAPSHOTS_DIR) / f"{snapshot.dataset_id}-{snapshot.hash}"


def snapshot_write(
    *,
    snapshot: Snapshot,
    folder: Path | None = None,
    on_image: Callable[[], None] | None = None,
    split: str | None = None,
    only: Collection[int] | None = None,
) -> Path:
    """Write the snapshot's folder, manifest last, and return it; a whole one is left as it is.

    ``split``: only its images, ``only``: those with these ids; the caller names a ``folder`` of
    its own for them.
    Files are written beside their place and renamed, so two workers may write at once and a
    worker that died halfway leaves nothing that looks whole. ``on_image`` is called before each
    image and may raise to stop. Raises ``Unavailable`` when storage fails and ``NotHere`` when an
    image of the snapshot has been deleted.
    """
    folder = folder or snapshot_folder(snapshot)
    manifest = folder / MANIFEST
    entries = [entry for entry in snapshot.entries if split in (None, entry["split"])]
    if only is not None:
        entries = [entry for entry in entries if entry["image"] in only]
    if _is_whole(folder, entries):
        os.utime(manifest)  # for snapshot_folders_prune: in use
        return folder
    with told_when_full(folder):
        (folder / "images").mkdir(parents=True, exist_ok=True)
        (folder / "labels").mkdir(exist_ok=True)
    dataset = snapshot.dataset
    document = {
        "hash": snapshot.hash,
        "dataset": dataset.name,
        "family": snapshot.family,
        "channels": list(model_channels(dataset.channels)),
        "types": list(dataset.types.values_list("name", flat=True)),
        "images": list(_written(snapshot.dataset, entries, folder, on_image)),
    }
    with whole(manifest, durable=False) as fresh:
        fresh.write_text(json.dumps(document))
    return folder


def _is_whole(folder: Path, entries: list[Entry]) -> bool:
    """Whether the folder was written from these very rows, and no power cut took of it since."""
    try:
        images = json.loads((folder / MANIFEST).read_text())["images"]
        written = [image["id"] for image in images]
        files = [folder / image[part] for image in images for part in ("image", "labels")]
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError):
        log.warning("The manifest in %s is cut short; the snapshot is written again.", folder)
        return False
    if written != [entry["image"] for entry in entries]:
        return False
    damaged = [file.name for file in files if not is_whole(file)]
    if damaged:
        told = f"{damaged[0]} and {len(damaged) - 1} more" if damaged[1:] else damaged[0]
        log.warning("Cut short in %s: %s; read from storage again.", folder, told)
    return not damaged


def _written(
    dataset: Dataset, entries: list[Entry], folder: Path, on_image: Callable[[], None] | None
) -> Iterator[dict[str, Any]]:
    """Write each entry's files; yield its part of the manifest."""
    images = Image.objects.select_related("dataset").in_bulk([entry["image"] for entry in entries])
    types = _cell_types(entries)
    names = dict(CellType.objects.filter(dataset=dataset).values_list("id", "name"))
    for entry in Counter(len(entries)).each(entries):
        if on_image:
            on_image()
        image = images.get(entry["image"])
        if image is None:
            raise NotHere(
                f"{entry['name']} was deleted after the snapshot was taken; start a new run."
            )
        image_file, labels_file = f"images/{image.pk}.npy", f"labels/{image.pk}.npy"
        pixels_content = f"{image.sha256} {','.join(dataset.channels)}"
        labels_content = entry["labels_key"]
        _place(folder / image_file, pixels_content, partial(image_array, image))
        _place(folder / labels_file, labels_content, partial(storage.labels_get, labels_content))
        given = types.get(entry.get("revision"), {})
        yield {
            "id": image.pk,
            **{key: entry[key] for key in _SHOWN},
            "image": image_file,
            "labels": labels_file,
            "pixels_content": pixels_content,
            "labels_content": labels_content,
            "cell_types": _everyone(folder / labels_file, names.get(entry["culture_type"])) | given,
            "source": "revision" if "revision" in entry else "prediction",
            "weight": 1.0,
        }


def _everyone(labels_file: Path, culture: str | None) -> dict[str, str]:
    """A single-type culture types every cell that nobody typed otherwise."""
    if culture is None:
        return {}
    return {str(label): culture for label in cell_ids(np.load(labels_file))}


def _place(path: Path, content: str, read: Callable[[], NDArray[Any]]) -> None:
    """The array of this ``content`` at ``path``: a link to what any snapshot here has read."""
    name = hashlib.sha256(f"{_FORMAT} {content}".encode()).hexdigest()
    linked(path, Path(settings.SNAPSHOTS_DIR) / ARRAYS / f"{name}.npy", read)


def snapshot_folders_prune() -> None:
    """Remove the oldest snapshot folders of this machine, never one that a run may be reading."""
    live = TrainingRun.objects.exclude(status__in=RunStatus.over()).values("snapshot")
    searched = Search.objects.exclude(status__in=SearchStatus.over()).values("snapshot")
    reading = Snapshot.objects.filter(Q(pk__in=live) | Q(pk__in=searched))
    read = {snapshot_folder(snapshot) for snapshot in reading}
    manifests = sorted(
        Path(settings.SNAPSHOTS_DIR).glob(f"*/{MANIFEST}"),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    for manifest in manifests[_KEPT_FOLDERS:]:
        if manifest.parent not in read:
            # The manifest goes first, so that no half-removed folder reads as whole.
            manifest.unlink(missing_ok=True)
            shutil.rmtree(manifest.parent, ignore_errors=True)
    _prune_shared()
    for folder in (Path(settings.SNAPSHOTS_DIR) / MEASURED).glob("*"):
        with suppress(FileNotFoundError):  # its evaluation ends just now
            if time.time() - folder.stat().st_mtime > _LEFT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def _prune_shared() -> None:
    """Remove arrays and what was prepared of them that no snapshot's folder has a link to."""
    for name in (ARRAYS, PREPARED):
        for file in (Path(settings.SNAPSHOTS_DIR) / name).glob("*"):
            with suppress(FileNotFoundError):
                status = file.stat()
                if status.st_nlink == 1 and time.time() - status.st_mtime > _LEFT_SECONDS:
                    file.unlink()
