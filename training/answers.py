"""What a model says about one image of a snapshot, beside what is true there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inference.labels import cell_ids, relabel
from training.dataset import SnapshotImage
from training.metrics import TypedCells


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


class Model(Protocol):
    """Looks at planes (C, H, W) as ``normalize`` gives them; without ``diameter`` (px) it finds
    out itself how large the cells are.
    """

    def __call__(self, planes: NDArray[np.float32], diameter: float | None = None) -> Answer: ...


def judged(image: SnapshotImage, answer: Answer) -> tuple[TypedCells, Answer]:
    """Truth and answer inside the complete regions: elsewhere nobody knows what is true.

    A cell counts where most of it lies inside, whole. True cells are numbered anew from 1.
    """
    labels = image.labels()
    return compared(labels, image.trusted(labels.shape), image.cell_types, answer)


def compared(
    labels: NDArray[Any],
    trusted: NDArray[np.bool_] | None,
    cell_types: Mapping[int, str],
    answer: Answer,
) -> tuple[TypedCells, Answer]:
    """``judged`` of arrays; ``trusted`` is where the labels are complete, None for everywhere."""
    # People's ids may be of any size, and all that follows counts by id.
    labels, old = relabel(labels)
    types = {
        new: cell_types[label] for new, label in enumerate(old.tolist(), 1) if label in cell_types
    }
    if trusted is None:
        return TypedCells(labels, types), answer
    labels, inside = _mostly_in(labels, trusted), _mostly_in(answer.labels, trusted)
    kept = replace(answer, labels=inside, types=_present(answer.types, inside))
    return TypedCells(labels, _present(types, labels)), kept


def _present(types: dict[int, str], labels: NDArray[Any]) -> dict[int, str]:
    """The types of the cells that ``labels`` has."""
    present = set(cell_ids(labels).tolist())
    return {label: name for label, name in types.items() if label in present}


def _mostly_in(labels: NDArray[Any], trusted: NDArray[np.bool_]) -> NDArray[Any]:
    areas = np.bincount(labels.ravel())
    inside = np.bincount(labels.ravel(), weights=trusted.ravel(), minlength=areas.size)
    return np.where((2 * inside > areas)[labels], labels, 0).astype(labels.dtype)
