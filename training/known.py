"""Where the labels of a partly annotated image are complete, and what may be taught there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from inference.rectangles import painted

Rectangle = tuple[int, int, int, int]  # x0, y0, x1, y1 px, half-open

KNOWN = "known"  # of a target: (s, s) bool, where labels are complete; absent: everywhere
# Share of a box that must be complete for it to be taught as background: what lies in the rest may
# be a cell that nobody has answered for.
_SEEN = 0.7
_IGNORED = -1  # torchvision's label of boxes that teach nothing


def share_of_crop(
    regions: Sequence[Rectangle] | None, shape: tuple[int, int], zoom: float, side: int
) -> float:
    """How much of a crop of ``side`` px at ``zoom`` the complete ``regions`` fill, at most 1.

    An image of which a cell or two are known has less to teach than one that is known as a whole,
    and is shown the more rarely; else what is known of windows and images would be forgotten.
    """
    height, width = shape
    if regions is None:
        return 1.0
    area = int(painted(regions, (0, 0, width, height)).sum())
    return 1.0 if area == width * height else min(1.0, area * (zoom / side) ** 2)


def teach_known_only(rcnn: MaskRCNN) -> None:
    """Let no box that lies in unknown parts of a target be taught as background: neither anchors
    nor proposals. Boxes of true cells teach wherever they lie.
    """
    rpn: Any = rcnn.rpn
    heads: Any = rcnn.roi_heads
    rpn.assign_targets_to_anchors = partial(_anchors, rpn.assign_targets_to_anchors)
    heads.select_training_samples = partial(_proposals, heads, heads.select_training_samples)


Targets = list[dict[str, Tensor]]


def _anchors(
    assign: Any, anchors: list[Tensor], targets: Targets
) -> tuple[list[Tensor], list[Tensor]]:
    labels, boxes = assign(anchors, targets)
    for each, there, target in zip(labels, anchors, targets, strict=True):
        _ignore(each, there, target)
    return labels, boxes


def _proposals(heads: Any, select: Any, proposals: list[Tensor], targets: Targets) -> Any:
    assign = type(heads).assign_targets_to_proposals

    def assigned(proposed: list[Tensor], *truth: Any) -> tuple[list[Tensor], list[Tensor]]:
        matched, labels = assign(heads, proposed, *truth)
        for each, there, target in zip(labels, proposed, targets, strict=True):
            _ignore(each, there, target)
        return matched, labels

    heads.assign_targets_to_proposals = assigned
    try:
        return select(proposals, targets)
    finally:
        del heads.assign_targets_to_proposals


def _ignore(labels: Tensor, boxes: Tensor, target: dict[str, Tensor]) -> None:
    """Change in ``labels`` (n,) those of background whose ``boxes`` (n, 4) are hardly known."""
    if KNOWN in target:
        unknown = known_share(target[KNOWN], boxes) < _SEEN
        labels[(labels == 0) & unknown] = _IGNORED


def known_share(known: Tensor, boxes: Tensor) -> Tensor:
    """Share (n,) of each box (n, 4), x0 y0 x1 y1 px, in which ``known`` (h, w) holds; what lies
    outside the crop counts as known.
    """
    height, width = known.shape
    sums = torch.zeros((height + 1, width + 1), dtype=torch.float64, device=known.device)
    sums[1:, 1:] = (~known).cumsum(0, dtype=torch.float64).cumsum(1)
    x0, x1 = (boxes[:, k].round().clamp(0, width).long() for k in (0, 2))
    y0, y1 = (boxes[:, k].round().clamp(0, height).long() for k in (1, 3))
    unknown = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
    area = ((x1 - x0) * (y1 - y0)).clamp(min=1)
    return 1 - unknown / area
