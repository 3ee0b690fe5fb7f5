"""Metrics of versions on frozen label sets, and the gate that promotes by them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from annotator.models import Dataset, Evaluation, ModelVersion, Snapshot, Split
from annotator.services.snapshots import entries_hash
from annotator.services.versions import version_promote_over
from training.gate import Measured, not_worse

# Where models are compared, best first: without a corrected test image the validation images
# must do, and without those the training images show at least whether a model finds cells.
SPLITS = (Split.TEST, Split.VALIDATION, Split.TRAIN)


@dataclass(frozen=True)
class FrozenSplit:
    """One split of a snapshot: what versions are compared on."""

    snapshot: Snapshot
    split: str
    hash: str
    images: int


def frozen_split(*, snapshot: Snapshot, split: str | None = None) -> FrozenSplit | None:
    """``split``, or the best one with labelled images; None when it has no revision."""
    for name in [split] if split else SPLITS:
        entries = [
            entry
            for entry in snapshot.entries
            if entry["split"] == name and ("revision" in entry or name == Split.TRAIN)
        ]
        if entries:
            digest = entries_hash(snapshot.dataset, snapshot.family, entries)
            return FrozenSplit(snapshot, str(name), digest, len(entries))
    return None


def evaluation_find(*, version: ModelVersion, frozen: FrozenSplit) -> Evaluation | None:
    """The metrics of ``version`` on exactly these images and labels, if they are known."""
    return Evaluation.objects.filter(
        version=version, split=frozen.split, frozen_hash=frozen.hash
    ).first()


def evaluation_store(
    *, version: ModelVersion, frozen: FrozenSplit, metrics: dict[str, Any]
) -> Evaluation:
    """Keep ``metrics`` (of ``training.evaluate.evaluate``); what is there already stays."""
    clean = without_nan(metrics)
    summary = {key: value for key, value in clean.items() if key != "per_image"}
    evaluation, _ = Evaluation.objects.get_or_create(
        version=version,
        split=frozen.split,
        frozen_hash=frozen.hash,
        defaults={
            "images": clean.get("images", frozen.images),
            "metrics": summary,
            "per_image": clean.get("per_image", []),
        },
    )
    return evaluation


def without_nan(value: Any) -> Any:
    """JSON columns know no NaN: a figure that is not defined becomes null."""
    if isinstance(value, dict):
        return {str(key): without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def candidate_settle(
    *, candidate: Evaluation, current: Evaluation | None, frozen: FrozenSplit, suspect: str = ""
) -> str | None:
    """Promote the candidate when the gate lets it pass; the sentence says what happened.

    ``suspect`` says what a first look found wrong with it, which no figure makes good.

    None when another version has become current since: compare with that one.
    """
    version = candidate.version
    good, why = not_worse(
        _measured(candidate),
        _measured(current) if current else None,
        version.dataset.type_margin,
    )
    where = _where(frozen)
    if not candidate.metrics.get("ap50"):
        _judge(version, False)
        return f"{version} stays a candidate: it finds none of the known cells. {where}"
    if suspect:
        _judge(version, False)
        return f"{version} stays a candidate: {suspect}. {where}"
    if not good:
        _judge(version, False)
        return f"{version} stays a candidate: {why} {where}"
    if current is not None and frozen.split == Split.TRAIN:
        # The candidate has learnt these images by heart; winning on them means nothing.
        return (
            f"{version} stays a candidate: no validation or test image has been corrected, so it"
            f" cannot be compared with {current.version}. Correct some, or promote it by hand."
        )
    _judge(version, True)
    # Read again: a person may have changed it while the run went on. Without a current model there
    # is nothing to be worse than, and nothing is predicted.
    if (
        current is not None
        and not Dataset.objects.filter(pk=version.dataset_id, auto_promote=True).exists()
    ):
        return f"{version} is ready to be promoted by hand: {why} {where}"
    compared = current.version if current else None
    if not version_promote_over(version=version, compared=compared):
        return None
    return f"{version} was promoted: {why} {where}"


def _judge(version: ModelVersion, passed: bool) -> None:
    version.passed_gate = passed
    version.save(update_fields=["passed_gate"])


def _measured(evaluation: Evaluation) -> Measured:
    return Measured(evaluation.metrics, evaluation.per_image)


def _where(frozen: FrozenSplit) -> str:
    if frozen.split == Split.TEST:
        return f"Measured on {frozen.images} test images."
    missing = "no test image has been corrected yet"
    return f"Measured on {frozen.images} {frozen.split} images, because {missing}."
