"""What a detector's types are worth: over all images, mixed ones, single-type ones, per batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from inference.labels import cell_ids
from training.dataset import SnapshotImage
from training.metrics import (
    ScoredCells,
    TypedCells,
    calibration_error,
    match,
    mean_average_precision,
    type_confusion,
    type_metrics,
    type_shares,
)


@dataclass(frozen=True)
class TypedImage:
    """One judged image."""

    image: SnapshotImage
    true: TypedCells
    predicted: TypedCells  # the cells a person sees
    scored: ScoredCells  # all, for precision-recall curves
    chances: dict[int, float]  # label → calibrated chance of the predicted type

    @property
    def mixed(self) -> bool:
        """Of a mixed culture, said so or seen so."""
        return self.image.culture == "mixed" or len(set(self.true.types.values())) > 1

    @property
    def whole(self) -> bool:
        """Whether every true cell has a type: else every other cell would count as extra."""
        return len(self.true.types) == cell_ids(self.true.labels).size


def type_figures(images: Sequence[TypedImage], types: Sequence[str]) -> dict[str, Any]:
    """The figures of ``training.evaluate.evaluate`` that know types; without ``types`` only "map".

    "type_accuracy_mixed" and "type_accuracy_single" are over images of mixed and of single-type
    cultures; "mono_mixed_gap" is the second minus the first, and "per_batch" tells all three for
    each batch with both kinds: classifiers that shine on single-type cultures may fail on mixed
    ones (eLife 95273). "type_calibration_error" is the expected calibration error of the matched
    cells' types.
    """
    curves = [each for each in images if each.whole or not types]
    precision = mean_average_precision(
        [each.true for each in curves], [each.scored for each in curves], types
    )
    figures: dict[str, Any] = {"map": precision}
    if not types:
        return figures
    mixed = [each for each in images if each.mixed]
    figures.update(_metrics(images, types))
    figures["type_calibration_error"] = _calibration(images)
    figures["predicted_share"], figures["true_share"] = _shares(images, types)
    figures["predicted_share_mixed"], figures["true_share_mixed"] = _shares(mixed, types)
    figures.update(_gap(images, types))
    figures["per_batch"] = _per_batch(images, types)
    return figures


def image_figures(each: TypedImage, types: Sequence[str]) -> dict[str, Any]:
    """What one image adds to "map" and "type_accuracy": {"map"?, "typed"?, "typed_right"?}.

    "map" is None where the image has no true cell or some cells without a type.
    """
    known = each.whole or not types
    found: dict[str, Any] = {
        "map": mean_average_precision([each.true], [each.scored], types) if known else None
    }
    if types:
        pairs, _, _ = type_confusion([each.true], [each.predicted])
        found["typed"] = sum(pairs.values())
        found["typed_right"] = sum(n for (a, b), n in pairs.items() if a == b)
    return found


def _per_batch(images: Sequence[TypedImage], types: Sequence[str]) -> list[dict[str, Any]]:
    """The gap of each batch with cultures of both kinds."""
    batches: dict[str, list[TypedImage]] = {}
    for each in images:
        batches.setdefault(each.image.group, []).append(each)
    both = {
        name: some for name, some in sorted(batches.items()) if len({e.mixed for e in some}) == 2
    }
    return [
        {"batch": name, "images": len(some), **_gap(some, types)} for name, some in both.items()
    ]


def _metrics(images: Sequence[TypedImage], types: Sequence[str]) -> dict[str, Any]:
    return type_metrics([each.true for each in images], [each.predicted for each in images], types)


def _shares(
    images: Sequence[TypedImage], types: Sequence[str]
) -> tuple[dict[str, float], dict[str, float]]:
    predicted = type_shares([each.predicted for each in images], types)
    return predicted, type_shares([each.true for each in images], types)


def _gap(images: Sequence[TypedImage], types: Sequence[str]) -> dict[str, Any]:
    """Type accuracy on single-type and on mixed images (None without any), and the difference."""
    mixed = _metrics([each for each in images if each.mixed], types)["type_accuracy"]
    single = _metrics([each for each in images if not each.mixed], types)["type_accuracy"]
    gap = None if mixed is None or single is None else single - mixed
    return {"type_accuracy_single": single, "type_accuracy_mixed": mixed, "mono_mixed_gap": gap}


def _calibration(images: Sequence[TypedImage]) -> float | None:
    """Of the chances of matched cells whose true type is known; None without any."""
    chances: list[float] = []
    right: list[bool] = []
    for each in images:
        matching = match(each.true.labels, each.predicted.labels)
        for i, j in zip(matching.true.tolist(), matching.predicted.tolist(), strict=True):
            if i in each.true.types and j in each.chances:
                chances.append(each.chances[j])
                right.append(each.predicted.types.get(j) == each.true.types[i])
    return calibration_error(np.array(chances), np.array(right)) if chances else None
