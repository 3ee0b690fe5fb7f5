"""What every export format writes: an image's labels with its typed cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

TOLD_IN_PARTS = "in parts"  # by the fact ``complete``


@dataclass(frozen=True)
class LabelledCell:
    """One instance. Score, probabilities and uncertainty are a prediction's, else absent."""

    label: int
    type: str = ""  # "" = unknown
    type_source: str = ""
    score: float | None = None
    uncertainty: float | None = None
    probabilities: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelledImage:
    """One image of an export. ``stem`` is unique in the export; pixels are read when asked for."""

    id: int
    name: str
    stem: str
    facts: dict[str, str]  # ``tables.FACTS``: columns of the tables
    pixel_size_um: float | None
    labels: NDArray[Any]  # (H, W) uint16 or uint32
    cells: tuple[LabelledCell, ...]
    channels: tuple[str, ...]  # roles of the planes of pixels()
    pixels: Callable[[], NDArray[Any]]  # (C, H, W) in the file's dtype

    @property
    def in_parts(self) -> bool:
        """Whether people have answered for some of it only: the rest is not background."""
        return self.facts["complete"] == TOLD_IN_PARTS
