"""Training bundles: all that one training needs, as a zip for a machine that knows no server."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

import inference
import training
from annotator.dispatch import Job, enqueue
from annotator.exceptions import BadInput, Unavailable
from annotator.models import Dataset, Export, ModelVersion, Snapshot, Split
from annotator.services.runs import RunRequest, run_preflight, start_of
from annotator.services.snapshots import MEASURED, snapshot_create, snapshot_write
from annotator.services.versions import META, WEIGHTS, version_folder
from training import sealed
from training.config import START_FILE, TrainConfig, portable

BUNDLE = "bundle"  # the format of an export that is one
_TEMPLATES = Path(training.__file__).parent / "bundle"
_AS_THEY_ARE = ("train.py", "train.ipynb", "requirements.txt")
_DRAWING = "synthetic.py"  # draws the demo's images; no training needs it


@dataclass(frozen=True)
class BundleRequest:
    """What to train elsewhere; ``base`` and ``config`` as in ``RunRequest``."""

    dataset: Dataset
    family: str
    base: str | None = None
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundled:
    """What a bundle holds. ``snapshot`` is the hash that the trained model will name."""

    snapshot: str
    images: int
    cells: int
    start: str
    path: Path


def bundle_create(*, request: BundleRequest, requested_by: User) -> Export:
    """Queue a bundle for a worker. Raises ``BadInput`` or ``NotReady`` as a training does."""
    _start(request)
    with transaction.atomic():
        export = Export.objects.create(
            dataset=request.dataset,
            requested_by=requested_by,
            format=BUNDLE,
            source=request.family,
            options={"base": request.base, "config": request.config},
        )
        enqueue(Job.EXPORT, export.pk)
    return export


def bundle_requested(export: Export) -> BundleRequest:
    """What was asked for by ``bundle_create``."""
    options = export.options
    return BundleRequest(export.dataset, export.source, options["base"], options["config"])


def bundle_write(
    *, request: BundleRequest, out: Path, on_image: Callable[[], None] | None = None
) -> Bundled:
    """Write the bundle's zip to ``out``, whole or not at all, from a snapshot taken now.

    The test images stay here: no training reads them. ``on_image`` is called before each image
    and while they are packed, and may raise to stop. Raises ``BadInput`` and ``NotReady`` as a
    training does, ``NotHere`` when an image was deleted meanwhile, and ``Unavailable`` (storage,
    or ``out``).
    """
    base, config = _start(request)
    snapshot = snapshot_create(dataset=request.dataset, family=request.family)
    taken = [entry for entry in snapshot.entries if entry["split"] != Split.TEST]
    # Beside the other snapshots: their arrays are linked, not copied.
    place = Path(settings.SNAPSHOTS_DIR) / MEASURED
    place.mkdir(parents=True, exist_ok=True)
    start = base.version if base else config.start
    bundled = Bundled(snapshot.hash, len(taken), sum(e["cells"] for e in taken), start, out)
    with tempfile.TemporaryDirectory(dir=place) as temporary:
        only = {entry["image"] for entry in taken}
        folder = snapshot_write(
            snapshot=snapshot, folder=Path(temporary), on_image=on_image, only=only
        )
        files = _files(folder, base) | {"README.md": _readme(bundled, snapshot, config)}
        try:
            facts = _facts(snapshot, base, config)
            sealed.seal(out, sealed.BUNDLE, files, facts, on_image or (lambda: None))
        except OSError as error:
            raise Unavailable(
                f"The bundle cannot be written to {out.name}: {error.strerror or error}."
            ) from error
    return bundled


def _start(request: BundleRequest) -> tuple[ModelVersion | None, TrainConfig]:
    """What the training starts from, and its settled config."""
    asked = RunRequest(request.dataset, request.family, BUNDLE, None, request.base, request.config)
    base, overrides = start_of(asked)
    run_preflight(dataset=request.dataset, family=request.family)
    config = TrainConfig.for_family(request.family, overrides)
    if base is None and config.start.startswith(START_FILE):
        raise BadInput(
            "A bundle cannot start from a file of this server; start from a version (--base) or"
            " from scratch."
        )
    return base, config.settled(base is not None or config.start != "scratch")


def _files(snapshot: Path, base: ModelVersion | None) -> dict[str, Path | bytes]:
    """Every file of a bundle but README and manifest, by its name in the zip."""
    files: dict[str, Path | bytes] = {name: _TEMPLATES / name for name in _AS_THEY_ARE}
    for package in (training, inference):
        folder = Path(str(package.__file__)).parent
        for source in folder.glob("*.py"):
            if source.name != _DRAWING:
                files[f"{folder.name}/{source.name}"] = source
    for file in snapshot.rglob("*"):
        if file.is_file():
            files[f"snapshot/{file.relative_to(snapshot).as_posix()}"] = file
    if base is not None:
        folder = version_folder(base)
        files |= {f"base/{name}": folder / name for name in (WEIGHTS, META)}
    return files


def _facts(snapshot: Snapshot, base: ModelVersion | None, config: TrainConfig) -> dict[str, Any]:
    return {
        "dataset": snapshot.dataset.name,
        "family": snapshot.family,
        "snapshot": snapshot.hash,
        "base": base.version if base else None,
        "config": portable(vars(config)),
    }


def _readme(bundled: Bundled, snapshot: Snapshot, config: TrainConfig) -> bytes:
    length = f"{config.epochs} epochs"
    if config.minutes:
        length = f"as many epochs as fit into {config.minutes:g} minutes, at most {config.epochs}"
    name, family = snapshot.dataset.name, snapshot.family
    words = {
        "family": family,
        "dataset": name,
        "start": bundled.start,
        "length": length,
        "result": f"{name}-{family}.cytoloop-model.zip",
        "snapshot": snapshot.hash,
    }
    return Template((_TEMPLATES / "README.md").read_text()).substitute(words).encode()
