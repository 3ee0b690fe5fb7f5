"""A model folder judged on one split of a snapshot: the same figures for every family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference import checkpoint
from inference.fusion_rule import SURE
from inference.interruption import asking
from inference.labels import cell_ids, relabel
from inference.segmenter import Segmenter
from training.dataset import SnapshotImage, open_snapshot
from training.engine import Watch
from training.errors import TrainingError
from training.metrics import (
    ScoredCells,
    TypedCells,
    aggregated_jaccard,
    average_precision,
    count_error,
    panoptic_quality,
)
from training.type_figures import TypedImage, type_figures


@dataclass(frozen=True)
class Answer:
    """What a model says about one image; ``types`` and ``scores`` by label (detectors).

    Cells scored below ``least`` make the precision-recall curves of mAP whole; nobody is shown
    them, so all other figures are without them.
    """

    labels: NDArray[Any]
    types: dict[int, str]
    scores: dict[int, float]
    least: float = 0.0
    chances: dict[int, float] = field(default_factory=dict)  # label → calibrated, of its type

    def shown(self) -> Answer:
        """Only the cells a person sees."""
        low = [label for label, score in self.scores.items() if score < self.least]
        labels = np.where(np.isin(self.labels, low), 0, self.labels) if low else self.labels
        types = {label: name for label, name in self.types.items() if label not in low}
        return replace(self, labels=labels, types=types)


Model = Callable[[NDArray[Any]], Answer]


def evaluate(
    model_folder: Path,
    snapshot: Path,
    split: str,
    should_stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Figures of one model on the labelled images of ``split``.

    {"images", "ap50", "ap75", "ap90", "pq", "aji", "count_error", "per_image": [{"image", "name",
    "ap50", …}]}: means over images, AP in cellpose's sense, cells matched at an IoU of 0.5. A
    detector adds "map" (COCO, IoU .50:.05:.95), and with types what ``type_figures`` tells:
    "per_type", "type_accuracy", "macro_f1", "confusion", "mono_mixed_gap" … Only what lies in
    complete regions counts, cells and types alike.

    A detector is measured alone: one that scales each image by its cells ("scaling": "image")
    estimates their diameter, where production hands it the paired segmenter's. So its figures
    do not change with the segmenter, and two detectors are compared on equal terms.

    Raises ``TrainingError`` when the split has no labelled image and ``Cancelled`` when
    ``should_stop`` says so, which is asked before each image and each of its tiles.
    """
    opened = open_snapshot(snapshot)
    images = opened.split(split)
    if not images:
        raise TrainingError(f"The {split} split has no labelled image to evaluate on.")
    family = checkpoint.load_meta(model_folder).family
    model = model_of(model_folder)
    answered: list[TypedImage] = []
    per_image: list[dict[str, Any]] = []
    check = Watch(should_stop=should_stop).check
    for image in images:
        check()
        with asking(check):
            cells, answer = judged(image, model(image.pixels()))
        shown = answer.shown()
        answered.append(_typed(image, cells, answer, shown))
        per_image.append({"image": image.id, "name": image.name, **_figures(cells.labels, shown)})
    keys = ("ap50", "ap75", "ap90", "pq", "aji", "count_error")
    result: dict[str, Any] = {"split": split, "images": len(images)}
    result.update({key: float(np.mean([row[key] for row in per_image])) for key in keys})
    if family == "detector":
        types = _known_types(opened.types, [each.true for each in answered])
        result.update(type_figures(answered, types))
    result["per_image"] = per_image
    return result


def model_of(folder: Path) -> Model:
    """The model in a folder as a function from an image (C, H, W) to its answer."""
    is_segmenter = checkpoint.load_meta(folder).family == "segmenter"
    return _segmenter(folder) if is_segmenter else _detector(folder)


def _segmenter(folder: Path) -> Model:
    segmenter = Segmenter.load(folder)
    return lambda pixels: Answer(segmenter.segment(pixels).labels, {}, {})


def _detector(folder: Path) -> Model:
    # Imported here: torchvision loads slowly, and segmenters need none of it.
    from inference.detector import Detector

    detector = Detector.load(folder)
    names = detector.meta.types

    def answer(pixels: NDArray[Any]) -> Answer:
        found = detector.detect(pixels)
        labels, kept = found.to_labels((pixels.shape[1], pixels.shape[2]))
        types: dict[int, str] = {}
        chances: dict[int, float] = {}
        if names:
            ids, probabilities = detector.classify(pixels, labels)
            best = probabilities.argmax(axis=1)
            types = {int(label): names[k] for label, k in zip(ids, best, strict=True)}
            chances = dict(zip(ids.tolist(), probabilities.max(axis=1).tolist(), strict=True))
        scores = {n + 1: float(found.scores[k]) for n, k in enumerate(kept)}
        return Answer(labels, types, scores, SURE, chances)

    return answer


def judged(image: SnapshotImage, answer: Answer) -> tuple[TypedCells, Answer]:
    """Truth and answer inside the complete regions: elsewhere nobody knows what is true.

    A cell counts where most of it lies inside, whole. True cells are numbered anew from 1.
    """
    # People's ids may be of any size, and all that follows counts by id.
    labels, old = relabel(image.labels())
    types = {
        new: image.cell_types[label]
        for new, label in enumerate(old.tolist(), 1)
        if label in image.cell_types
    }
    trusted = image.trusted(labels.shape)
    if trusted is None:
        return TypedCells(labels, types), answer
    labels, inside = _mostly_in(labels, trusted), _mostly_in(answer.labels, trusted)
    judged = replace(answer, labels=inside, types=_present(answer.types, inside))
    return TypedCells(labels, _present(types, labels)), judged


def _present(types: dict[int, str], labels: NDArray[Any]) -> dict[int, str]:
    """The types of the cells that ``labels`` has."""
    present = set(cell_ids(labels).tolist())
    return {label: name for label, name in types.items() if label in present}


def _mostly_in(labels: NDArray[Any], trusted: NDArray[np.bool_]) -> NDArray[Any]:
    areas = np.bincount(labels.ravel())
    inside = np.bincount(labels.ravel(), weights=trusted.ravel(), minlength=areas.size)
    return np.where((2 * inside > areas)[labels], labels, 0).astype(labels.dtype)


def _figures(true: NDArray[Any], answer: Answer) -> dict[str, float]:
    ap50, ap75, ap90 = (float(v) for v in average_precision([true], [answer.labels])[0])
    return {
        "ap50": ap50,
        "ap75": ap75,
        "ap90": ap90,
        "pq": panoptic_quality(true, answer.labels),
        "aji": aggregated_jaccard(true, answer.labels),
        "count_error": count_error(true, answer.labels),
        "cells": cell_ids(true).size,
    }


def _typed(image: SnapshotImage, true: TypedCells, answer: Answer, shown: Answer) -> TypedImage:
    predicted = TypedCells(shown.labels, shown.types)
    scored = ScoredCells(answer.labels, answer.types, answer.scores)
    return TypedImage(image, true, predicted, scored, answer.chances)


def _known_types(types: Sequence[str], true: Sequence[TypedCells]) -> tuple[str, ...]:
    """The data set's types, or whatever the cells carry when it names none."""
    return tuple(types) or tuple(sorted({name for cells in true for name in cells.types.values()}))
