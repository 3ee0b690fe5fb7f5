"""Honest probabilities: temperatures fitted on validation cells. Numpy only.

Temperature scaling (Guo et al., ICML 2017) with one temperature per predicted type, since a net is
seldom over-confident about all types alike. Dividing all logits of a cell by one number never
changes which type is the most probable.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
FEWEST_CELLS = 40  # predicted as a type, below which it shares the temperature of all
_GRID = np.exp(np.linspace(np.log(0.3), np.log(8.0), 97))


def softmax(logits: Floats) -> NDArray[np.float64]:
    """Probabilities along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True)) if logits.size else logits
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), np.float64)


def calibrated(logits: Floats, temperatures: Floats) -> NDArray[np.float64]:
    """Probabilities (…, T) of logits (…, T); each row cooled by its winning type's temperature."""
    if not logits.size:
        return np.zeros(logits.shape)
    return softmax(logits / np.asarray(temperatures)[logits.argmax(axis=-1)][..., None])


def fit_temperatures(logits: Floats, truth: NDArray[np.integer]) -> NDArray[np.float64]:
    """Temperatures (T,) that give known cells the greatest likelihood; ones without any cell.

    ``logits`` (n, T) and ``truth`` (n,) type indices. A type predicted for fewer than
    ``FEWEST_CELLS`` cells takes the temperature fitted on all of them.
    """
    types = logits.shape[1]
    if not len(logits):
        return np.ones(types)
    temperatures = np.full(types, _best(logits, truth))
    winner = logits.argmax(axis=1)
    for index in range(types):
        rows = winner == index
        if rows.sum() >= FEWEST_CELLS:
            temperatures[index] = _best(logits[rows], truth[rows])
    return temperatures


def _best(logits: Floats, truth: NDArray[np.integer]) -> float:
    scaled = logits[None] / _GRID[:, None, None]
    top = scaled.max(axis=2, keepdims=True)
    total = np.log(np.exp(scaled - top).sum(axis=2)) + top[..., 0]
    likelihood = (scaled[:, np.arange(len(truth)), truth] - total).mean(axis=1)
    # A pinch of doubt: without it a faultless validation set would ask for zero temperature.
    return float(_GRID[(likelihood - np.log(_GRID) ** 2 / len(truth)).argmax()])
