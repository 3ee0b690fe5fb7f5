"""Models for the benchmarks where none is given: trained once on synthetic images, then kept.

They lie in ``cytoloop-benchmarks`` under the system's folder for temporary files (or under
``$CYTOLOOP_BENCHMARKS``). Delete that folder to train them anew.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from inference import checkpoint
from inference.files import file_sha256
from training.config import TrainConfig
from training.synthetic import SyntheticImage, draw_image
from training.train import EpochReport, train

CHANNELS = ("cytoplasm", "nucleus")
TYPES = ("HEK", "N2a")
KINDS = ("HEK", "N2a", "mixed")
# What the first training draws; benchmarks draw with other seeds.
TRAINED_ON = 48
MINUTES = {"segmenter": 4.0, "detector": 4.0}


def kept() -> Path:
    """The folder of what benchmarks keep."""
    named = os.environ.get("CYTOLOOP_BENCHMARKS")
    folder = Path(named) if named else Path(tempfile.gettempdir()) / "cytoloop-benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def model_folder(family: str, given: Path | None, **settings: Any) -> Path:
    """``given`` (a model folder, or a zip of one) or a model trained here, as a folder."""
    if given is None:
        return _trained(family, **settings)
    if given.is_dir():
        return given
    folder = kept() / f"unpacked-{file_sha256(given)[:16]}"
    if not (folder / checkpoint.META).exists():
        with zipfile.ZipFile(given) as packed:
            for name in (checkpoint.WEIGHTS, checkpoint.META):
                packed.extract(name, folder)
    return folder


def _trained(family: str, **settings: Any) -> Path:
    name = "-".join([family, *(str(value) for value in settings.values())])
    folder = kept() / name
    if not (folder / checkpoint.META).exists():
        minutes = settings.pop("minutes", MINUTES[family])
        print(f"training a {family} for {minutes:g} minutes: {folder}", file=sys.stderr, flush=True)
        config = TrainConfig.for_family(family, {"minutes": minutes, **settings})
        # In a process of its own: memory that a training has had is faster to get than new memory,
        # and whoever is measured afterwards should find what it would find alone.
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            pool.submit(_train, config, folder).result()
    return folder


def _train(config: TrainConfig, folder: Path) -> None:
    """Leave the model in ``folder``, which appears when it is whole."""
    unfinished = folder.with_name(f"{folder.name}.part")
    train(config, _snapshot(), unfinished, on_epoch=_tell)
    unfinished.rename(folder)


def _tell(report: EpochReport) -> None:
    print(report.sentence(), file=sys.stderr, flush=True)


def _snapshot() -> Path:
    """A snapshot folder of synthetic images, every tenth to validate on."""
    folder = kept() / "snapshot"
    manifest = folder / "manifest.json"
    if manifest.exists():
        return folder
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    entries = []
    for number in range(TRAINED_ON):
        kind = KINDS[number % 3]
        drawn = draw_image(kind, seed=(number, 0))
        np.save(folder / f"images/{number}.npy", drawn.image)
        np.save(folder / f"labels/{number}.npy", drawn.labels)
        entries.append(
            {
                "id": str(number),
                "group": str(number),
                "split": "validation" if number % 10 == 9 else "train",
                "image": f"images/{number}.npy",
                "labels": f"labels/{number}.npy",
                "culture": kind,
                "cell_types": drawn.types,
            }
        )
    document = {"hash": "synthetic", "channels": CHANNELS, "types": TYPES, "images": entries}
    manifest.write_text(json.dumps(document))
    return folder


def crowded(shape: tuple[int, int], seed: int) -> SyntheticImage:
    """A mixed field, drawn with seeds that no training has seen."""
    return draw_image("mixed", shape, seed=(seed, 1))
