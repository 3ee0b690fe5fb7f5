"""A model folder judged on one split of a snapshot: the same figures for every family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference import checkpoint
from inference.fusion_rule import SURE
from inference.interruption import asking
from inference.labels import cell_ids
from inference.normalize import check_image, normalize
from inference.segmenter import Segmenter, SegmenterSettings
from training.answers import Answer, Model, judged
from training.dataset import SnapshotImage, open_snapshot
from training.engine import Watch
from training.errors import TrainingError
from training.large import is_large, judged_in_windows
from training.metrics import (
    ScoredCells,
    TypedCells,
    aggregated_jaccard,
    average_precision,
    count_error,
    panoptic_quality,
)
from training.progress import Counter
from training.type_figures import TypedImage, image_figures, type_figures


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

    A large image is seen in windows where it is complete; one with too much to see is left out,
    and the log says so.

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
    for image in Counter(len(images)).each(images):
        check()
        seen = _judged(model, image, check)
        if seen is None:
            continue
        cells, answer = seen
        shown = answer.shown()
        answered.append(_typed(image, cells, answer, shown))
        per_image.append({"image": image.id, "name": image.name, **_figures(cells.labels, shown)})
    if not per_image:
        raise TrainingError(
            f"All labelled images of the {split} split are too large to evaluate on; cut them into"
            " several images."
        )
    keys = ("ap50", "ap75", "ap90", "pq", "aji", "count_error")
    result: dict[str, Any] = {"split": split, "images": len(per_image)}
    result.update({key: float(np.mean([row[key] for row in per_image])) for key in keys})
    if family == "detector":
        types = _known_types(opened.types, [each.true for each in answered])
        result.update(type_figures(answered, types))
        for row, each in zip(per_image, answered, strict=True):
            row.update(image_figures(each, types))
    result["per_image"] = per_image
    return result


def _judged(
    model: Model, image: SnapshotImage, check: Callable[[], None]
) -> tuple[TypedCells, Answer] | None:
    if is_large(image):
        return judged_in_windows(model, image, check)
    with asking(check):
        return judged(image, model(normalize(image.pixels())))


def model_of(folder: Path) -> Model:
    """The model in a folder as a function from an image's planes to its answer."""
    is_segmenter = checkpoint.load_meta(folder).family == "segmenter"
    return _segmenter(folder) if is_segmenter else _detector(folder)


def _segmenter(folder: Path) -> Model:
    segmenter = Segmenter.load(folder)
    fixed = segmenter.meta.fixed_diameter

    def answer(planes: NDArray[np.float32], diameter: float | None = None) -> Answer:
        check_image(planes, segmenter.meta.channels)
        settings = SegmenterSettings(diameter=fixed or diameter)
        return Answer(segmenter.segment_planes(planes, settings).labels, {}, {})

    return answer


def _detector(folder: Path) -> Model:
    # Imported here: torchvision loads slowly, and segmenters need none of it.
    from inference.detector import Detector

    detector = Detector.load(folder)
    names = detector.meta.types

    def answer(planes: NDArray[np.float32], diameter: float | None = None) -> Answer:
        check_image(planes, detector.meta.channels)
        found = detector.look(planes, diameter)
        labels, kept = found.to_labels((planes.shape[1], planes.shape[2]))
        types: dict[int, str] = {}
        chances: dict[int, float] = {}
        if names:
            ids, probabilities = detector.classify_planes(planes, labels, diameter)
            best = probabilities.argmax(axis=1)
            types = {int(label): names[k] for label, k in zip(ids, best, strict=True)}
            chances = dict(zip(ids.tolist(), probabilities.max(axis=1).tolist(), strict=True))
        scores = {n + 1: float(found.scores[k]) for n, k in enumerate(kept)}
        return Answer(labels, types, scores, SURE, chances)

    return answer


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
