"""One pair of models on one image: what the rest of the program knows of inference."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference import embeddings, uncertainty
from inference.detector import Detections, Detector
from inference.doubt import DoubtRule, Spot
from inference.errors import InferenceError
from inference.flow_cache import pack
from inference.fusion import Fused, FusedCell, fuse
from inference.fusion_rule import UNFITTED, FusionRule
from inference.labels import CellGeometry, cell_geometry
from inference.normalize import check_image, normalize
from inference.segmenter import Segmentation, Segmenter, SegmenterSettings
from inference.uncertainty import Sight
from inference.unseen import suspected
from inference.windows import LARGE, see_in_windows

_SPOTS = 1000  # places of missed cells that are told of an image
PAIRS_KEPT = 2  # loaded at a time in one worker: the current pair and a candidate


@dataclass(frozen=True)
class CellPrediction:
    """One predicted cell; ``type`` is None without a detector or types."""

    label: int
    type: str | None
    score: float  # 0 … 1, that the cell exists
    probabilities: dict[str, float]
    uncertainty: float  # 0 … 1, the chance that it is wrong
    terms: dict[str, float]  # of ``inference.doubt``, 0 … 1 each
    seen_by: str  # "both" | "segmenter" | "detector"
    bbox: tuple[int, int, int, int]  # x0, y0, x1, y1 px, half-open
    area: int  # px²
    centroid: tuple[float, float]  # x, y px
    inner: tuple[int, int]  # x, y of the mask's pixel nearest to it
    embedding: bytes = b""  # as ``embeddings.pack`` writes it


@dataclass(frozen=True)
class ImagePrediction:
    """What a model pair says of an image."""

    labels: NDArray[Any]  # (H, W) uint16 | uint32, 1 … n
    cells: tuple[CellPrediction, ...]
    uncertainty: float  # 0 … 1, the share of its cells that are likely wrong or missed
    reasons: tuple[dict[str, Any], ...]  # {"code", "text", "value"}
    diameter: float  # px
    seconds: float
    flows: bytes = b""  # of the segmenter, as ``flow_cache.pack`` writes them; of no large image
    missed: tuple[Spot, ...] = ()  # the places where most cells seem to be missing
    missing: float = 0.0  # cells, at all such places
    style: bytes = b""  # of the segmenter, as ``embeddings.pack`` writes it; of no large image


class Predictor:
    """A segmenter and, once one is trained, a detector."""

    def __init__(self, segmenter: Segmenter, detector: Detector | None) -> None:
        if detector is not None and detector.meta.channels != segmenter.meta.channels:
            raise InferenceError(
                f"The segmenter sees {', '.join(segmenter.meta.channels)} but the detector"
                f" {', '.join(detector.meta.channels)}; they cannot judge the same image."
            )
        self.segmenter = segmenter
        self.detector = detector

    def predict(
        self,
        image: NDArray[Any],
        rule: FusionRule = UNFITTED,
        on_window: Callable[[], None] | None = None,
        type_known: bool = False,
    ) -> ImagePrediction:
        """Typed cells of ``image`` (C, H, W), channels as the models' meta says.

        With ``type_known``, as in a single-type culture, no cell's type is in doubt.

        An image larger than ``windows.LARGE`` is seen in windows, before each of which
        ``on_window`` is called; its flows are not kept.
        """
        began = time.perf_counter()
        if image.ndim == 3 and image.shape[1] * image.shape[2] > LARGE:
            check_image(image, self.segmenter.meta.channels)
            with self.segmenter.sparing():
                seen = see_in_windows(self, image, rule, on_window=on_window)
            fused = Fused(seen.labels, seen.cells, seen.missed, seen.peaks)
            doubt = _Doubt(rule.doubt, type_known)
            found = self._described(fused, seen.geometry, doubt)
            return replace(found, diameter=seen.diameter, seconds=time.perf_counter() - began)
        planes = self.planes(image)
        segmentation, detections = self.seen_planes(planes)
        fused = fuse(segmentation, detections, planes, self.detector, rule)
        geometry = cell_geometry(fused.labels)
        found = self._described(fused, geometry, _Doubt(rule.doubt, type_known))
        return replace(
            found,
            diameter=float(segmentation.diameter),
            flows=pack(segmentation.flows, segmentation.cellprob, segmentation.niter),
            style=embeddings.pack(segmentation.style[None])[0],
            seconds=time.perf_counter() - began,
        )

    def planes(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """``image`` (C, H, W), checked and normalised."""
        check_image(image, self.segmenter.meta.channels)
        return normalize(image)

    def seen_planes(
        self, planes: NDArray[np.float32], diameter: float | None = None
    ) -> tuple[Segmentation, Detections | None]:
        """Each model's cells of normalised ``planes`` (C, H, W) before fusion.

        Without ``diameter`` (px) the segmenter estimates it.
        """
        settings = SegmenterSettings(diameter=diameter)
        segmentation = self.segmenter.segment_planes(planes, settings)
        if self.detector is None:
            return segmentation, None
        zoom = self.detector.zoom(segmentation.diameter)
        return segmentation, self.detector.detect_planes(planes, zoom)

    def _described(self, fused: Fused, geometry: CellGeometry, doubt: _Doubt) -> ImagePrediction:
        cells = tuple(
            self._cell(cell, geometry, index, doubt) for index, cell in enumerate(fused.cells)
        )
        spots, _ = doubt.rule.spots(fused.missed, suspected(fused.peaks))
        missed = sum(count for _, _, count in spots)
        reasons = uncertainty.reasons(
            [c.terms for c in cells], [c.seen_by for c in cells], self.detector is not None, missed
        )
        return ImagePrediction(
            labels=fused.labels,
            cells=cells,
            uncertainty=uncertainty.image_uncertainty([c.uncertainty for c in cells], missed),
            reasons=tuple(reasons),
            diameter=0.0,
            seconds=0.0,
            missed=tuple(sorted(spots, key=lambda spot: -spot[2])[:_SPOTS]),
            missing=missed,
        )

    def _cell(
        self, cell: FusedCell, geometry: CellGeometry, index: int, doubt: _Doubt
    ) -> CellPrediction:
        types = self.detector.meta.types if self.detector is not None else ()
        terms = fused_terms(cell, self.detector is not None, doubt.type_known)
        x0, y0, x1, y1 = (int(v) for v in geometry.boxes[index])
        return CellPrediction(
            label=cell.label,
            type=types[int(np.argmax(cell.probabilities))] if cell.probabilities else None,
            score=cell.chance,
            probabilities=dict(zip(types, cell.probabilities, strict=True)),
            uncertainty=doubt.rule.wrong(terms),
            terms=terms,
            seen_by=cell.seen_by,
            bbox=(x0, y0, x1, y1),
            area=int(geometry.areas[index]),
            centroid=(float(geometry.centroids[index, 0]), float(geometry.centroids[index, 1])),
            inner=(int(geometry.inner[index, 0]), int(geometry.inner[index, 1])),
            embedding=cell.embedding,
        )


@dataclass(frozen=True)
class _Doubt:
    """How doubt is judged of one image."""

    rule: DoubtRule
    type_known: bool


def fused_terms(cell: FusedCell, committee: bool, type_known: bool = False) -> dict[str, float]:
    """The terms of ``inference.doubt`` of a fused cell; ``committee``: a detector was asked."""
    sight = Sight(
        cell.segmenter_score, cell.detector_score, cell.iou, cell.probabilities, committee=committee
    )
    return uncertainty.cell_terms(sight, cell.chance, cell.look, type_known)


@lru_cache(maxsize=PAIRS_KEPT)
def load_predictor(segmenter_folder: Path, detector_folder: Path | None) -> Predictor:
    """The pair in two model folders, loaded once per worker process.

    Folders of model versions never change, so the path is the key.
    """
    detector = Detector.load(detector_folder) if detector_folder is not None else None
    return Predictor(Segmenter.load(segmenter_folder), detector)
