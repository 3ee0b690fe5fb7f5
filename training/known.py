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
# Share of a box that must be known for it to be taught as background: what lies in the rest may be
# a cell that nobody has answered for.
_MOSTLY = 0.7
_IGNORED = -1  # torchvision's label of boxes that teach nothing


def share_of_crop(
    regions: Sequence[Rectangle] | None, shape: tuple[int, int], zoom: float, side: int
) -> float:
    """How much of a crop of ``side`` px at ``zoom`` the complete ``regions`` fill, at most 1.

    Of an image smaller than a crop, how much of what the crop shows of it. An image of which a cell
    or two are known has less to teach than one that is known as a whole, and is shown the more
    rarely; else what is known of windows and images would be forgotten.
    """
    height, width = shape
    if regions is None or (0, 0, width, height) in [tuple(region) for region in regions]:
        return 1.0
    area = int(painted(regions, _around(regions, shape)).sum())
    return min(1.0, area / (min(height, side / zoom) * min(width, side / zoom)))


def _around(regions: Sequence[Rectangle], shape: tuple[int, int]) -> Rectangle:
    """What of an image encloses them; nothing where they lie outside."""
    x0, y0, x1, y1 = zip(*regions, strict=True) if regions else ((0,),) * 4
    left, top = max(0, min(x0)), max(0, min(y0))
    return left, top, max(left, min(shape[1], max(x1))), max(top, min(shape[0], max(y1)))


def teach_known_only(rcnn: MaskRCNN) -> None:
    """Let no box that lies in unknown parts of a target be taught as background: neither anchors
    nor proposals. Boxes of true cells teach wherever they lie, and a crop in which nothing is known
    well enough teaches nothing.
    """
    rpn: Any = rcnn.rpn
    heads: Any = rcnn.roi_heads
    rpn.assign_targets_to_anchors = partial(_anchors, rpn.assign_targets_to_anchors)
    rpn.compute_loss = partial(_rpn_loss, rpn.compute_loss)
    heads.select_training_samples = partial(_proposals, heads, heads.select_training_samples)


Targets = list[dict[str, Tensor]]


def _anchors(
    assign: Any, anchors: list[Tensor], targets: Targets
) -> tuple[list[Tensor], list[Tensor]]:
    labels, boxes = assign(anchors, targets)
    for each, there, target in zip(labels, anchors, targets, strict=True):
        _ignore(each, there, target)
    return labels, boxes


def _rpn_loss(
    compute: Any, objectness: Tensor, deltas: Tensor, labels: list[Tensor], regression: Any
) -> tuple[Tensor, Tensor]:
    if any(bool((each >= 0).any()) for each in labels):
        both: tuple[Tensor, Tensor] = compute(objectness, deltas, labels, regression)
        return both
    return objectness.sum() * 0, deltas.sum() * 0  # a mean over no anchor would not be a number


def _proposals(heads: Any, select: Any, proposals: list[Tensor], targets: Targets) -> Any:
    assign = type(heads).assign_targets_to_proposals
    # A box of one pixel is no cell, wherever it lies: there is always something to sample.
    speck = proposals[0].new_tensor([[0.0, 0.0, 1.0, 1.0]])
    proposals = [
        torch.cat([each, speck]) if KNOWN in target else each
        for each, target in zip(proposals, targets, strict=True)
    ]

    def assigned(proposed: list[Tensor], *truth: Any) -> tuple[list[Tensor], list[Tensor]]:
        matched, labels = assign(heads, proposed, *truth)
        for each, there, target in zip(labels, proposed, targets, strict=True):
            _ignore(each, there, target)
            if KNOWN in target:
                each[(there == speck).all(dim=1)] = 0
        return matched, labels

    heads.assign_targets_to_proposals = assigned
    try:
        return select(proposals, targets)
    finally:
        del heads.assign_targets_to_proposals


def _ignore(labels: Tensor, boxes: Tensor, target: dict[str, Tensor]) -> None:
    """Change in ``labels`` (n,) those of background whose ``boxes`` (n, 4) are hardly known."""
    if KNOWN in target:
        unknown = known_share(target[KNOWN], boxes) < _MOSTLY
        labels[(labels == 0) & unknown] = _IGNORED


def known_share(known: Tensor, boxes: Tensor) -> Tensor:
    """Share (n,) of each box (n, 4), x0 y0 x1 y1 px, in which ``known`` (h, w) holds, of all
    pixels of the crop that it touches; 0 of one that touches none.
    """
    height, width = known.shape
    sums = torch.zeros((height + 1, width + 1), dtype=torch.int32, device=known.device)
    sums[1:, 1:] = known.int().cumsum(0).cumsum(1)
    x0, y0 = (boxes[:, k].floor().clamp(0, n).long() for k, n in ((0, width), (1, height)))
    x1, y1 = (boxes[:, k].ceil().clamp(0, n).long() for k, n in ((2, width), (3, height)))
    inside = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
    return inside / ((x1 - x0) * (y1 - y0)).clamp(min=1)
