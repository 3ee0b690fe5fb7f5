"""The detector at work: Mask R-CNN's boxes, masks and scores, and types of given instances."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from inference import calibration, checkpoint, embeddings, uncertainty
from inference.checkpoint import ModelMeta
from inference.detector_network import DetectorNetwork
from inference.devices import fast_in_bfloat16, pick_device
from inference.errors import InferenceError
from inference.fusion_rule import SURE
from inference.interruption import ask
from inference.labels import CellGeometry, cell_geometry, median_diameter, validate
from inference.normalize import check_image, normalize, resize
from inference.threads import Threads
from inference.type_head import cell_windows

TILE = 512  # px at the network's scale; larger images are seen in overlapping tiles
MARGIN = 96  # px by which a tile looks beyond the part it answers for: more than a cell
WINDOWS_AT_ONCE = 128
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class BoxMask:
    """A binary mask (h, w) whose upper left pixel is (x0, y0) of the image."""

    x0: int
    y0: int
    mask: NDArray[np.bool_]

    @property
    def place(self) -> tuple[slice, slice]:
        """Its rows and columns in the image."""
        height, width = self.mask.shape
        return slice(self.y0, self.y0 + height), slice(self.x0, self.x0 + width)


@dataclass(frozen=True)
class Detections:
    """Cells of one image, by descending score; masks may overlap."""

    boxes: Floats  # (n, 4) x0, y0, x1, y1 in px of the input image
    scores: Floats  # (n,) 0 … 1, that a cell is there
    masks: list[BoxMask]

    def __len__(self) -> int:
        return len(self.masks)

    def to_labels(self, shape: tuple[int, int]) -> tuple[NDArray[Any], NDArray[np.intp]]:
        """A label image (H, W), and which detection each label 1 … n is.

        Where masks overlap, the higher score wins; a cell with less than half of its mask left is
        another sight of the winner and left out. Cells keep their largest connected piece.
        """
        dtype = np.uint16 if len(self) <= 0xFFFF else np.uint32
        labels = np.zeros(shape, dtype)
        kept: list[int] = []
        for index in np.argsort(-self.scores, kind="stable"):
            box = self.masks[index]
            free = box.mask & (labels[box.place] == 0)
            if 2 * free.sum() <= box.mask.sum():
                continue
            kept.append(int(index))
            labels[box.place][largest_piece(free)] = len(kept)
        return labels, np.array(kept, np.intp)

    def sure(self) -> Detections:
        """Those a person would be shown; the others only make precision-recall curves whole."""
        return self.rows(np.flatnonzero(self.scores >= SURE))

    def rows(self, index: NDArray[np.intp]) -> Detections:
        """Only these detections."""
        masks = [self.masks[i] for i in index]
        return Detections(self.boxes[index], self.scores[index], masks)


def largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest 8-connected piece of a mask (h, w)."""
    pieces, count = ndimage.label(mask, np.ones((3, 3)))
    if count < 2:
        return mask
    return np.asarray(pieces == 1 + np.bincount(pieces.ravel())[1:].argmax())


@dataclass(frozen=True)
class TypedCells:
    """What a detector's type head says of given instances."""

    ids: NDArray[np.int64]  # (n,) ascending
    probabilities: Floats  # (n, T) calibrated
    views: NDArray[np.float64]  # (n,) 0 … 1, what mirrored views disagree on
    embeddings: Floats  # (n, 64) of unit length: near ones look alike; zeros without types


