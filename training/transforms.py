"""Random crops of images with their flow targets, cut at the scale the network works at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sample:
    """One training image, prepared once."""

    name: str
    planes: NDArray[np.float32]  # (2, H, W) normalised
    labels: NDArray[Any]  # (H, W)
    flows: NDArray[np.float32]  # (2, H, W) dy, dx of unit length, zero outside cells
    trusted: NDArray[np.uint8] | None  # (H, W) 1 where labels are complete; None = everywhere
    diameter: float  # px, median of the image's cells


@dataclass(frozen=True)
class Crop:
    """One network input with its targets, all of side s."""

    planes: NDArray[np.float32]  # (2, s, s)
    flows: NDArray[np.float32]  # (2, s, s)
    inside: NDArray[np.float32]  # (s, s) 1 in cells
    weight: NDArray[np.float32]  # (s, s) 0 where labels are incomplete
    labels: NDArray[np.float32]  # (s, s) ids, for judging masks


@dataclass(frozen=True)
class View:
    """How to look at an image: zoom, turn, mirror, and the point at the crop's centre."""

    zoom: float
    angle: float = 0.0  # radians
    mirror: bool = False
    centre: tuple[float, float] = (0.0, 0.0)  # x, y px of the image


def random_view(sample: Sample, zoom: float, side: int, rng: np.random.Generator) -> View:
    """A view at ``zoom`` whose crop of ``side`` px lies inside the image as far as it can."""
    height, width = sample.labels.shape
    half = side / zoom / 2.0
    x, y = (
        float(rng.uniform(min(half, length / 2), max(length - half, length / 2)))
        for length in (width, height)
    )
    return View(zoom, float(rng.uniform(0, 2 * np.pi)), bool(rng.random() < 0.5), (x, y))


def cut(sample: Sample, view: View, side: int) -> Crop:
    """The crop of ``sample`` seen through ``view``; flow vectors turn with the picture.

    Beyond the image lies empty background, as in the zero padding at prediction.
    """
    cosine, sine = np.cos(view.angle), np.sin(view.angle)
    flip = -1.0 if view.mirror else 1.0
    turn = np.array([[cosine * flip, -sine], [sine * flip, cosine]])
    matrix = np.empty((2, 3))
    matrix[:, :2] = turn * view.zoom
    matrix[:, 2] = (side - 1) / 2.0 - matrix[:, :2] @ np.array(view.centre)
    # Bilinear also when shrinking: prediction resizes that way, as cellpose does.
    planes = np.stack([_warp(plane, matrix, side) for plane in sample.planes])
    dy, dx = (_warp(flow, matrix, side) for flow in sample.flows)
    flows = np.stack([turn[1, 0] * dx + turn[1, 1] * dy, turn[0, 0] * dx + turn[0, 1] * dy])
    labels = _warp(sample.labels.astype(np.float32), matrix, side, cv2.INTER_NEAREST)
    weight = np.ones((side, side), np.float32)
    if sample.trusted is not None:
        trusted = sample.trusted.astype(np.float32)
        weight = _warp(trusted, matrix, side, cv2.INTER_NEAREST, beyond=1.0)
    return Crop(planes, flows.astype(np.float32), (labels > 0).astype(np.float32), weight, labels)


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


def _warp(
    plane: NDArray[Any],
    matrix: NDArray[np.float64],
    side: int,
    how: int = cv2.INTER_LINEAR,
    beyond: float = 0.0,
) -> NDArray[np.float32]:
    warped = cv2.warpAffine(plane, matrix, (side, side), flags=how, borderValue=beyond)
    return np.asarray(warped, np.float32)
