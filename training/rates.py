"""What each step does to weights: how far they move, and how their average follows them."""

from __future__ import annotations

import math

import torch
from torch import nn

from training.config import TrainConfig


def learning_rate(config: TrainConfig, progress: float) -> float:
    """Linear warm-up, then half a cosine to zero (Loshchilov & Hutter 2017), by progress 0 … 1."""
    if progress < config.warmup:
        return config.learning_rate * (progress + 1e-3) / (config.warmup + 1e-3)
    after = (progress - config.warmup) / (1.0 - config.warmup)
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(1.0, after)))


def average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the averaged weights and running statistics towards ``model``'s by 1 − ``decay``."""
    with torch.no_grad():
        for old, new in zip(
            averaged.state_dict().values(), model.state_dict().values(), strict=True
        ):
            if old.dtype.is_floating_point:
                old.lerp_(new.to(old.dtype), 1.0 - decay)
            else:
                old.copy_(new)
