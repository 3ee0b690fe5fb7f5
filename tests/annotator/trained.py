"""Data sets that tiny real networks can learn from in seconds."""

from __future__ import annotations

from typing import Any

from annotator.models import Dataset, Image
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


def add_drawn(
    dataset: Dataset, seed: int, split: str, *, kind: str = "mixed", masked: bool = True
) -> Image:
    """A drawn image called ``kind_a_seed``; ``masked`` adds its true masks and types."""
    drawn = draw_image(kind, SHAPE, seed)
    image = make_image(dataset, f"{kind}_a_{seed}.tif", drawn.image, split=split, culture=kind)
    if masked:
        make_revision(image, labels=drawn.labels, types=dict(drawn.types), source="import")
    return image
