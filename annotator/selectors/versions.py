"""Reads over model versions: the current pair, and versions by the name people type."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.db.models import Prefetch, QuerySet

from annotator.exceptions import BadInput, NotHere
from annotator.models import Dataset, Evaluation, Family, Fusion, ModelVersion, Stage

_VERSION = re.compile(rf"^({'|'.join(Family.values)})-([0-9]{{1,9}})$")


@dataclass(frozen=True)
class Pair:
    """The models that predict together; the detector may be absent."""

    segmenter: ModelVersion
    detector: ModelVersion | None

    def __str__(self) -> str:
        return f"{self.segmenter} with {self.detector}" if self.detector else str(self.segmenter)


def current_version(dataset: Dataset, family: str) -> ModelVersion | None:
    """The version of ``family`` that predicts now, if any."""
    return ModelVersion.objects.filter(dataset=dataset, family=family, stage=Stage.CURRENT).first()


def current_pair(dataset: Dataset) -> Pair | None:
    """The current segmenter and detector; ``None`` before there is a segmenter."""
    current = {
        version.family: version
        for version in ModelVersion.objects.filter(dataset=dataset, stage=Stage.CURRENT)
    }
    segmenter = current.get(Family.SEGMENTER)
    return Pair(segmenter, current.get(Family.DETECTOR)) if segmenter else None


def fusion_of(pair: Pair) -> Fusion | None:
    """How the pair's cells are fused, once that was fitted."""
    if pair.detector is None:
        return None
    return Fusion.objects.filter(segmenter=pair.segmenter, detector=pair.detector).first()


def is_version_name(text: str) -> bool:
    """Whether ``text`` has the form of a version, e.g. ``segmenter-3``."""
    return _VERSION.match(text) is not None


def version_by_name(dataset: Dataset, name: str) -> ModelVersion:
    """The version that commands and pages call ``name``; says which there are when absent."""
    match = _VERSION.match(name)
    if not match:
        raise BadInput(f"{name!r} is no model version; it looks like segmenter-1 or detector-2.")
    found = ModelVersion.objects.filter(
        dataset=dataset, family=match[1], number=int(match[2])
    ).first()
    if found is None:
        there = [version.version for version in versions_of(dataset)]
        raise NotHere(
            f"{dataset.name} has no version {name};"
            f" it has {', '.join(there) if there else 'none yet'}."
        )
    return found


def versions_of(*datasets: Dataset | int) -> QuerySet[ModelVersion]:
    """All versions of these data sets, newest first, with what a page shows of them."""
    return (
        ModelVersion.objects.filter(dataset__in=datasets)
        .select_related("parent", "run__snapshot")
        .defer("run__snapshot__entries", "run__log")
        .prefetch_related(evaluations(), "fusions__segmenter")
    )


def evaluations() -> Prefetch:
    """Each version's evaluations, oldest first, without the figures of every single image."""
    return Prefetch("evaluations", Evaluation.objects.defer("per_image").order_by("id"))
