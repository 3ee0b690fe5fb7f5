"""The head that names a cell's type from the pixels of that cell alone.

Mask R-CNN's own class head pools a box, and in a co-culture a box also holds the neighbours. Worse,
single-type cultures teach it to look at them: there, every neighbour has the cell's own type. So
this head sees a window of fixed size around one instance: its own pixels and a few px of unclaimed
surroundings (which hold what a coarse mask leaves out), everything else blanked. Each channel is
standardised within the mask, so that stain strength and background say nothing. Shape, texture,
nucleus and size (the window is never stretched to the box) say the rest.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

WINDOW = 64  # px at the network's scale; a cell of the network's diameter is about 27 px
REACH = 5  # px around the mask in which pixels that belong to no other cell are seen
_FLAT = 0.05  # least standard deviation, in units of the image's 1st–99th percentile range


def cell_windows(
    image: Tensor, labels: Tensor, ids: Tensor, centres: Tensor, zoom: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Windows around cells: pixels (n, C, W, W) f32, and (n, 2, W, W) f32 of 0 and 1 that tells
    the cell's own pixels, and those together with the pixels of no cell.

    ``image`` (C, H, W) f32 and ``labels`` (H, W) int64 in image pixels; ``ids`` (n,) name the
    cells and ``centres`` (n, 2) their x, y; ``zoom`` is network pixels per image pixel.
    """
    half = WINDOW / (2 * zoom)
    boxes = torch.cat([centres - half, centres + half], 1).float()
    samples = 1 if zoom >= 0.75 else 0  # 0: average all pixels of a bin when shrinking
    pixels = roi_align(image[None], [boxes], WINDOW, sampling_ratio=samples, aligned=True)
    steps = (torch.arange(WINDOW, device=image.device) + 0.5) / zoom
    columns = (boxes[:, 0, None] + steps).floor().long()
    rows = (boxes[:, 1, None] + steps).floor().long()
    height, width = labels.shape
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
        :, None
    ]
    owner = labels[rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None]]
    own = (owner == ids[:, None, None]) & inside
    return pixels, torch.stack([own, own | ((owner == 0) & inside)], 1).float()


def standardised(pixels: Tensor, places: Tensor) -> Tensor:
    """Network input (n, C + 1, W, W): z-scores by the cell's own pixels, zeros where it does not
    look, and its mask. ``places`` is the second answer of ``cell_windows``.
    """
    mask = places[:, :1]
    # A square's maximum by rows, then by columns: a third of the time.
    near = F.max_pool2d(mask, (2 * REACH + 1, 1), stride=1, padding=(REACH, 0))
    near = F.max_pool2d(near, (1, 2 * REACH + 1), stride=1, padding=(0, REACH))
    seen = torch.maximum(mask, near * places[:, 1:])
    area = mask.sum((2, 3), keepdim=True).clamp(min=1)
    mean = (pixels * mask).sum((2, 3), keepdim=True) / area
    centred = pixels - mean
    deviation = ((centred.square() * mask).sum((2, 3), keepdim=True) / area).sqrt()
    return torch.cat([centred / (deviation + _FLAT) * seen, mask], 1)


def _step(inner: int, outer: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, stride=2, padding=1, bias=False),
        nn.GroupNorm(8, outer),
        nn.ReLU(inplace=True),
    )


class TypeHead(nn.Module):
    """A small convolutional net over windows: (n, C, W, W), (n, 2, W, W) → logits (n, T)."""

    def __init__(self, channels: int, types: int, width: int = 32) -> None:
        super().__init__()
        widths = (width, 2 * width, 3 * width, 4 * width)
        # No norm here: its backward pass at this size costs more than all the rest.
        self.stem = nn.Conv2d(channels + 1, width, 5, stride=2, padding=2)
        self.steps = nn.Sequential(*(_step(inner, outer) for inner, outer in pairwise(widths)))
        self.drop = nn.Dropout(0.2)
        self.name = nn.Linear(2 * widths[-1], types)

    def forward(self, pixels: Tensor, places: Tensor) -> Tensor:
        """Logits (n, T) in float32."""
        return self._named(self._pooled(standardised(pixels, places)))

    def _pooled(self, seen: Tensor) -> Tensor:
        """What the steps make of the answer of ``standardised``: (n, F) in float32."""
        features = seen.contiguous(memory_format=torch.channels_last)
        features = self.steps(torch.relu(self.stem(features))).float()
        return torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)

    def _named(self, pooled: Tensor) -> Tensor:
        logits: Tensor = self.name(self.drop(pooled))
        return logits.float()

    def views(self, pixels: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, 4, T) of the four mirrorings, and the mean of what was seen in them (n, F).

        A cell's type has no direction: the logits' mean is a better one's than each, and what they
        differ by tells how sure the head is.
        """
        seen = standardised(pixels, places)
        pooled = [self._pooled(seen.flip(axes)) for axes in ((), (2,), (3,), (2, 3))]
        votes = torch.stack([self._named(each) for each in pooled], 1)
        return votes, torch.stack(pooled).mean(0)
