"""Models that were trained elsewhere, from a bundle, and come back as one file.

The file is checked here without torch: whole and as packed, trained on a snapshot that this data
set knows, for its channels and types. Whether the weights fit is tried by a worker.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from safetensors import SafetensorError, safe_open

from annotator import storage
from annotator.exceptions import Conflict, CytoloopError, UnreadableModel
from annotator.models import (
    Dataset,
    Family,
    ModelVersion,
    RunEpoch,
    RunStatus,
    Snapshot,
    TrainingRun,
)
from annotator.services.runs import run_queue
from annotator.services.versions import META, WEIGHTS, version_check
from training import sealed
from training.config import TrainConfig, portable
from training.errors import TrainingError

_MOST_EPOCHS = 100_000
_METRICS = "metrics.jsonl"
# What reading a line of it raises; OverflowError: a number beyond any float.
_NO_EPOCH = ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError
_PREFIX = "arrivals"  # in storage


@dataclass(frozen=True)
class Arrival:
    """An unpacked and checked file: what was trained, on what, from what, and how it went."""

    family: str
    snapshot: Snapshot
    base: ModelVersion | None
    config: dict[str, Any]
    points: list[RunEpoch]
    sha256: str  # of the weights


def arrival_open(*, dataset: Dataset, file: Path, folder: Path, name: str = "") -> Arrival:
    """Unpack ``file`` to ``folder`` and check it against what ``dataset`` knows.

    Raises ``UnreadableModel`` saying what is wrong with it, by its ``name`` where its sender knows
    it by another than ``file`` has here, and what to do.
    """
    name = name or file.name
    try:
        manifest = sealed.open_model(file, folder)
    except TrainingError as error:
        raise UnreadableModel(error.message.replace(file.name, name)) from error
    family = manifest.get("family")
    if family not in Family.values:
        raise UnreadableModel(f"{name} is of no family that there is here: {family!r:.40}.")
    snapshot = _known_snapshot(dataset, family, manifest, name)
    _check_weights(folder / WEIGHTS, name)
    meta = version_check(dataset=dataset, family=family, folder=folder, name=name)
    lineage = meta.get("lineage")
    if not isinstance(lineage, dict) or lineage.get("snapshot") != snapshot.hash:
        raise UnreadableModel(
            f"{name}: {META} and manifest name different snapshots, so one of them was"
            " changed. Run train.py again and send the file that it writes."
        )
    base = None
    if _is_hash(manifest.get("base")):
        versions = dataset.versions.filter(family=family, sha256=manifest["base"])
        base = versions.order_by("number").first()
    return Arrival(
        family=family,
        snapshot=snapshot,
        base=base,
        config=_config(family, manifest.get("config"), name),
        points=_points(folder / _METRICS, name),
        sha256=manifest["files"][WEIGHTS]["sha256"],
    )


def _known_snapshot(dataset: Dataset, family: str, manifest: dict[str, Any], name: str) -> Snapshot:
    named = str(manifest.get("snapshot"))
    known = None
    if _is_hash(named):
        known = dataset.snapshots.filter(family=family, hash=named).first()
    if known is None:
        raise UnreadableModel(
            f"{name} was trained on the snapshot {named[:12]} of {manifest.get('dataset')!r:.80},"
            f" which {dataset.name} has not. Send it to the data set that its bundle came from;"
            " to use it here as a foreign model, unzip it and import that folder."
        )
    return known


def _is_hash(text: Any) -> bool:
    """A sha256 in hex; what else a file may hold can be no text for a database."""
    return isinstance(text, str) and re.fullmatch(r"[0-9a-f]{64}", text) is not None


def _check_weights(file: Path, name: str) -> None:
    """Only the head is read, and nothing in it can run."""
    try:
        with safe_open(file, framework="numpy") as weights:
            weights.keys()
    except (SafetensorError, OSError) as error:
        raise UnreadableModel(
            f"{name}: {WEIGHTS} holds no safetensors ({error}); other weights are not taken in."
        ) from error


def _config(family: str, told: Any, name: str) -> dict[str, Any]:
    try:
        values = portable(dict(told))
        TrainConfig.for_family(family, values)
        if str(values.get("start", "")).startswith("file:"):
            # Its next training would read whatever lies on a worker's disk.
            raise ValueError("it starts from a file of another machine")
    except (TrainingError, TypeError, ValueError) as error:
        raise UnreadableModel(
            f"{name}: its training settings cannot be used ({str(error).rstrip('.')}). Update this"
            " server, or run train.py of a bundle made by it."
        ) from error
    return values


def _points(file: Path, name: str) -> list[RunEpoch]:
    points: list[RunEpoch] = []
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            point = _point(json.loads(line))
            if number > _MOST_EPOCHS or point.epoch != number:
                raise ValueError("epochs go up by one")
        except _NO_EPOCH as error:
            raise UnreadableModel(f"{name}: line {number} of {_METRICS} is no epoch.") from error
        points.append(point)
    if not points:
        raise UnreadableModel(f"{name}: {_METRICS} has no epoch; let train.py make at least one.")
    return points


def _point(row: dict[str, Any]) -> RunEpoch:
    """One line of ``training.engine.EpochReport``; a figure that is not defined becomes null."""
    loss, seconds = float(row["train_loss"]), float(row["seconds"])
    if not (math.isfinite(loss) and math.isfinite(seconds)):
        raise ValueError("a loss that is no number")
    return RunEpoch(
        epoch=int(row["epoch"]),
        train_loss=loss,
        validation_loss=_figure(row["validation_loss"]),
        metrics={_key(key): _figure(value) for key, value in row["metrics"].items()},
        seconds=seconds,
        waiting=None if row.get("waiting") is None else _share(row["waiting"]),
        schedule=[_share(each) for each in row.get("schedule", ())],
    )


def _key(key: str) -> str:
    if not (key.isidentifier() and key.isascii() and len(key) <= 40):
        raise ValueError("no name of a figure")
    return key


def _share(value: Any) -> float:
    if not 0.0 <= float(value) <= 1.0:
        raise ValueError("a share goes from 0 to 1")
    return float(value)


def _figure(value: Any) -> float | None:
    return None if value is None or not math.isfinite(float(value)) else float(value)


def arrival_refuse_known(*, dataset: Dataset, arrival: Arrival) -> None:
    """``Conflict`` when this very model is here already."""
    known = ModelVersion.objects.filter(
        dataset=dataset,
        family=arrival.family,
        sha256=arrival.sha256,
        run__snapshot=arrival.snapshot,
    ).first()
    if known is not None:
        raise Conflict(f"This model is here already, as {known}.")


def arrival_create(
    *, dataset: Dataset, file: Path, name: str = "", requested_by: User
) -> TrainingRun:
    """Store a model that was sent as ``name`` and queue the run that takes it in, with its curve.

    Raises as ``arrival_open`` does, ``Conflict`` when the model is here already or a run of its
    family is live, and ``Unavailable``.
    """
    with tempfile.TemporaryDirectory(prefix="arrival-") as temporary:
        folder = Path(temporary) / "model"
        arrival = arrival_open(dataset=dataset, file=file, folder=folder, name=name)
    arrival_refuse_known(dataset=dataset, arrival=arrival)
    run = _run_of(dataset, arrival, f"trained elsewhere, sent by {requested_by.get_username()}")
    run.requested_by = requested_by
    run.arrival = storage.put(f"{_PREFIX}/{uuid.uuid4().hex}.zip", file)
    try:
        with transaction.atomic():
            run_queue(run=run)
            _keep_points(run, arrival)
    except CytoloopError:
        storage.delete(run.arrival)
        raise
    return run


def arrival_record(*, dataset: Dataset, arrival: Arrival, version: ModelVersion) -> TrainingRun:
    """The run that ``version``, imported by a command, was made by elsewhere."""
    run = _run_of(dataset, arrival, "trained elsewhere")
    run.status, run.finished_at = RunStatus.DONE, timezone.now()
    run.candidate, run.message = version, f"{version} was trained elsewhere and imported."
    with transaction.atomic():
        run.save()
        _keep_points(run, arrival)
    return run


def arrivals_prune(*, limit: datetime) -> None:
    """Remove what was sent and could not be taken in by runs that ended before ``limit``.

    By what storage holds, which is next to nothing, and not by all rows that once had a file.
    Raises ``Unavailable``.
    """
    stored = storage.keys_under(_PREFIX)
    over = TrainingRun.objects.filter(status__in=RunStatus.over(), finished_at__lt=limit)
    for key in over.filter(arrival__in=stored).values_list("arrival", flat=True):
        storage.delete(key)


def _run_of(dataset: Dataset, arrival: Arrival, reason: str) -> TrainingRun:
    epochs = len(arrival.points)
    return TrainingRun(
        dataset=dataset,
        family=arrival.family,
        reason=reason[:200],
        snapshot=arrival.snapshot,
        base=arrival.base,
        had_base=arrival.base is not None,
        config=arrival.config,
        epoch=epochs,
        epochs=epochs,
        # What was corrected after the snapshot is not dealt with by this training.
        started_at=arrival.snapshot.created_at,
    )


def _keep_points(run: TrainingRun, arrival: Arrival) -> None:
    for point in arrival.points:
        point.run = run
    RunEpoch.objects.bulk_create(arrival.points, batch_size=500)
