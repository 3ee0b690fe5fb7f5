"""Logistic curves that few examples cannot carry away."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Floats = NDArray[np.floating]

_PRECISION = 1.0  # of each weight's prior


def fit_logistic(seen: Floats, real: NDArray[np.bool_], usual: Floats) -> NDArray[np.float64]:
    """Weights (k + 1,), the offset last, of the most probable curve of ``seen`` (n, k) and what is
    ``real`` (n,).

    A Gaussian prior around the ``usual`` weights (MacKay, "The evidence framework applied to
    classification networks", 1992) keeps a few examples from deciding, and a faultless set from
    asking for certainty. A curve never falls: no weight but the offset is negative.
    """
    x = np.column_stack([np.asarray(seen, float), np.ones(len(seen))])
    middle = np.asarray(usual, float)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = x @ weights
        off = weights - middle
        slope = x.T @ (1 / (1 + np.exp(-z)) - real) + _PRECISION * off
        value = (np.logaddexp(0, z) - real * z).sum() + _PRECISION / 2 * off @ off
        return float(value), slope

    bounds = [(0, None)] * (x.shape[1] - 1) + [(None, None)]
    best = minimize(loss, middle, method="L-BFGS-B", jac=True, bounds=bounds)
    return np.asarray(best.x, float)