class Detector:
    """A loaded detector. ``meta.types`` names the columns of type probabilities."""

    def __init__(self, network: DetectorNetwork, meta: ModelMeta, device: torch.device) -> None:
        self.network = network.eval()
        self.meta = meta
        self.device = device
        self.half = fast_in_bfloat16(device)
        self.threads = Threads(device)

    @classmethod
    def load(cls, folder: Path, device: str | None = None) -> Detector:
        """From a model folder; ``InferenceError`` if it holds no whole detector."""
        state, meta = checkpoint.load(folder)
        if meta.family != "detector":
            raise InferenceError(f"The folder {folder} holds a {meta.family}, not a detector.")
        network = DetectorNetwork(meta.architecture, len(meta.channels), len(meta.types))
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise InferenceError(
                f"The weights in {folder} do not fit the network its meta.json describes."
            ) from error
        place = pick_device(device)
        network.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(network, meta, place)

    @property
    def _own_scale(self) -> bool:
        """Whether each image has a scale of its own."""
        return self.meta.settings.get("scaling") == "image" and not self.meta.fixed_diameter

    def zoom(self, diameter: float | None = None) -> float:
        """Network pixels per image pixel.

        Sizes tell types apart, so all images of a data set are scaled alike ("data") unless its
        images were taken at very different magnifications ("image", see the training).
        """
        known = float(self.meta.settings.get("data_diameter", self.meta.diameter))
        if diameter and self.meta.settings.get("scaling") == "image":
            known = diameter
        return self.meta.diameter / (self.meta.fixed_diameter or known)

    @torch.no_grad()
    def detect(self, image: NDArray[Any], diameter: float | None = None) -> Detections:
        """Cells of ``image`` (C, H, W), any real dtype; ``diameter`` px is a hint of their size."""
        check_image(image, self.meta.channels)
        return self.look(normalize(image), diameter)

    def look(self, planes: Floats, diameter: float | None = None) -> Detections:
        """``detect`` on planes (C, H, W) that ``normalize`` gave."""
        if self._own_scale and not diameter:
            diameter = self.estimate_diameter(planes)
        return self.detect_planes(planes, self.zoom(diameter))

    def estimate_diameter(self, planes: Floats) -> float | None:
        """Median diameter (px) of the cells, from looks at half, once and twice the usual scale.

        The look whose cells come out nearest to the network's own diameter is believed. None
        when no look shows a cell.
        """
        best, nearest = None, np.inf
        for factor in (0.5, 1.0, 2.0):
            zoom = self.zoom() * factor
            areas = [mask.mask.sum() for mask in self.detect_planes(planes, zoom).sure().masks]
            if not areas:
                continue
            found = float(np.median(2 * np.sqrt(np.array(areas) / np.pi)))
            off = abs(np.log(found * zoom / self.meta.diameter))
            if off < nearest:
                best, nearest = found, off
        return best

    @torch.no_grad()
    def detect_planes(self, planes: Floats, zoom: float) -> Detections:
        """``detect`` on normalised planes (C, H, W) at ``zoom`` network px per image px."""
        shape = planes.shape[1], planes.shape[2]
        size = (max(1, round(shape[0] * zoom)), max(1, round(shape[1] * zoom)))
        shrunk = torch.from_numpy(resize(planes, size)).to(self.device)
        found = [self._detect_tile(shrunk, tile) for tile in _tiles(size)]
        boxes = np.concatenate([boxes for boxes, _, _ in found])
        boxes *= np.tile([shape[1] / size[1], shape[0] / size[0]], 2).astype(np.float32)
        scores = np.concatenate([scores for _, scores, _ in found])
        masks = np.concatenate([masks for _, _, masks in found])
        pasted = [paste(mask, box, shape) for mask, box in zip(masks, boxes, strict=True)]
        order = [i for i in np.argsort(-scores, kind="stable") if pasted[i].mask.any()]
        everything = Detections(boxes, scores, pasted).rows(np.array(order, np.intp))
        return everything.rows(everything.to_labels(shape)[1])

    @torch.no_grad()
    def classify(
        self, image: NDArray[Any], labels: NDArray[Any], diameter: float | None = None
    ) -> tuple[NDArray[np.int64], Floats]:
        """Ids (n,) of the cells of ``labels`` (H, W), ascending, and type probabilities (n, T).

        Without ``diameter`` (px) the cells of ``labels`` tell how large they are.
        """
        check_image(image, self.meta.channels)
        return self.classify_planes(normalize(image), labels, diameter)

    def classify_planes(
        self, planes: Floats, labels: NDArray[Any], diameter: float | None = None
    ) -> tuple[NDArray[np.int64], Floats]:
        """``classify`` on planes (C, H, W) that ``normalize`` gave."""
        typed = self.typed_planes(planes, labels, diameter)
        return typed.ids, typed.probabilities

    def typed_planes(
        self, planes: Floats, labels: NDArray[Any], diameter: float | None = None
    ) -> TypedCells:
        """Everything the type head says of the cells of ``labels`` (H, W)."""
        validate(labels, (planes.shape[1], planes.shape[2]))
        if self._own_scale and not diameter:
            diameter = median_diameter(labels)
        seen = type_views(self.network, planes, labels, self.zoom(diameter))
        ones = np.ones(len(self.meta.types))
        temperatures = np.asarray(self.meta.calibration.get("temperatures", ones))
        votes = calibration.calibrated(seen.logits, temperatures)
        mean = calibration.calibrated(seen.logits.mean(axis=1), temperatures)
        return TypedCells(
            seen.ids,
            mean.astype(np.float32),
            uncertainty.disagreement(votes),
            embeddings.unit(embeddings.projected(seen.features)),
        )

    def _detect_tile(self, planes: Tensor, tile: _Tile) -> tuple[Floats, Floats, Floats]:
        """Boxes, scores and soft masks of the cells whose centre lies in the tile's own part."""
        ask()
        part = planes[:, tile.y0 : tile.y1, tile.x0 : tile.x1]
        with (
            self.threads.timed(part.numel()),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.half),
        ):
            answer = self.network([part])[0]
        boxes = answer["boxes"].float().cpu().numpy()
        boxes += np.array([tile.x0, tile.y0] * 2, np.float32)
        x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
        left, top, right, bottom = tile.own
        own = (x >= left) & (x < right) & (y >= top) & (y < bottom)
        masks = answer["masks"][:, 0].float().cpu().numpy()
        return boxes[own], answer["scores"].float().cpu().numpy()[own], masks[own]


