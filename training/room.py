"""How much memory a training needs, and whether the machine has it. No torch."""

from __future__ import annotations

import os

from training.config import TrainConfig
from training.errors import TrainingError

# Measured on two cores with batches of 4 to 16: a process with its libraries, and what a batch
# adds per pixel of its crops at a width of 32 channels (segmenters 3.7 to 5.7 kB).
_PROCESS_MB = 1000
_BYTES_PER_PIXEL = {"segmenter": 6000, "detector": 2500}
_BYTES_TO_PREPARE = 24  # per pixel of an image of two channels; measured on 67 million pixels


def memory_needed_mb(config: TrainConfig) -> int:
    """About how much memory a run takes at most, MB, on a CPU with a small backbone."""
    pixels = config.batch_size * config.crop**2 * config.width / 32
    return round(_PROCESS_MB + pixels * _BYTES_PER_PIXEL[config.family] / 1e6)


def machine_memory_mb() -> float:
    """Memory of this machine, MB; infinite where the system does not tell it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6
    except (AttributeError, ValueError, OSError):
        return float("inf")


def check_image_memory(name: str, shape: tuple[int, int]) -> None:
    """``TrainingError`` when preparing an image of ``shape`` (H, W) needs more than there is."""
    height, width = shape
    needed, there = height * width * _BYTES_TO_PREPARE / 1e6, machine_memory_mb()
    if needed > there:
        raise TrainingError(
            f"Preparing {name} ({width} × {height} px) for a training needs about"
            f" {needed / 1000:.0f} GB of memory and the machine has {there / 1000:.0f} GB: cut it"
            " into several images."
        )


def check_memory(config: TrainConfig) -> None:
    """``TrainingError`` when the run needs more memory than the whole machine has."""
    needed, there = memory_needed_mb(config), machine_memory_mb()
    if needed > there:
        raise TrainingError(
            f"This training needs about {needed / 1000:.0f} GB of memory and the machine has"
            f" {there / 1000:.0f} GB: lower batch_size ({config.batch_size}), crop ({config.crop})"
            f" or width ({config.width})."
        )
