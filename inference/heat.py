"""Where a prediction is unsure, as a small picture to lay over a thumbnail. Numpy only.

The picture holds levels: 0 is clear, 1 … 254 are how unsure the models are of the cell there (of a
place: how many cells they may have missed), 255 is the rim of such a place. ``palette`` colours
them by matplotlib's inferno, which is even to the eye and rises in lightness all along, so that
colour-blind people read it too; what is sure is mostly clear.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 256  # px, of the longer side at most
RIM = 255
_SURE, _UNSURE = 1, 254
# Ten of its colours, evenly apart.
_INFERNO = bytes.fromhex("000004 1b0c42 4b0c6b 781c6d a52c60 cf4446 ed6925 fb9a06 f7d03c fcffa4")
_DARKEST = 0.2  # of the ramp: darker cells could not be told from the image's background
_CLEAR, _OPAQUE = 30, 235  # alpha of a sure cell and of one that is surely wrong
_SMALLEST_DISC = 2.5  # px, radius


def heat_levels(
    labels: NDArray[Any],
    uncertainties: Mapping[int, float],
    missed: Iterable[Sequence[float]] = (),
    diameter: float = 0.0,
    side: int = SIDE,
) -> NDArray[np.uint8]:
    """Levels (h, w), the longer side at most ``side``, of a label image (H, W).

    Args:
        uncertainties: 0 … 1 per label; labels without one stay clear. Of the cells that share a
            pixel of the picture the least sure one shows.
        missed: (x, y, cells) in px of the label image: where how many cells may be missing.
        diameter: px, of the discs that show these.

    Every so many pixels of the label image become one, as in the image's thumbnail.
    """
    step = max(1, -(-max(labels.shape) // side))
    table = np.zeros(int(labels.max(initial=0)) + 1, np.uint8)
    for label, uncertainty in uncertainties.items():
        if 0 < label < len(table):
            table[label] = _level(uncertainty)
    starts = np.arange(0, labels.shape[1], step)
    # By rows of the picture: a large image is never held a second time.
    rows = [
        np.maximum.reduceat(table[labels[top : top + step]].max(axis=0), starts)
        for top in range(0, labels.shape[0], step)
    ]
    levels = np.stack(rows)
    for x, y, cells in missed:
        _disc(levels, (x / step, y / step), max(_SMALLEST_DISC, diameter / 2 / step), _level(cells))
    return levels


def _level(share: float) -> int:
    """A share of 0 … 1 as a level; one that is no number counts as quite unsure."""
    return _SURE + round((_UNSURE - _SURE) * float(np.clip(np.nan_to_num(share, nan=1.0), 0, 1)))


def _disc(
    levels: NDArray[np.uint8], centre: tuple[float, float], radius: float, level: int
) -> None:
    x, y = centre
    top, left = max(0, int(y - radius - 1)), max(0, int(x - radius - 1))
    window = levels[top : int(y + radius + 2), left : int(x + radius + 2)]
    ys, xs = np.ogrid[top : top + window.shape[0], left : left + window.shape[1]]
    distance = np.hypot(xs + 0.5 - x, ys + 0.5 - y)
    window[distance <= radius] = level
    window[(distance <= radius) & (distance > radius - 1)] = RIM


def palette() -> NDArray[np.uint8]:
    """Red, green, blue and alpha (256, 4) of each level."""
    anchors = np.frombuffer(_INFERNO, np.uint8).reshape(-1, 3)
    share = np.linspace(0, 1, _UNSURE - _SURE + 1)
    places = np.linspace(0, 1, len(anchors))
    ramp = _DARKEST + (1 - _DARKEST) * share
    colours = np.zeros((256, 4))
    for channel in range(3):
        colours[_SURE : _UNSURE + 1, channel] = np.interp(ramp, places, anchors[:, channel])
    colours[_SURE : _UNSURE + 1, 3] = _CLEAR + (_OPAQUE - _CLEAR) * share
    colours[RIM] = 255
    return colours.round().astype(np.uint8)
