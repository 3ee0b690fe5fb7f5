"""Rare hard cases: fields of the same drawn cells, stained or taken otherwise.

A lab's data are never of one kind. These stand for the few images that a model trained on the usual
ones gets wrong, each for a reason of its own:

dim       a tenth of the light and less: shot and read noise as strong as the cells
inverted  dark cells in a bright medium, as dyes that stay outside give; hardly any nuclei
membrane  only the border of each cell is stained, and no nucleus

Types are those of the drawn field.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.synthetic import SyntheticImage, draw_image

Floats = NDArray[np.float32]
_RIM = 1.6  # px, standard deviation of a membrane's light
_MOST = 60_000  # of the camera's 65,535


def draw_hard(
    hard: str, kind: str, shape: tuple[int, int] = (256, 256), seed: int | Sequence[int] = 0
) -> SyntheticImage:
    """A field of ``kind`` (see ``draw_image``), ``hard`` by one of ``HARD``; a seed draws the same
    image again.
    """
    if hard not in HARD:
        raise ValueError(f"There is no hard case {hard!r}; use one of {tuple(HARD)}.")
    drawn = draw_image(kind, shape, seed)
    rng = np.random.default_rng([*np.atleast_1d(seed).tolist(), list(HARD).index(hard), 1])
    light = HARD[hard](drawn, rng)
    return replace(drawn, image=np.clip(light, 0, _MOST).astype(np.uint16))


def _dim(drawn: SyntheticImage, rng: np.random.Generator) -> Floats:
    image = _above_dark(drawn.image)
    scale = rng.uniform(2.0, 5.0) / np.maximum(np.percentile(image, 95, axis=(1, 2)), 1.0)
    photons = rng.poisson(image * scale[:, None, None])
    return np.asarray(150 + 60 * photons + rng.normal(0, 60, image.shape), np.float32)


def _inverted(drawn: SyntheticImage, rng: np.random.Generator) -> Floats:
    image = _above_dark(drawn.image)
    body = ndimage.gaussian_filter(image[0], 1.0)
    body = np.clip(body / max(float(np.percentile(body, 97)), 1.0), 0, 1)
    rows, columns = (np.linspace(-1, 1, n, dtype=np.float32) for n in body.shape)
    tilt = rng.normal(0, 0.12, 2)
    medium = 900 * (1 + tilt[0] * rows[:, None] + tilt[1] * columns[None])
    first = medium * (1 - rng.uniform(0.45, 0.7) * body)
    second = 200 + 0.08 * image[1]
    light = np.stack([first, second])
    return np.asarray(light + rng.normal(0, 25, light.shape), np.float32)


def _membrane(drawn: SyntheticImage, rng: np.random.Generator) -> Floats:
    labels = drawn.labels
    edge = (ndimage.maximum_filter(labels, 3) != ndimage.minimum_filter(labels, 3)) & (labels > 0)
    strength = rng.lognormal(0, 0.3, int(labels.max()) + 1)[labels]
    rim = ndimage.gaussian_filter((edge * strength).astype(np.float32), _RIM)
    inside = ndimage.gaussian_filter((labels > 0).astype(np.float32), 2.0)
    first = 60 + 900 * rim / max(float(rim.max()), 1e-6) + rng.uniform(10, 60) * inside
    second = np.full_like(first, 80)
    light = np.stack([rng.poisson(first), rng.poisson(second)]) * rng.uniform(6, 12)
    return np.asarray(light + rng.normal(0, 40, light.shape) + 200, np.float32)


def _above_dark(image: NDArray[np.uint16]) -> Floats:
    """Each plane without its camera's offset and background."""
    low = np.percentile(image, 2, axis=(1, 2))[:, None, None]
    return np.asarray(np.clip(image - low, 0, None), np.float32)


HARD: dict[str, Callable[[SyntheticImage, np.random.Generator], Floats]] = {
    "dim": _dim,
    "inverted": _inverted,
    "membrane": _membrane,
}
