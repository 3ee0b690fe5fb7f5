"""From a role-ordered image to what the networks see: percentiles, planes, size."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.errors import InferenceError

_SAMPLED_ABOVE = 224**3  # pixels of a plane above which percentiles are taken on a grid


def check_image(image: NDArray[Any], channels: tuple[str, ...]) -> None:
    """Raise ``InferenceError`` unless ``image`` is a CYX array of real numbers, all finite, with
    these channels.
    """
    if image.ndim != 3 or image.dtype.kind not in "uif":
        raise InferenceError("A model image is a real-valued array (channel, row, column).")
    if image.shape[0] != len(channels):
        raise InferenceError(
            f"This model sees {len(channels)} channels ({', '.join(channels)});"
            f" the image has {image.shape[0]}."
        )
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise InferenceError(
            "The image has pixels that are no numbers (NaN or infinite): give them a value first."
        )


def normalize(image: NDArray[Any]) -> NDArray[np.float32]:
    """Each plane of (C, H, W) with its 1st percentile at 0 and its 99th at 1, as float32.

    Cellpose 3's normalisation, percentiles on a grid for very large planes included. Constant
    planes become zeros. All values must be finite (``check_image``).
    """
    return scaled(image, scaling(image))


Scaling = list[tuple[np.floating[Any], np.floating[Any]]]  # (low, span) of each plane


def scaling(image: NDArray[Any]) -> Scaling:
    """The 1st percentile of each plane of (C, H, W), and how far the 99th lies above it: 0 for
    planes that show nothing.
    """
    found: Scaling = []
    for plane in image:
        if not plane.size or plane.min() == plane.max():
            found.append((np.float64(0.0), np.float64(0.0)))
            continue
        sample = plane
        if plane.size > _SAMPLED_ABOVE:
            sample = plane[:: max(1, plane.shape[0] // 224), :: max(1, plane.shape[1] // 224)]
        values = sample.astype(np.float32)
        low, high = np.percentile(values, 1.0), np.percentile(values, 99.0)
        # Floats may span less than cellpose's fixed 1e-3 and still hold a picture.
        whole_numbers = image.dtype.kind != "f"
        least = 1e-3 if whole_numbers else 1e-6 * max(abs(low), abs(high))
        found.append((low, high - low if high - low > least else np.float64(0.0)))
    return found


def scaled(image: NDArray[Any], scales: Scaling) -> NDArray[np.float32]:
    """(C, H, W), or a part of it, as float32 with the ``scaling`` of the whole."""
    planes = np.array(image, np.float32)
    for plane, (low, span) in zip(planes, scales, strict=True):
        if span > 0:
            plane -= low
            plane /= span
        else:
            plane[:] = 0.0
    return planes


def network_planes(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(1 or 2, H, W) → the two planes of the cellpose U-Net: one plane is followed by zeros."""
    if planes.shape[0] == 1:
        return np.concatenate([planes, np.zeros_like(planes)])
    return planes


def resize(planes: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """(C, H, W) bilinearly resized to ``shape`` (height, width), as cellpose does."""
    if planes.shape[1:] == tuple(shape):
        return planes
    interleaved = np.ascontiguousarray(planes.transpose(1, 2, 0))
    resized = cv2.resize(interleaved, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(
        resized.reshape(shape[0], shape[1], planes.shape[0]).transpose(2, 0, 1)
    )
