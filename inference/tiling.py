"""Large images through a network in overlapping tiles whose outputs are blended.

Two layouts. ``plan`` is cellpose 3's (Stringer et al. 2021), so that its checkpoints give its
masks to the pixel: zero padding to a multiple of 16 plus 8 px on each side, tiles of 224 px
overlapping by a tenth, sigmoid weights towards tile edges. There every pixel is computed about
twice. ``plan_wide`` takes the whole image, or as few tiles as memory allows, with the same margin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.interruption import ask

TILE = 224  # px
OVERLAP = 0.1  # of a tile
DIVISOR = 16  # cellpose pads to twice what the halvings need
_TAPER = 7.5  # px, width of the sigmoid at tile edges
MARGIN = 8  # px of zeros on each side
STEP = 8  # px: the U-Net halves the image three times
# px, longest side of a wide tile: 0.75 GB of a network of cellpose's widths in bfloat16
WIDE = 1280
SPARING = 640  # px, where memory is short: 0.2 GB, and a tenth more time
_LAP = 64  # px by which wide tiles overlap
_PIXELS_AT_ONCE = 8 * TILE**2  # of the tiles in one forward pass


@dataclass(frozen=True)
class Tiles:
    """Where the tiles of a padded image lie."""

    rows: tuple[int, ...]  # first row of each row of tiles
    columns: tuple[int, ...]
    height: int  # px of one tile
    width: int

    def corners(self) -> list[tuple[int, int]]:
        """(first row, first column) of every tile, row by row."""
        return [(y, x) for y in self.rows for x in self.columns]


def padding(length: int) -> tuple[int, int]:
    """Zeros before and after an axis of ``length`` px, as in cellpose."""
    lacking = -length % DIVISOR
    return MARGIN + lacking // 2, MARGIN + lacking - lacking // 2


def padding_wide(length: int) -> tuple[int, int]:
    """Zeros before and after an axis of ``length`` px: no more than the halvings need beside
    cellpose's margin, without which cells at the edge get worse.
    """
    lacking = -length % STEP
    return MARGIN + lacking // 2, MARGIN + lacking - lacking // 2


def plan(height: int, width: int) -> Tiles:
    """Tiles covering a padded image of ``height`` × ``width`` px."""
    return Tiles(_starts(height), _starts(width), height=min(TILE, height), width=min(TILE, width))


def plan_wide(height: int, width: int, widest: int = WIDE) -> Tiles:
    """The fewest tiles of at most ``widest`` px, all alike, that cover a padded image."""
    (rows, tall), (columns, wide) = _wide(height, widest), _wide(width, widest)
    return Tiles(rows, columns, height=tall, width=wide)


def _wide(length: int, widest: int) -> tuple[tuple[int, ...], int]:
    """First pixels of the tiles along an axis, and their length."""
    if length <= widest:
        return (0,), length
    count = -(-(length - _LAP) // (widest - _LAP))
    even = -(-(length + (count - 1) * _LAP) // count)
    side = even + -even % STEP
    return tuple(int(start) for start in np.linspace(0, length - side, count)), side


def _starts(length: int) -> tuple[int, ...]:
    count = 1 if length <= TILE else int(np.ceil((1.0 + 2 * OVERLAP) * length / TILE))
    return tuple(int(s) for s in np.linspace(0, length - min(TILE, length), count).astype(int))


def taper(height: int, width: int) -> NDArray[np.float64]:
    """Weights of a tile's pixels (height, width), falling off within about 20 px of the edges."""
    size = max(TILE, height, width)
    distance = np.abs(np.arange(size) - (size - 1) / 2)
    profile = 1.0 / (1.0 + np.exp((distance - (size / 2 - 20)) / _TAPER))
    middle = size // 2

    def cut(length: int) -> NDArray[np.float64]:
        return profile[middle - length // 2 : middle + length // 2 + length % 2]

    return cut(height)[:, None] * cut(width)[None, :]


def ramp(height: int, width: int) -> NDArray[np.float32]:
    """Weights of a wide tile's pixels (height, width), rising from its edges over the overlap."""

    def rise(length: int) -> NDArray[np.float32]:
        inwards = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
        return np.minimum(inwards / (_LAP / 2), 1.0).astype(np.float32)

    return rise(height)[:, None] * rise(width)[None, :]


Forward = Callable[
    [NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]
]  # (n, C, h, w) → outputs (n, K, h, w), styles (n, S)


def run_tiled(
    planes: NDArray[np.float32], forward: Forward, *, widest: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Outputs (K, H, W) of ``forward`` on (C, H, W), blended, and the unit-length style (S,).

    With ``widest`` px by ``plan_wide``, else the tiles are cellpose's.
    """
    pads = [(padding if widest is None else padding_wide)(length) for length in planes.shape[1:]]
    padded = np.pad(planes, ((0, 0), *pads))
    height, width = padded.shape[1:]
    tiles = plan(height, width) if widest is None else plan_wide(height, width, widest)
    if widest is not None and len(tiles.corners()) == 1:
        ask()
        whole, styles = forward(padded[None])
        outputs, style = whole[0], styles[0]
    else:
        weight = (taper if widest is None else ramp)(tiles.height, tiles.width)
        outputs, style = _blended(padded, forward, tiles, weight)
    (above, below), (left, right) = pads
    inside = outputs[:, above : height - below, left : width - right]
    return inside, style / max(float(np.sqrt((style**2).sum())), 1e-12)


def _blended(
    padded: NDArray[np.float32], forward: Forward, tiles: Tiles, weight: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Outputs (K, H, W) of a padded image, tile by tile, and the sum of the tiles' styles."""
    batch = max(1, _PIXELS_AT_ONCE // (tiles.height * tiles.width))
    total = np.zeros(padded.shape[1:], weight.dtype)
    outputs, style = np.zeros((0, 0, 0), np.float32), np.zeros(0, np.float32)
    for corners in _batches(tiles.corners(), batch):
        cut = np.stack([padded[:, y : y + tiles.height, x : x + tiles.width] for y, x in corners])
        ask()
        answers, styles = forward(cut)
        if not outputs.size:
            outputs = np.zeros((answers.shape[1], *padded.shape[1:]), np.float32)
            style = np.zeros(styles.shape[1], np.float32)
        style += styles.sum(axis=0)
        for (y, x), answer in zip(corners, answers, strict=True):
            outputs[:, y : y + tiles.height, x : x + tiles.width] += answer * weight
            total[y : y + tiles.height, x : x + tiles.width] += weight
    outputs /= total
    return outputs, style


def _batches(corners: list[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    for start in range(0, len(corners), size):
        yield corners[start : start + size]
