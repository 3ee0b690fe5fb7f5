"""The small networks of a study: taught in seconds under one budget, and what they say of images.

The segmenter is the product's own, trained by its own training, only narrower; the type head, where
cells have types, is its detector's. What the product's second model says of a mask (does it see the
cell, with which border) is said here by the same network looking at the mirrored image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inference import embeddings
from inference.doubt import Spot
from inference.drawings import SAME, mean_probability
from inference.embeddings import Vectors
from inference.flows import DecodeSettings, decode
from inference.labels import CellGeometry, cell_geometry, cell_ids, iou_pairs, relabel
from inference.mask_evidence import MaskEvidence, mask_evidence, missed_cells
from inference.normalize import network_planes
from inference.segmenter import Segmenter
from inference.uncertainty import Look as Evidence
from inference.uncertainty import Sight, cell_terms
from inference.unseen import unseen_cells
from training.config import TrainConfig
from training.doubt_fit import pixel_of
from training.study_images import StudyImage, StudySet
from training.study_types import TypedCells, Typist
from training.train import train

_FREE = (
    0.7  # share of a mask of the mirrored image that no mask covers, from which it is a missed cell
)
_SEEN_ONCE = 0.5  # cells that such a mask stands for
_DISC = 0.35  # diameters, radius of what a spot looks like


@dataclass(frozen=True)
class Budget:
    """What one training may take, alike for all strategies and rounds."""

    diameter: float = 10.0  # px of the cells at the network's scale
    width: int = 8
    crop: int = 48  # px
    batch: int = 8
    start_steps: int = 240  # of the model that all rounds start from
    steps: int = 250  # of each round
    type_steps: int = 200
    learning_rate: float = 4e-3

    def config(self, steps: int, seed: int, prepared: Path) -> TrainConfig:
        """Settings of a segmenter's training of so many steps."""
        return TrainConfig.for_family(
            "segmenter",
            {
                "epochs": 1,
                "crops_per_epoch": steps * self.batch,
                "batch_size": self.batch,
                "crop": self.crop,
                "width": self.width,
                "diameter": self.diameter,
                "fixed_diameter": self.diameter,
                "learning_rate": self.learning_rate,
                "warmup": 0.1,
                "scale_low": 0.8,
                "scale_high": 1.25,
                "holdout": 0.0,
                "patience": 0.0,
                "ema": 0.97,
                "seed": seed,
                "device": "cpu",
                "prepared": str(prepared),
            },
        )


def taught(snapshot: Path, run: Path, config: TrainConfig, base: Path | None = None) -> Path:
    """``run`` with a segmenter trained on ``snapshot``, from ``base`` or from scratch."""
    train(config, snapshot, run, base=base)
    return run


@dataclass(frozen=True)
class Look:
    """What a model says of one image. Cells are rows in the order of their labels 1 … n."""

    labels: NDArray[Any]  # (h, w)
    geometry: CellGeometry
    terms: tuple[dict[str, float], ...]  # of ``inference.doubt``
    types: tuple[str, ...]  # "" where there are none
    shares: NDArray[np.float32]  # (n, T) of each type
    missed: tuple[Spot, ...]
    unseen: tuple[Spot, ...]
    style: NDArray[np.float32]
    embeddings: NDArray[np.float32]  # (n, d)
    around: NDArray[np.float32]  # (m, d) of discs at ``missed``, then at ``unseen``
    diameter: float  # px of the cells at this scale

    @property
    def by_label(self) -> dict[int, str]:
        """The types of the cells that have one."""
        return {n: name for n, name in enumerate(self.types, 1) if name}


