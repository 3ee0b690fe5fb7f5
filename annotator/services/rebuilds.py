"""Making a version again from what made it: snapshot, settings, seed, and what it started from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from annotator.exceptions import BadInput, Conflict, NotHere
from annotator.models import Evaluation, Image, ModelVersion, Snapshot, TrainingRun
from annotator.services.evaluations import frozen_split
from annotator.services.runs import run_queue
from training.config import SCHEDULE, TrainConfig, portable
from training.errors import TrainingError


def rebuild_create(*, version: ModelVersion, wake: bool = True) -> TrainingRun:
    """Queue a run that makes ``version`` again: same snapshot, same start, same settings, seed.

    A training that minutes have bounded follows the same schedule step by step, whatever the time
    these take here.

    Raises:
        BadInput: it was imported, and nobody knows how it was made.
        NotHere: something it was made from is gone; says what.
        Conflict: a run of this family is live, or the data set's types are others now.
    """
    origin = TrainingRun.objects.filter(candidate=version).select_related("snapshot").first()
    if origin is None or origin.snapshot is None:
        raise BadInput(
            f"{version} was imported, not trained by a run, so it cannot be rebuilt; keep its"
            " weights."
        )
    lineage: dict[str, Any] = version.meta.get("lineage", {})
    _check_snapshot(version, origin.snapshot)
    if lineage.get("start") == "base" and origin.base is None:
        raise NotHere(
            f"The version that {version} was trained from was deleted, so it cannot be rebuilt."
        )
    run = TrainingRun(
        dataset=version.dataset,
        family=version.family,
        reason=f"rebuilds {version}",
        snapshot=origin.snapshot,
        base=origin.base,
        config=_config(origin, lineage),
        rebuilds=version,
        is_rebuild=True,
    )
    return run_queue(run=run, wake=wake)


def _check_snapshot(version: ModelVersion, snapshot: Snapshot) -> None:
    named = {entry["image"]: entry["name"] for entry in snapshot.entries}
    there = set(Image.objects.filter(pk__in=named).values_list("pk", flat=True))
    gone = [name for pk, name in named.items() if pk not in there]
    if gone:
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        raise NotHere(
            f"{gone[0]}{more} of the snapshot of {version} was deleted, so it cannot be rebuilt."
        )
    types = list(version.dataset.types.values_list("name", flat=True))
    if version.meta.get("types") and version.meta["types"] != types:
        raise Conflict(
            f"{version} tells {', '.join(version.meta['types'])}; {version.dataset.name} has"
            f" {', '.join(types)} now, so the same training would make another model."
        )


def _config(origin: TrainingRun, lineage: dict[str, Any]) -> dict[str, Any]:
    """The settings that were really used, defaults of that day included."""
    # The lineage of a model that was sent is what somebody else's file says.
    told = origin.config if origin.arrival else lineage.get("config") or origin.config
    config = portable(told)
    config.setdefault("patience", 0.0)  # made before trainings stopped early
    if config.get("minutes") and not _schedule(origin):
        # Made before schedules were kept: as many epochs, though not at quite the same rates.
        config |= {"minutes": 0, "epochs": origin.epoch}
    try:
        TrainConfig.for_family(origin.family, config)
    except TrainingError as error:
        raise Conflict(
            f"The settings of {origin} cannot be used by this release: {error.message}"
        ) from error
    return config


def _schedule(origin: TrainingRun) -> list[list[float]]:
    """The progress at each step of each epoch; empty unless it is known of all of them."""
    kept = list(origin.epoch_rows.values_list("schedule", flat=True))
    return kept if all(kept) else []


def rebuild_check(*, run: TrainingRun) -> None:
    """``NotHere`` when ``run`` rebuilds a version that was deleted meanwhile."""
    if not run.is_rebuild:
        return
    run.refresh_from_db(fields=["rebuilds"])
    if run.rebuilds is None:
        raise NotHere(
            f"The version that run {run.pk} was to make again was deleted, so there is nothing to"
            " compare with."
        )


def rebuild_prepare(*, run: TrainingRun, folder: Path) -> None:
    """Put the original's schedule where a rebuild's training looks for it; else do nothing."""
    origin = TrainingRun.objects.filter(candidate=run.rebuilds).first() if run.rebuilds else None
    if origin is not None and run.config.get("minutes"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SCHEDULE).write_text(json.dumps(_schedule(origin)))


def rebuild_compare(*, run: TrainingRun) -> dict[str, Any]:
    """Figures of a finished rebuild beside the original's, on the run's own frozen split.

    {"split", "images", "metrics", "original_metrics", "differences"}: rebuilt minus original of
    every figure that both have. Raises ``NotHere`` when the original was deleted meanwhile.
    """
    frozen = frozen_split(snapshot=run.snapshot) if run.snapshot else None
    if frozen is None or run.candidate is None or run.rebuilds is None:
        raise NotHere(f"Run {run.pk} has nothing to compare: a version of it was deleted.")
    measured = Evaluation.objects.filter(split=frozen.split, frozen_hash=frozen.hash)
    mine = measured.filter(version=run.candidate).get().metrics
    theirs = measured.filter(version=run.rebuilds).get().metrics
    return {
        "split": frozen.split,
        "images": frozen.images,
        "metrics": mine,
        "original_metrics": theirs,
        "differences": {
            key: mine[key] - value
            for key, value in theirs.items()
            if isinstance(value, float) and isinstance(mine.get(key), float)
        },
    }
