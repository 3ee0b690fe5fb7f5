"""Snapshot folders for the training tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def disks(seed: int, shape: tuple[int, int] = (96, 112), radius: int = 9):
    """An image (1, H, W) uint16 of bright disks on a grid, jittered, and its labels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = rng.normal(200, 15, shape)
    labels = np.zeros(shape, np.uint16)
    step = 2 * radius + 6
    count = 0
    for cy in range(radius + 3, shape[0] - radius, step):
        for cx in range(radius + 3, shape[1] - radius, step):
            dy, dx = rng.integers(-2, 3, 2)
            inside = (y - cy - dy) ** 2 + (x - cx - dx) ** 2 <= radius**2
            count += 1
            image[inside] += rng.uniform(200, 400)
            labels[inside] = count
    return image.clip(0).astype(np.uint16)[None], labels


def write_snapshot(folder: Path, images: list[dict[str, Any]], **document: Any) -> Path:
    """A snapshot of ``images``: {"pixels", "labels", "split", …manifest entries}."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    entries = []
    for number, given in enumerate(images, 1):
        entry = {"id": f"i{number}", "name": f"i{number}.tif", "split": "train", **given}
        np.save(folder / f"images/i{number}.npy", entry.pop("pixels"))
        labels = entry.pop("labels", None)
        if labels is not None:
            np.save(folder / f"labels/i{number}.npy", labels)
        entry["image"] = f"images/i{number}.npy"
        entry["labels"] = None if labels is None else f"labels/i{number}.npy"
        entry.setdefault("group", entry["id"])
        entries.append(entry)
    whole = {
        "hash": "h1",
        "dataset": "test",
        "family": "segmenter",
        "channels": ["nucleus"],
        "types": [],
        "images": entries,
        **document,
    }
    (folder / "manifest.json").write_text(json.dumps(whole))
    return folder


def write_disks(folder: Path, splits: list[str], **document: Any) -> Path:
    """A snapshot of drawn disks, one image per split named."""
    images = []
    for seed, split in enumerate(splits):
        pixels, labels = disks(seed)
        images.append({"pixels": pixels, "labels": labels, "split": split})
    return write_snapshot(folder, images, **document)
