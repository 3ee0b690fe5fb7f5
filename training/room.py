"""How much memory and disk a training needs, and whether the machine has them. No torch."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

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


# Where Linux tells a container's limit: control groups of version 2 and 1.
_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def machine_memory_mb() -> float:
    """Memory of this machine or, if that is less, of the container it is used from, MB; infinite
    where the system does not tell it.
    """
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6
    except (AttributeError, ValueError, OSError):
        whole = float("inf")
    return min([whole, *_container_limits_mb()])


def _container_limits_mb() -> list[float]:
    found = []
    for file in _LIMITS:
        with suppress(OSError, ValueError):  # no such group, or "max"
            found.append(int(file.read_text()) / 1e6)
    return found


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


def check_disk(folder: Path, needed_mb: float) -> None:
    """``TrainingError`` when the disk of ``folder`` has less than ``needed_mb`` left."""
    left = shutil.disk_usage(folder).free / 1e6
    if needed_mb > left:
        raise TrainingError(
            f"Preparing this training takes up to {needed_mb / 1000:.1f} GB of disk in {folder},"
            f" where {left / 1000:.1f} GB are left: free some, or keep the folder on a larger disk."
        )


def folder_mb(folder: Path) -> float:
    """Size of all files under ``folder``, MB."""
    total = 0
    for file in folder.rglob("*"):
        with suppress(OSError):  # removed meanwhile
            total += file.lstat().st_size if file.is_file() else 0
    return total / 1e6
