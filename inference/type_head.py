"""The head that names a cell's type from the pixels of that cell alone.

Mask R-CNN's own class head pools a box, and in a co-culture a box also holds the neighbours. Worse,
single-type cultures teach it to look at them: there, every neighbour has the cell's own type. So
this head sees a window of fixed size around one instance with everything outside its mask blanked,
and each channel standardised within the mask, so that stain strength and background say nothing.
Shape, texture, nucleus and size (the window is never stretched to the box) say the rest.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

WINDOW = 64  # px at the network's scale; a cell of the network's diameter is about 27 px
_FLAT = 0.05  # least standard deviation, in units of the image's 1st–99th percentile range


def cell_windows(
    image: Tensor, labels: Tensor, ids: Tensor, centres: Tensor, zoom: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Windows around cells: pixels (n, C, W, W) f32 and masks (n, 1, W, W) f32 of 0 and 1.

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
    mask = (owner == ids[:, None, None]) & inside
    return pixels, mask[:, None].float()


def standardised(pixels: Tensor, mask: Tensor) -> Tensor:
    """Network input (n, C + 1, W, W): z-scores within the mask, zeros outside, and the mask."""
    area = mask.sum((2, 3), keepdim=True).clamp(min=1)
    mean = (pixels * mask).sum((2, 3), keepdim=True) / area
    centred = (pixels - mean) * mask
    deviation = (centred.square().sum((2, 3), keepdim=True) / area).sqrt()
    return torch.cat([centred / (deviation + _FLAT), mask], 1)


def _step(inner: int, outer: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, stride=stride, padding=1, bias=False),
        nn.GroupNorm(8, outer),
        nn.ReLU(inplace=True),
    )


class TypeHead(nn.Module):
    """A small convolutional net over windows: (n, C, W, W), (n, 1, W, W) → logits (n, T)."""

    def __init__(self, channels: int, types: int, width: int = 24) -> None:
        super().__init__()
        widths = (width, width, 2 * width, 3 * width, 4 * width)
        self.stem = _step(channels + 1, width, 1)
        self.steps = nn.Sequential(
            *(_step(a, b, 2) for a, b in zip(widths[:-1], widths[1:], strict=True))
        )
        self.drop = nn.Dropout(0.2)
        self.name = nn.Linear(2 * widths[-1], types)

    def forward(self, pixels: Tensor, mask: Tensor) -> Tensor:
        """Logits (n, T) in float32."""
        mask = F.max_pool2d(mask, 3, stride=1, padding=1)  # one pixel around: the outline matters
        features = standardised(pixels, mask).contiguous(memory_format=torch.channels_last)
        features = self.steps(self.stem(features)).float()
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
        logits: Tensor = self.name(self.drop(pooled))
        return logits.float()

    def flipped(self, pixels: Tensor, mask: Tensor) -> Tensor:
        """Logits averaged over the four mirrorings: a cell's type has no direction."""
        votes = [
            self(pixels.flip(axes), mask.flip(axes)) for axes in ((), (2,), (3,), (2, 3))
        ]
        return torch.stack(votes).mean(0)
