"""Data sets that tiny real networks can learn from in seconds."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from annotator.models import Dataset, Image, ModelVersion
from annotator.services.runs import RunRequest, run_create
from annotator.services.versions import version_create, version_folder, version_promote
from annotator.work.training import work_on_run
from tests.annotator.factories import make_dataset, make_image, make_revision
from training.synthetic import draw_image

SHAPE = (128, 128)
# Real training in every respect but its size.
TINY: dict[str, dict[str, Any]] = {
    "segmenter": {
        "width": 8,
        "crop": 64,
        "batch_size": 4,
        "crops_per_epoch": 8,
        "epochs": 1,
        "fixed_diameter": 24.0,
    },
    "detector": {"crop": 64, "batch_size": 2, "epochs": 1},
}


def make_trainable(train: int = 3, test: int = 1, **fields: Any) -> Dataset:
    """A data set of drawn 128×128 images, all with masks and types, for tiny training."""
    dataset = make_dataset(training=TINY, **fields)
    for number in range(train):
        add_drawn(dataset, number, "train")
    for number in range(test):
        add_drawn(dataset, 100 + number, "test")
    return dataset


def make_searchable() -> Dataset:
    """As ``make_trainable``, with a validation image that trials are compared on."""
    dataset = make_trainable()
    add_drawn(dataset, 50, "validation")
    return dataset


# Model folders that this process has trained, by what must be alike for a data set to take them.
_TRAINED: dict[tuple[Any, ...], TemporaryDirectory[str]] = {}


def make_current(dataset: Dataset, family: str) -> ModelVersion:
    """The current ``family`` of a trainable data set: it predicts, however badly.

    Trained by a run on the first such data set, taken from there by the later ones.
    """
    types = dataset.types.values_list("name", flat=True)
    key = (family, *dataset.channels, *types)
    if key in _TRAINED:
        folder = Path(_TRAINED[key].name)
        version = version_create(dataset=dataset, family=family, folder=folder / "model")
    else:
        run = run_create(request=RunRequest(dataset, family, "a test", base="scratch"))
        work_on_run(run.pk)
        run.refresh_from_db()
        assert run.candidate is not None, run.message
        version = run.candidate
        kept = TemporaryDirectory()
        shutil.copytree(version_folder(version), Path(kept.name) / "model")
        _TRAINED[key] = kept
    version_promote(version=version)
    return version


def add_drawn(
    dataset: Dataset, seed: int, split: str, *, kind: str = "mixed", masked: bool = True
) -> Image:
    """A drawn image called ``kind_a_seed``; ``masked`` adds its true masks and types."""
    drawn = draw_image(kind, SHAPE, seed)
    image = make_image(dataset, f"{kind}_a_{seed}.tif", drawn.image, split=split, culture=kind)
    if masked:
        make_revision(image, labels=drawn.labels, types=dict(drawn.types), source="import")
    return image


def add_large(dataset: Dataset, seed: int, split: str, side: int = 3) -> Image:
    """A drawn image repeated to ``side`` × 512 px a side, each cell with an id of its own."""
    drawn = draw_image("mixed", (512, 512), seed)
    count = int(drawn.labels.max())
    rows = []
    for y in range(side):
        parts = [
            np.where(drawn.labels > 0, drawn.labels.astype(np.uint32) + count * (y * side + x), 0)
            for x in range(side)
        ]
        rows.append(np.hstack(parts))
    tiled = np.tile(drawn.image, (1, side, side))
    image = make_image(dataset, f"mixed_l_{seed}.tif", tiled, split=split)
    make_revision(image, labels=np.vstack(rows), source="import")
    return image
