"""Random crops of images with their flow targets, cut at the scale the network works at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.normalize import network_planes
from training.samples import Sample


@dataclass(frozen=True)
class Crop:
    """One network input with its targets, all of side s."""

    planes: NDArray[np.float32]  # (2, s, s)
    flows: NDArray[np.float32]  # (2, s, s)
    inside: NDArray[np.float32]  # (s, s) 1 in cells
    weight: NDArray[np.float32]  # (s, s) 0 where labels are incomplete
    labels: NDArray[np.float32]  # (s, s) ids, for judging masks
    known: float = 1.0  # share, of what it shows of the image, where labels are complete


@dataclass(frozen=True)
class View:
    """How to look at an image: zoom, turn, mirror, and the point at the crop's centre."""

    zoom: float
    angle: float = 0.0  # radians
    mirror: bool = False
    centre: tuple[float, float] = (0.0, 0.0)  # x, y px of the image

    def turn(self) -> NDArray[np.float64]:
        """The 2 × 2 rotation (mirrored first), of x, y."""
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        flip = -1.0 if self.mirror else 1.0
        return np.array([[cosine * flip, -sine], [sine * flip, cosine]])


def random_view(
    area: tuple[int, int, int, int], zoom: float, side: int, rng: np.random.Generator
) -> View:
    """A view at ``zoom`` whose crop of ``side`` px lies inside ``area`` (x0, y0, x1, y1) as far as
    it can.
    """
    half = side / zoom / 2.0
    x0, y0, x1, y1 = area
    x, y = (
        float(rng.uniform(min(low + half, (low + high) / 2), max(high - half, (low + high) / 2)))
        for low, high in ((x0, x1), (y0, y1))
    )
    return View(zoom, float(rng.uniform(0, 2 * np.pi)), bool(rng.random() < 0.5), (x, y))


def random_crop(sample: Sample, zoom: float, side: int, rng: np.random.Generator) -> Crop:
    """A crop of ``side`` px at ``zoom`` of what is known of ``sample``, turned and mirrored."""
    return cut(sample, random_view(sample.area(rng), zoom, side, rng), side)


def cut(sample: Sample, view: View, side: int) -> Crop:
    """The crop of ``sample`` seen through ``view``; flow vectors turn with the picture.

    Beyond the image lies empty background, as in the zero padding at prediction.
    """
    turn = view.turn()
    top, left, bottom, right = _seen(sample.shape, view, side)
    window = sample.window(top, left, bottom, right)
    matrix = np.empty((2, 3))
    matrix[:, :2] = turn * view.zoom
    centre = np.array(view.centre) - (left, top)
    matrix[:, 2] = (side - 1) / 2.0 - matrix[:, :2] @ centre
    # Bilinear also when shrinking: prediction resizes that way, as cellpose does.
    planes = np.stack([_warp(plane, matrix, side) for plane in window.planes])
    dy, dx = (_warp(flow, matrix, side) for flow in window.flows)
    flows = np.stack([turn[1, 0] * dx + turn[1, 1] * dy, turn[0, 0] * dx + turn[0, 1] * dy])
    labels = _warp(window.labels, matrix, side, cv2.INTER_NEAREST)
    weight, known = np.ones((side, side), np.float32), 1.0
    if window.trusted is not None:
        trusted = _warp(window.trusted, matrix, side, cv2.INTER_NEAREST)
        image = _warp(np.ones_like(window.trusted), matrix, side, cv2.INTER_NEAREST)
        weight = np.where(image > 0, trusted, 1.0).astype(np.float32)
        known = float(trusted.sum() / max(1.0, float(image.sum())))
    inside = (labels > 0).astype(np.float32)
    return Crop(network_planes(planes), flows.astype(np.float32), inside, weight, labels, known)


def jitter(planes: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Other lights and cameras: random contrast, offset, gamma, blur and noise per plane."""
    varied = planes.copy()
    for plane in varied:
        if not plane.any():
            continue  # the empty second plane of a one-channel image stays empty
        if rng.random() < 0.5:
            gamma = float(np.exp(rng.uniform(-0.5, 0.5)))
            plane[:] = np.sign(plane) * np.abs(plane) ** gamma
        plane *= float(rng.uniform(0.7, 1.3))
        plane += float(rng.uniform(-0.1, 0.1))
        if rng.random() < 0.25:
            plane[:] = cv2.GaussianBlur(plane, (0, 0), float(rng.uniform(0.5, 1.5)))
        if rng.random() < 0.5:
            noise = rng.standard_normal(plane.shape, dtype=np.float32)
            plane += noise * np.float32(rng.uniform(0.0, 0.1))
    return varied


def _seen(shape: tuple[int, int], view: View, side: int) -> tuple[int, int, int, int]:
    """The part of the image a crop can show: top, left, bottom, right, at least one pixel."""
    reach = side / view.zoom / 2.0 * (abs(np.cos(view.angle)) + abs(np.sin(view.angle))) + 2.0
    x, y = view.centre
    height, width = shape
    top = int(np.clip(np.floor(y - reach), 0, height - 1))
    left = int(np.clip(np.floor(x - reach), 0, width - 1))
    bottom = int(np.clip(np.ceil(y + reach), top + 1, height))
    right = int(np.clip(np.ceil(x + reach), left + 1, width))
    return top, left, bottom, right


def _warp(
    plane: NDArray[Any],
    matrix: NDArray[np.float64],
    side: int,
    how: int = cv2.INTER_LINEAR,
) -> NDArray[np.float32]:
    warped = cv2.warpAffine(plane, matrix, (side, side), flags=how, borderValue=0.0)
    return np.asarray(warped, np.float32)