class Model:
    """A taught segmenter and, where there are types, a typist."""

    def __init__(
        self, folder: Path, study: StudySet, diameter: float, typist: Typist | None = None
    ) -> None:
        self.segmenter = Segmenter.load(folder, "cpu")
        self.study = study
        self.diameter = diameter
        self.typist = typist

    def segmented(self, image: StudyImage) -> NDArray[Any]:
        """Its label image (h, w), 1 … n, and nothing else."""
        flows, cellprob, _ = self._outputs(network_planes(image.planes))
        return relabel(decode(flows, cellprob, DecodeSettings()))[0]

    def answer(self, image: StudyImage) -> tuple[NDArray[Any], dict[int, str]]:
        """Label image (h, w) and types by label, as a test asks for them."""
        labels = self.segmented(image)
        if self.typist is None or image.fine is None:
            return labels, {}
        typed = self.typist.typed(image.fine, labels)
        return labels, dict(enumerate(self._names(typed.shares), 1))

    def look(self, image: StudyImage) -> Look:
        """All that strategies may want to know of an image."""
        planes = network_planes(image.planes)
        flows, cellprob, style = self._outputs(planes)
        labels, _ = relabel(decode(flows, cellprob, DecodeSettings()))
        mirrored = self._mirrored(planes)
        sights = _sights(labels, mirrored, cellprob)
        evidence = mask_evidence(labels, cellprob, flows)
        spots = missed_cells(labels, cellprob, self.diameter)
        missed = _missed(labels, mirrored, spots)
        unseen = unseen_cells(image.planes, labels, self.diameter, missed)
        discs = _discs(image.shape, [*missed, *unseen], _DISC * self.diameter)
        typed = None
        if self.typist is not None and image.fine is not None:
            typed = self.typist.typed(image.fine, labels)
        shares = typed.shares if typed else np.zeros((len(sights), 0), np.float32)
        return Look(
            labels=labels,
            geometry=cell_geometry(labels),
            terms=tuple(_terms(sights, evidence, typed)),
            types=self._names(shares) if typed else ("",) * len(sights),
            shares=shares,
            missed=tuple(missed),
            unseen=tuple(unseen),
            style=style.astype(np.float32),
            embeddings=embeddings.measured(image.planes, labels),
            around=_measured(image.planes, discs, len(missed) + len(unseen)),
            diameter=self.diameter,
        )

    def _names(self, shares: NDArray[np.float32]) -> tuple[str, ...]:
        return tuple(self.study.types[int(row.argmax())] for row in shares)

    def _outputs(
        self, planes: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        outputs, style = self.segmenter.flows(planes, self.diameter)
        outputs = np.ascontiguousarray(outputs)
        return outputs[:2], outputs[2], style

    def _mirrored(self, planes: NDArray[np.float32]) -> NDArray[Any]:
        """The masks of the image seen in a mirror, mirrored back."""
        flows, cellprob, _ = self._outputs(np.ascontiguousarray(planes[:, :, ::-1]))
        labels = relabel(decode(flows, cellprob, DecodeSettings()))[0]
        return np.ascontiguousarray(labels[:, ::-1])


class Looks:
    """A model's looks at images, each taken when it is first asked for."""

    def __init__(self, model: Model, images: Sequence[StudyImage]) -> None:
        self.model = model
        self.images = images
        self._taken: dict[int, Look] = {}

    def __getitem__(self, index: int) -> Look:
        if index not in self._taken:
            self._taken[index] = self.model.look(self.images[index])
        return self._taken[index]


def _discs(shape: tuple[int, int], spots: Sequence[Spot], radius: float) -> NDArray[np.int32]:
    """(h, w) with a disc 1 … m of ``radius`` px for each spot."""
    discs = np.zeros(shape, np.int32)
    middles = [pixel_of(spot, shape) for spot in spots]
    for number, (y, x) in enumerate(middles, 1):
        cv2.circle(discs, (x, y), round(radius), number, cv2.FILLED)
    for number, middle in enumerate(middles, 1):  # none is hidden by others
        discs[middle] = number
    return discs


def _measured(planes: NDArray[np.float32], discs: NDArray[np.int32], count: int) -> Vectors:
    """(count, d): zeros of a spot that lies on another."""
    found = np.zeros((count, embeddings.SIZE), np.float32)
    found[cell_ids(discs) - 1] = embeddings.measured(planes, discs)
    return found


def _sights(
    labels: NDArray[Any], mirrored: NDArray[Any], cellprob: NDArray[np.float32]
) -> list[Sight]:
    """Of each mask 1 … n, with the mirrored image's mask of the highest IoU as the second view."""
    scores = mean_probability(labels, cellprob)
    rows, _, iou = iou_pairs(labels, mirrored)
    best = np.zeros(len(scores))
    np.maximum.at(best, rows, iou)
    return [
        Sight(
            float(score),
            float(score) if shared >= SAME else None,
            float(shared) if shared >= SAME else None,
            (),
            committee=True,
        )
        for score, shared in zip(scores, best, strict=True)
    ]


def _terms(
    sights: list[Sight], evidence: MaskEvidence, typed: TypedCells | None
) -> Iterator[dict[str, float]]:
    for row, sight in enumerate(sights):
        seen = Evidence(
            inside=float(evidence.inside[row]),
            flow_error=float(evidence.flow_errors[row]),
            sharpness=float(evidence.sharpness[row]),
            views=float(typed.views[row]) if typed else 0.0,
        )
        shares = tuple(typed.shares[row].tolist()) if typed else ()
        yield cell_terms(replace(sight, probabilities=shares), look=seen)


def _missed(labels: NDArray[Any], mirrored: NDArray[Any], spots: list[Spot]) -> list[Spot]:
    """``spots`` and the masks that the mirrored image alone shows."""
    geometry = cell_geometry(mirrored)
    if not geometry.labels.size:
        return spots
    free = np.bincount(mirrored[labels == 0].ravel(), minlength=int(mirrored.max()) + 1)
    found = list(spots)
    for row, label in enumerate(geometry.labels.tolist()):
        x, y = geometry.centroids[row]
        radius = np.sqrt(geometry.areas[row] / np.pi)
        told = any(np.hypot(x - other[0], y - other[1]) < radius for other in spots)
        if free[label] >= _FREE * geometry.areas[row] and not told:
            found.append((float(x), float(y), _SEEN_ONCE))
    return found
