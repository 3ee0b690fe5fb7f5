"""Crops of images of which single cells are known: small pieces side by side instead of one view.

Around one cell that was answered for, nearly all of a crop teaches nothing, and in the same number
of steps a segmenter sees a tenth of the known cells that it sees in complete windows. Pieces, each
about another known place of the image, are put together like the images of a mosaic (Bochkovskiy
et al. 2020, arXiv 2004.10934); what is unknown in them still teaches nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.samples import Sample
from training.transforms import Crop, random_crop

_SPARSE = 0.25  # share of a crop that is known, below which pieces show more
_PIECE = 2.4  # cell diameters on a piece's side: a cell and most of its neighbours
_MOST = 8  # pieces on a crop's side, however small the cells: each costs the reading of files
_FIELDS = ("planes", "flows", "inside", "weight", "labels")


def is_sparse(crop: Crop) -> bool:
    """Whether hardly anything of what it shows is known."""
    return crop.known < _SPARSE


def packed(sample: Sample, zoom: float, side: int, rng: np.random.Generator) -> Crop:
    """A crop of ``side`` px made of random pieces of ``sample`` at ``zoom``; one piece where the
    crop is hardly larger than that. Its ``labels`` may have the same cell several times.

    Pieces of one image: what its light and style say of it is true of the whole crop.
    """
    count = min(_MOST, max(1, round(side / (_PIECE * zoom * sample.diameter))))
    small = -(-side // count)
    rows = [[random_crop(sample, zoom, small, rng) for _ in range(count)] for _ in range(count)]

    def joined(name: str) -> NDArray[np.float32]:
        return np.block([[getattr(piece, name) for piece in row] for row in rows])[
            ..., :side, :side
        ]

    known = float(np.mean([piece.known for row in rows for piece in row]))
    planes, flows, inside, weight, labels = (joined(name) for name in _FIELDS)
    return Crop(planes, flows, inside, weight, labels, known)
