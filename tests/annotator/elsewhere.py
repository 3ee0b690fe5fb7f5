"""Models as a bundle's train.py packs them, made in milliseconds from untrained weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from cellpose.resnet_torch import CPnet

from annotator.models import Dataset
from annotator.services.snapshots import snapshot_create
from inference import checkpoint
from training import sealed

EPOCHS = [
    {
        "epoch": number,
        "epochs": 2,
        "train_loss": 1.0 / number,
        "validation_loss": None,
        "metrics": {"ap50": 0.1 * number},
        "seconds": 3.0,
        "seconds_left": 0.0,
        "waiting": 0.25,
        "schedule": [0.25 * number],
    }
    for number in (1, 2)
]


def make_model_file(
    dataset: Dataset,
    out: Path,
    facts: Mapping[str, Any] | None = None,
    meta: Mapping[str, Any] | None = None,
    files: Mapping[str, Path | bytes] | None = None,
) -> Path:
    """A small segmenter said to be trained on a snapshot of ``dataset`` taken now.

    ``facts``, ``meta`` and ``files`` replace what manifest, meta.json and zip hold.
    """
    named = snapshot_create(dataset=dataset, family="segmenter").hash
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        torch.manual_seed(0)
        CPnet([2, 8, 16, 32], 3, sz=3).save_model(str(folder / "net"))
        state, own = checkpoint.import_cellpose(folder / "net", ("cytoplasm", "nucleus"))
        checkpoint.save(folder, state, replace(own, lineage={"snapshot": named, "base": None}))
        document = json.loads((folder / checkpoint.META).read_text()) | dict(meta or {})
        packed: dict[str, Path | bytes] = {
            checkpoint.WEIGHTS: folder / checkpoint.WEIGHTS,
            checkpoint.META: json.dumps(document).encode(),
            "metrics.jsonl": "".join(json.dumps(row) + "\n" for row in EPOCHS).encode(),
        }
        told = {
            "dataset": dataset.name,
            "family": "segmenter",
            "snapshot": named,
            "base": None,
            "config": {"epochs": 2, "learning_rate": 0.001},
        }
        sealed.seal(out, sealed.MODEL, packed | dict(files or {}), told | dict(facts or {}))
    return out
