"""Losses of the segmenter."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def flow_loss(
    outputs: Tensor, flows: Tensor, inside: Tensor, weight: Tensor, scale: float = 5.0
) -> Tensor:
    """Cellpose's loss (Stringer et al. 2021): half the mean squared error of the flows, times
    five, plus the cross entropy of being inside a cell.

    ``outputs`` (n, 3, h, w) dy, dx, logit; ``flows`` (n, 2, h, w) of unit length; ``inside`` and
    ``weight`` (n, h, w), weight 0 where the labels are not to be trusted. In float32 whatever
    the outputs' dtype: bfloat16 sums over 50,000 pixels lose the small differences.
    """
    outputs = outputs.float()
    total = weight.sum().clamp(min=1.0)
    squared = ((outputs[:, :2] - scale * flows) ** 2).sum(dim=1)
    entropy = functional.binary_cross_entropy_with_logits(outputs[:, 2], inside, reduction="none")
    # MSE averages over both flow components (÷ 2) and is halved once more.
    return torch.sum(weight * (squared / 4.0 + entropy)) / total
