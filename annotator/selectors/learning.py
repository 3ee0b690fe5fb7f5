"""How the models grew with people's corrections, and whether more of them would help."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.models import Dataset, Evaluation, Family, ModelVersion, Split
from annotator.selectors.annotated import Annotated, Spent, Times, annotated_in, annotated_now
from annotator.selectors.effort import effort
from training import learning_curve as curves

Values = NDArray[np.float64]
_DRAWN = 40  # points of a fitted curve

# What an image adds to a figure, and to what that is a part of; None: each image counts as one.
_PARTS: dict[str, tuple[str, str | None]] = {
    "ap50": ("ap50", None),
    "type_accuracy": ("typed_right", "typed"),
}
FIGURES = tuple(_PARTS)
_NAMES = {"ap50": "AP", "type_accuracy": "type accuracy"}
_FIGURES: dict[str, tuple[str, ...]] = {Family.SEGMENTER: ("ap50",), Family.DETECTOR: FIGURES}


@dataclass(frozen=True)
class _Point:
    """A version, with what people had put in when its snapshot was taken."""

    version: ModelVersion
    annotated: Annotated
    spent: Spent


@dataclass(frozen=True)
class _Figure:
    """One figure of one version on one test set."""

    value: float
    resampled: Values
    interval: tuple[float, float] | None

    def told(self) -> dict[str, float | None]:
        low, high = self.interval or (None, None)
        return {"value": self.value, "low": low, "high": high}


@dataclass(frozen=True)
class _TestSet:
    """A frozen set of images, and how good versions are on it."""

    name: str
    split: str
    images: int
    created_at: datetime
    figures: dict[str, dict[int, _Figure]]  # by name of the figure and id of the version

    @property
    def versions(self) -> set[int]:
        return {pk for by_version in self.figures.values() for pk in by_version}

    def told(self) -> dict[str, Any]:
        shown = ("name", "split", "images", "created_at")
        return {key: getattr(self, key) for key in shown} | {"versions": len(self.versions)}


@dataclass(frozen=True)
class _Pace:
    """Minutes by cells: as the versions took them, and beyond at the pace of late."""

    cells: list[int]  # rising, and so are …
    minutes: list[float]  # … these, though images with cells may have been deleted since
    per_cell: float

    @classmethod
    def of(cls, known: Iterable[tuple[int, float | None]], seconds: float | None) -> _Pace | None:
        """None when nothing tells a time. ``seconds``: what a cell takes of late, if known."""
        told = dict(sorted((cells, minutes) for cells, minutes in known if minutes is not None))
        if not told:
            return None
        cells, minutes = list(told), list(accumulate(told.values(), max))
        per_cell = minutes[-1] / max(1, cells[-1]) if seconds is None else seconds / 60
        return cls(cells, minutes, per_cell)

    def at(self, cells: float) -> float | None:
        """Minutes of work that so many cells take; None below what was measured."""
        if cells < self.cells[0]:
            return None
        beyond = max(0.0, cells - self.cells[-1]) * self.per_cell
        return float(np.interp(cells, self.cells, self.minutes)) + beyond


@dataclass(frozen=True)
class _Ahead:
    """Where we are, to look ahead from."""

    cells: int
    pace: _Pace | None


def learning(dataset: Dataset) -> dict[str, Any]:
    """Curves by family with what they foretell, and the work by models.

    Keys as in the REST contract of ``learning-curve/``.
    """
    times = Times(dataset)
    points = _points(dataset, times)
    now, spent = annotated_now(dataset), times.until()
    work = effort(dataset)
    known = [(each.annotated.cells, each.spent.minutes) for each in points]
    if now.cells > max((cells for cells, _ in known), default=0):
        known.append((now.cells, spent.minutes))
    of_late = next((row["seconds_per_cell"] for row in work if row["seconds_per_cell"]), None)
    ahead = _Ahead(now.cells, _Pace.of(known, of_late))
    evaluations = _evaluations(points)
    return {
        "now": _put_in(now, spent),
        "families": [
            _family(
                family,
                [point for point in points if point.version.family == family],
                [each for each in evaluations if each.version.family == family],
                ahead,
            )
            for family in Family.values
        ],
        "work": work,
    }


def _points(dataset: Dataset, times: Times) -> list[_Point]:
    """Versions that runs made of snapshots of ours; not those made again only to compare."""
    versions = list(
        ModelVersion.objects.filter(
            dataset=dataset, run__snapshot__isnull=False, run__is_rebuild=False
        )
        .select_related("run__snapshot")
        .defer("meta", "run__snapshot__entries", "run__log")
        .order_by("number")
    )
    taken = [(version, version.run.snapshot) for version in versions if version.run.snapshot]
    annotated = annotated_in(dataset, [snapshot for _, snapshot in taken])
    return [
        _Point(version, annotated[snapshot.pk], times.until(snapshot.created_at))
        for version, snapshot in taken
        if snapshot.pk in annotated
    ]


def _evaluations(points: Sequence[_Point]) -> list[Evaluation]:
    """On test and validation images, oldest first."""
    found = Evaluation.objects.filter(
        version__in=[point.version.pk for point in points],
        split__in=[Split.TEST, Split.VALIDATION],
    )
    return list(found.select_related("version").defer("version__meta").order_by("id"))


def _put_in(annotated: Annotated, spent: Spent) -> dict[str, Any]:
    return {"annotated_cells": annotated.cells, "images": annotated.images, **asdict(spent)}


def _family(
    family: str, points: Sequence[_Point], evaluations: Sequence[Evaluation], ahead: _Ahead
) -> dict[str, Any]:
    sets = _test_sets(evaluations)
    shared = next((each for each in sets if len(each.versions) > 1), None)
    reference = shared or next(iter(sets), None)
    figures = [
        figure
        for figure in _FIGURES[family]
        if figure == "ap50" or any(each.figures[figure] for each in sets)
    ]
    return {
        "family": family,
        "test_sets": [each.told() for each in sets],
        "reference": reference.name if reference else None,
        "points": [_told(point, sets, figures) for point in points],
        "fits": [_fit(figure, points, sets, ahead) for figure in figures],
    }


def _told(point: _Point, sets: Sequence[_TestSet], figures: Sequence[str]) -> dict[str, Any]:
    pk = point.version.pk
    measured = [
        {
            "test_set": each.name,
            **{
                figure: found.told() if (found := each.figures[figure].get(pk)) else None
                for figure in FIGURES
            },
        }
        for each in sets
        if pk in each.versions
    ]
    return {
        "version": point.version.version,
        "created_at": point.version.created_at,
        **_put_in(point.annotated, point.spent),
        "measured": measured,
    }


def _test_sets(evaluations: Sequence[Evaluation]) -> list[_TestSet]:
    """The newest first. Validation images only serve where no test image was ever measured on."""
    splits = {each.split for each in evaluations}
    split = Split.TEST if Split.TEST in splits else Split.VALIDATION
    by_hash: dict[str, list[Evaluation]] = {}
    for each in evaluations:
        if each.split == split:
            by_hash.setdefault(each.frozen_hash, []).append(each)
    sets = [
        _TestSet(
            name=digest[:12],
            split=split,
            images=max(each.images for each in some),
            created_at=min(each.created_at for each in some),
            figures={figure: _resampled(some, figure) for figure in FIGURES},
        )
        for digest, some in by_hash.items()
    ]
    return sorted(sets, key=lambda each: each.created_at, reverse=True)


def _resampled(evaluations: Sequence[Evaluation], figure: str) -> dict[int, _Figure]:
    """A figure of each version on one test set, with what resampling its images makes of it."""
    having = [each for each in evaluations if each.metrics.get(figure) is not None]
    if not having:
        return {}
    parts, whole = _parts(having, figure)
    values = [float(each.metrics[figure]) for each in having]
    counted = (whole > 0).sum(axis=1)
    resampled = (
        curves.resample(parts, whole) if parts.size else np.zeros((len(having), curves.RESAMPLES))
    )
    # Versions measured by older releases have no figures of single images.
    resampled[counted == 0] = np.array(values)[counted == 0, None]
    return {
        each.version_id: _Figure(value, row, curves.interval(row, value, int(images)))
        for each, value, row, images in zip(having, values, resampled, counted, strict=True)
    }


def _parts(evaluations: Sequence[Evaluation], figure: str) -> tuple[Values, Values]:
    """What each image adds for each version, and to what it is a part of: (V, n) both."""
    part, of = _PARTS[figure]
    images = sorted({row["image"] for each in evaluations for row in each.per_image})
    column = {image: index for index, image in enumerate(images)}
    parts, whole = (np.zeros((len(evaluations), len(images))) for _ in range(2))
    for number, each in enumerate(evaluations):
        for row in each.per_image:
            if row.get(part) is not None:
                parts[number, column[row["image"]]] = row[part]
                whole[number, column[row["image"]]] = 1.0 if of is None else row.get(of) or 0.0
    return parts, whole


def _fit(
    figure: str, points: Sequence[_Point], sets: Sequence[_TestSet], ahead: _Ahead
) -> dict[str, Any]:
    """The curve through all versions; null when they are too few, and the sentence says so."""
    measured = [
        curves.Measured(
            point.version.version, each.name, point.annotated.cells, found.value, found.resampled
        )
        for each in sets
        for point in points
        if (found := each.figures[figure].get(point.version.pk))
    ]
    try:
        curve = curves.fit_curve(measured)
    except curves.NoCurve as error:
        return {"figure": figure, "curve": None, "sentence": error.message}
    taught = [point.annotated.cells for point in points if point.annotated.cells]
    cells = ahead.cells or max(taught)
    gain, far = curve.gain(cells), curve.gain(cells, curves.FAR)
    name = next(each.name for each in sets if each.name in curve.level)
    told: dict[str, Any] = {
        "test_set": name,
        "versions": curve.versions,
        "level": curve.level[name],
        "rate": curve.rate,
        "power": curve.power,
        "verdict": curves.verdict(far),
        "next": _gain(gain, curves.NEXT, ahead),
        "far": _gain(far, curves.FAR, ahead),
        "drawn": _drawn(curve, name, (min(taught), max(*taught, cells + curves.NEXT)), ahead.pace),
    }
    return {
        "figure": figure,
        "curve": told,
        "sentence": curves.sentence(gain, far, _NAMES[figure], told["next"]["minutes"]),
    }


def _gain(gain: curves.Gain, cells: int, ahead: _Ahead) -> dict[str, Any]:
    minutes = ahead.pace.per_cell * cells if ahead.pace else None
    return {"cells": cells, "minutes": minutes, **asdict(gain)}


def _drawn(
    curve: curves.Curve, name: str, reach: tuple[int, int], pace: _Pace | None
) -> list[dict[str, Any]]:
    cells = np.linspace(*reach, _DRAWN)
    low, high = curve.band(cells, name)
    rows = zip(cells, curve.value(cells, name), low, high, strict=True)
    return [
        {
            "cells": float(n),
            "minutes": pace.at(float(n)) if pace else None,
            "value": float(value),
            "low": float(lower),
            "high": float(upper),
        }
        for n, value, lower, upper in rows
    ]
