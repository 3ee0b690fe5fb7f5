"""Teaching the detector's type head alone, on the cells whose type is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from inference.calibration import softmax
from inference.labels import cell_geometry
from inference.type_head import TypeHead, cell_windows
from inference.uncertainty import disagreement
from training.study_images import FINER

DIAMETER = 27.0  # px of a cell in the head's window
_CELLS = 32  # per step
_WIDTH = 16
_RATE = 2e-3
_AT_ONCE = 256


@dataclass(frozen=True)
class KnownCells:
    """Cells of one image whose types are known: ``ids`` of ``labels`` (h, w), and indices."""

    fine: NDArray[np.float32]  # as of a ``StudyImage``
    labels: NDArray[Any]
    ids: NDArray[np.int64]
    types: NDArray[np.int64]


@dataclass(frozen=True)
class TypedCells:
    """Of the cells 1 … n: the share of each type, and what mirrored views disagree on (0 … 1)."""

    shares: NDArray[np.float32]  # (n, T)
    views: NDArray[np.float64]  # (n,)


class Typist:
    """A taught type head for cells of ``diameter`` px."""

    def __init__(self, head: TypeHead, types: int, diameter: float) -> None:
        self.head = head.eval()
        self.types = types
        self.zoom = DIAMETER / (FINER * diameter)

    @torch.no_grad()
    def typed(self, fine: NDArray[np.float32], labels: NDArray[Any]) -> TypedCells:
        """The types of the cells of ``labels`` (h, w) on an image's ``fine`` planes."""
        geometry = cell_geometry(labels)
        votes = [np.zeros((0, 4, self.types))]
        for start in range(0, geometry.labels.size, _AT_ONCE):
            ids = geometry.labels[start : start + _AT_ONCE]
            logits, _ = self.head.views(*_windows(fine, labels, ids, self.zoom))
            votes.append(logits.numpy())
        shares = np.concatenate([softmax(each) for each in votes])
        return TypedCells(shares.mean(axis=1).astype(np.float32), disagreement(shares))


def taught_typist(
    cells: Sequence[KnownCells], types: int, diameter: float, steps: int, seed: int
) -> Typist:
    """A head taught from scratch in so many steps; an untaught one where no type is known."""
    torch.manual_seed(seed)
    channels = cells[0].fine.shape[0] if cells else 1
    head = TypeHead(channels, types, _WIDTH)
    typist = Typist(head, types, diameter)
    some = [each for each in cells if each.ids.size]
    if not some:
        return typist
    parts = [_windows(each.fine, each.labels, each.ids, typist.zoom) for each in some]
    pixels, places = (torch.cat([part[k] for part in parts]) for k in (0, 1))
    truth = torch.from_numpy(np.concatenate([each.types for each in some]))
    weights = _rare_weigh_more(truth, types)
    optimizer = torch.optim.AdamW(head.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
    rng = np.random.default_rng(seed)
    head.train()
    for _ in range(steps):
        pick = torch.from_numpy(rng.choice(len(truth), min(_CELLS, len(truth)), replace=False))
        seen, mask = _turned(pixels[pick], places[pick], rng)
        loss = F.cross_entropy(head(seen, mask), truth[pick], weights)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    head.eval()
    return typist


def _windows(
    fine: NDArray[np.float32], labels: NDArray[Any], ids: NDArray[np.int64], zoom: float
) -> tuple[Tensor, Tensor]:
    labels = labels.repeat(FINER, 0).repeat(FINER, 1)
    geometry = cell_geometry(labels)
    at = np.searchsorted(geometry.labels, ids)
    return cell_windows(
        torch.from_numpy(fine),
        torch.from_numpy(labels.astype(np.int64)),
        torch.from_numpy(ids),
        torch.from_numpy(geometry.centroids[at] + 0.5),
        zoom,
    )


def _turned(pixels: Tensor, places: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A batch turned by right angles and mirrored, all alike: a cell's type has no direction."""
    turns, mirror = int(rng.integers(4)), bool(rng.random() < 0.5)
    both = [torch.rot90(each, turns, (2, 3)) for each in (pixels, places)]
    seen, mask = (each.flip(3) if mirror else each for each in both)
    return seen, mask


def _rare_weigh_more(truth: Tensor, types: int) -> Tensor:
    """Inverse frequency (T,), at most ten times that of the most frequent type."""
    counts = torch.bincount(truth, minlength=types).float()
    inverse = 1 / torch.clamp(counts, min=max(1.0, float(counts.max()) / 10))
    return inverse / inverse.mean()
