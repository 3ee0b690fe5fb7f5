"""Measuring versions on the frozen split of a snapshot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings

from annotator.exceptions import NotReady
from annotator.models import Evaluation, ModelVersion
from annotator.services.evaluations import (
    FrozenSplit,
    evaluation_find,
    evaluation_store,
    frozen_split,
)
from annotator.services.snapshots import MEASURED, snapshot_create, snapshot_write
from annotator.services.versions import version_folder
from annotator.work.heart import RunHeart
from annotator.work.progress import Clock
from training.errors import Cancelled
from training.evaluate import evaluate
from training.progress import telling


def evaluated(
    version: ModelVersion,
    frozen: FrozenSplit,
    folder: Path,
    should_stop: Callable[[], bool] | None = None,
) -> Evaluation:
    """The metrics of ``version`` on a frozen split, measured unless they are known.

    Raises ``Cancelled`` when ``should_stop``, asked before each image, says so.
    """
    found = evaluation_find(version=version, frozen=frozen)
    if found is not None:
        return found
    metrics = evaluate(version_folder(version), folder, frozen.split, should_stop)
    return evaluation_store(version=version, frozen=frozen, metrics=metrics)


def measured(
    version: ModelVersion, frozen: FrozenSplit, folder: Path, heart: RunHeart, later: int = 0
) -> Evaluation:
    """``evaluated`` as a step of a run, after which ``later`` images are to be measured."""
    with telling(Clock(heart, f"measuring {version}", later).tell):
        return evaluated(version, frozen, folder, heart.should_stop)


def unmeasured(version: ModelVersion | None, frozen: FrozenSplit) -> int:
    """How many images it takes to measure ``version``; none where its figures are known."""
    known = version is None or evaluation_find(version=version, frozen=frozen)
    return 0 if known else frozen.images


def evaluate_version(
    version: ModelVersion,
    split: str | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Evaluation:
    """Measure ``version`` on the corrected images there are now.

    Without ``split`` the best there is: test, else validation, else train. Raises ``NotReady``
    when no image of the split has a revision, and ``Cancelled`` when ``should_stop``, asked before
    each image is written and before it is measured, says so.
    """
    snapshot = snapshot_create(dataset=version.dataset, family=version.family)
    frozen = frozen_split(snapshot=snapshot, split=split)
    if frozen is None:
        where = f"{split} image" if split else "image"
        raise NotReady(
            f"No {where} of {version.dataset.name} has corrected or imported masks to measure on:"
            " correct some, or import them beside their images."
        )
    found = evaluation_find(version=version, frozen=frozen)
    if found is not None:
        return found

    def check() -> None:
        if should_stop is not None and should_stop():
            raise Cancelled

    # Not among the runs' folders, of which a run that ends meanwhile removes the oldest.
    place = Path(settings.SNAPSHOTS_DIR) / MEASURED
    place.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place) as name:
        folder = snapshot_write(
            snapshot=snapshot, folder=Path(name), on_image=check, split=frozen.split
        )
        return evaluated(version, frozen, folder, should_stop)