@dataclass(frozen=True)
class TypeViews:
    """What a type head sees in the four mirrorings of each cell."""

    ids: NDArray[np.int64]  # (n,) ascending
    logits: Floats  # (n, 4, T) uncalibrated
    features: Floats  # (n, F) before the last layer; F = 0 without types


def type_logits(
    network: DetectorNetwork, planes: Floats, labels: NDArray[Any], zoom: float
) -> tuple[NDArray[np.int64], Floats]:
    """Ids (n,) and uncalibrated logits (n, T) of the cells of ``labels`` on normalised planes."""
    seen = type_views(network, planes, labels, zoom)
    return seen.ids, seen.logits.mean(axis=1)


@torch.no_grad()
def type_views(
    network: DetectorNetwork, planes: Floats, labels: NDArray[Any], zoom: float
) -> TypeViews:
    """How the cells of ``labels`` (H, W) look on normalised planes."""
    geometry = cell_geometry(labels)
    if network.types is None or not geometry.labels.size:
        name = network.types.name if network.types is not None else None
        types, size = (name.out_features, name.in_features) if name is not None else (0, 0)
        count = geometry.labels.size
        nothing = np.zeros((count, 4, types), np.float32)
        return TypeViews(geometry.labels, nothing, np.zeros((count, size), np.float32))
    device = next(network.parameters()).device
    image = torch.from_numpy(planes).to(device)
    owners = torch.from_numpy(labels.astype(np.int64)).to(device)
    ids = torch.from_numpy(geometry.labels).to(device)
    centres = torch.from_numpy(cell_centres(geometry, device)).to(device)
    found = []
    for start in range(0, len(ids), WINDOWS_AT_ONCE):
        part = slice(start, start + WINDOWS_AT_ONCE)
        pixels, places = cell_windows(image, owners, ids[part], centres[part], zoom)
        with torch.autocast(device.type, torch.bfloat16, enabled=fast_in_bfloat16(device)):
            found.append(network.types.views(pixels, places))
    logits, features = (torch.cat(each).float().cpu().numpy() for each in zip(*found, strict=True))
    return TypeViews(geometry.labels, logits, features)


def cell_centres(geometry: CellGeometry, device: torch.device) -> NDArray[np.floating[Any]]:
    """x, y (n, 2) of the cells' middles in the arithmetic that ``device`` has."""
    kind = np.float32 if device.type == "mps" else np.float64
    return (geometry.centroids + 0.5).astype(kind)


@dataclass(frozen=True)
class _Tile:
    """What the network sees (half-open px) and the part whose cells it answers for."""

    y0: int
    y1: int
    x0: int
    x1: int
    own: tuple[float, float, float, float]  # left, top, right, bottom


def _tiles(size: tuple[int, int]) -> Iterator[_Tile]:
    for top, bottom, above, below in _spans(size[0]):
        for left, right, before, after in _spans(size[1]):
            yield _Tile(top, bottom, left, right, (before, above, after, below))


def _spans(length: int) -> Iterator[tuple[int, int, float, float]]:
    """(start, stop, own start, own stop) of tiles along one axis; own parts share no pixel."""
    if length <= TILE + 2 * MARGIN:
        yield 0, length, -np.inf, np.inf
        return
    count = -(-length // TILE)
    edges = [round(length * index / count) for index in range(count + 1)]
    for first, last in pairwise(edges):
        low = -np.inf if first == 0 else first
        high = np.inf if last == length else last
        yield max(0, first - MARGIN), min(length, last + MARGIN), low, high


def paste(soft: Floats, box: Floats, shape: tuple[int, int]) -> BoxMask:
    """A soft mask (28, 28) stretched over its ``box`` and cut at one half, within the image.

    Read where torchvision's training writes it: ``project_masks_on_boxes`` takes the pixel with
    index x for what is at x (RoIAlign that is not aligned), not for x to x + 1. Read by the middles
    of pixels, as ``paste_masks_in_image`` does, all masks lie half a pixel too far up and left.
    """
    x0, y0 = (max(0, int(np.floor(v))) for v in box[:2])
    x1, y1 = (min(n, int(np.ceil(v))) for v, n in zip(box[2:], shape[::-1], strict=True))
    if x1 <= x0 or y1 <= y0:
        return BoxMask(0, 0, np.zeros((1, 1), bool))
    side = soft.shape[0]
    width, height = max(float(box[2] - box[0]), 1e-3), max(float(box[3] - box[1]), 1e-3)
    columns = ((np.arange(x0, x1) - box[0]) * side / width - 0.5).astype(np.float32)
    rows = ((np.arange(y0, y1) - box[1]) * side / height - 0.5).astype(np.float32)
    grid = np.meshgrid(columns, rows)
    # Beyond the outermost samples, but in the box: as they are.
    edge = cv2.BORDER_REPLICATE
    stretched = cv2.remap(soft, grid[0], grid[1], cv2.INTER_LINEAR, borderMode=edge)
    return BoxMask(x0, y0, stretched.reshape(y1 - y0, x1 - x0) >= 0.5)
