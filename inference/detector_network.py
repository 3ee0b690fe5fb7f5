"""The detector as a network: torchvision's Mask R-CNN (He et al. 2017) fitted to cells, and a head
that names types. Mask R-CNN finds cells of any type; ``TypeHead`` names them.

What differs from COCO: no resizing to 800 px, anchors measured on the training cells, hundreds of
detections per image, and masks left at box size.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import (
    FastRCNNConvFCHead,
    FastRCNNPredictor,
    TwoMLPHead,
)
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork

from inference.errors import InferenceError
from inference.type_head import TypeHead

BACKBONES = ("small", "resnet50_fpn_v2")
LEVELS = {"small": 3, "resnet50_fpn_v2": 4}  # feature maps of stride 4, 8, 16 (, 32)
_HARDLY_A_CELL = 0.02  # objectness
_MEAN, _STD = 0.25, 0.25  # of percentile-normalised fluorescence: mostly dark


class DetectorNetwork(nn.Module):
    """``rcnn`` finds cells; ``types`` names them (absent when the data set has no types)."""

    def __init__(self, architecture: dict[str, Any], channels: int, types: int) -> None:
        super().__init__()
        self.rcnn = _mask_rcnn(architecture, channels)
        self.types = TypeHead(channels, types) if types else None

    def train(self, mode: bool = True) -> DetectorNetwork:
        # At work, proposals that are hardly cells are dropped early; in training the second stage
        # must see them to learn what is none.
        self.rcnn.rpn.score_thresh = 0.0 if mode else _HARDLY_A_CELL
        super().train(mode)
        return self

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None) -> Any:
        """Losses by name in training, else per image boxes, scores and 28 × 28 masks."""
        return self.rcnn(images, targets)


class SmallBackbone(nn.Module):
    """A residual net of 0.9 M weights (width 32) that trains from scratch in minutes on a CPU.

    Group norm (Wu & He 2018) instead of batch norm: batches are of a few crops, and stains differ
    between training and use.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        widths = (2 * width, 3 * width, 4 * width)
        self.stem = nn.Conv2d(channels, width, 5, stride=2, padding=2)
        self.stages = nn.ModuleList()
        inner = width
        for outer in widths:
            self.stages.append(nn.Sequential(_Residual(inner, outer, 2), _Residual(outer, outer)))
            inner = outer
        self.out_channels = 2 * width
        self.fpn = FeaturePyramidNetwork(list(widths), self.out_channels)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(n, C, H, W) → maps "0", "1", "2" of stride 4, 8, 16."""
        features = torch.relu(self.stem(images))
        maps: OrderedDict[str, Tensor] = OrderedDict()
        for index, stage in enumerate(self.stages):
            features = stage(features)
            maps[str(index)] = features
        pyramid: dict[str, Tensor] = self.fpn(maps)
        return pyramid


def _convolution(inner: int, outer: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, stride=stride, padding=1, bias=False),
        nn.GroupNorm(8, outer),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    """Two convolutions and a shortcut (He et al. 2016)."""

    def __init__(self, inner: int, outer: int, stride: int = 1) -> None:
        super().__init__()
        self.first = _convolution(inner, outer, stride)
        self.second = nn.Conv2d(outer, outer, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(8, outer)
        same = inner == outer and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(inner, outer, 1, bias=False)
        # The shortcut takes every second pixel by slicing: oneDNN 3.12's backward pass of strided
        # 1 × 1 convolutions writes beyond its memory where channels are no multiple of 16.
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        beside = self.shortcut(x[:, :, :: self.stride, :: self.stride])
        return torch.relu(self.norm(self.second(self.first(x))) + beside)


class _CellTransform(GeneralizedRCNNTransform):
    """Pads a batch and shifts its values; neither resizes images nor pastes masks into them."""

    def __init__(self, channels: int) -> None:
        super().__init__(1, 1, [_MEAN] * channels, [_STD] * channels)

    def resize(
        self, image: Tensor, target: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor] | None]:
        return image, target

    def batch_images(self, images: list[Tensor], size_divisible: int = 32) -> Tensor:
        batch: Tensor = super().batch_images(images, size_divisible)
        return batch.contiguous(memory_format=torch.channels_last)  # 4–8 times faster in bf16

    def postprocess(
        self,
        result: list[dict[str, Tensor]],
        image_shapes: list[tuple[int, int]],
        original_image_sizes: list[tuple[int, int]],
    ) -> list[dict[str, Tensor]]:
        return result  # masks stay 28 × 28; ``inference.detector`` pastes each at its box


def _mask_rcnn(architecture: dict[str, Any], channels: int) -> MaskRCNN:
    name = architecture.get("backbone")
    if name not in BACKBONES:
        raise InferenceError(f"There is no detector backbone {name}; use {' or '.join(BACKBONES)}.")
    parts = _small(architecture, channels) if name == "small" else _resnet(architecture, channels)
    levels = [str(level) for level in range(LEVELS[name])]
    model = MaskRCNN(
        **parts,
        # One sample per bin: a bin of a cell's box is about one pixel of its feature map, and the
        # backward pass of RoIAlign would take half of a CPU's training time with four.
        box_roi_pool=MultiScaleRoIAlign(levels, 7, 1),
        mask_roi_pool=MultiScaleRoIAlign(levels, 14, 1),
        rpn_pre_nms_top_n_train=600,
        rpn_post_nms_top_n_train=400,
        rpn_pre_nms_top_n_test=3000,
        rpn_post_nms_top_n_test=2000,
        rpn_fg_iou_thresh=0.6,
        rpn_batch_size_per_image=128,
        box_batch_size_per_image=64,
        box_positive_fraction=0.4,
        box_score_thresh=0.1,
        # Boxes of touching spindles overlap far more than those of COCO's things.
        box_nms_thresh=0.6,
        box_detections_per_img=int(architecture.get("detections", 800)),
    )
    model.transform = _CellTransform(channels)
    # Under autocast the heavy parts answer in bf16; boxes and losses need float32.
    heads = model.roi_heads
    for part in (model.backbone, model.rpn.head, heads.box_predictor, heads.mask_predictor):
        part.register_forward_hook(lambda module, inputs, output: _float32(output))
    return model


def _float32(output: Any) -> Any:
    if isinstance(output, Tensor):
        return output.float()
    if isinstance(output, dict):
        return OrderedDict((key, value.float()) for key, value in output.items())
    return tuple(_float32(value) for value in output)


def _anchors(architecture: dict[str, Any]) -> AnchorGenerator:
    """One size per feature map, the same aspect ratios (height over width) on each."""
    anchors = architecture["anchors"]
    sizes = tuple((float(size),) for size in anchors["sizes"])
    ratios = (tuple(float(ratio) for ratio in anchors["ratios"]),) * len(sizes)
    return AnchorGenerator(sizes, ratios)


def _small(architecture: dict[str, Any], channels: int) -> dict[str, Any]:
    width = int(architecture.get("width", 32))
    backbone = SmallBackbone(channels, width)
    anchors = _anchors(architecture)
    wide = backbone.out_channels
    return {
        "backbone": backbone,
        "rpn_anchor_generator": anchors,
        "rpn_head": RPNHead(wide, anchors.num_anchors_per_location()[0]),
        "box_head": TwoMLPHead(wide * 49, 256),
        "box_predictor": FastRCNNPredictor(256, 2),
        "mask_head": MaskRCNNHeads(wide, [wide] * 3, 1),
        "mask_predictor": MaskRCNNPredictor(wide, wide, 2),
    }


def _resnet(architecture: dict[str, Any], channels: int) -> dict[str, Any]:
    """The parts of torchvision's ``maskrcnn_resnet50_fpn_v2``, so that its weights fit.

    Under COCO's weights batch norm is frozen: batches of a few crops would spoil its statistics.
    From scratch there are none to keep, and group norm takes its place.
    """
    norm = FrozenBatchNorm2d if architecture.get("norm") == "frozen" else partial(nn.GroupNorm, 32)
    body = resnet50(weights=None, norm_layer=norm)
    body.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    stages = {f"layer{stage}": str(stage - 1) for stage in (1, 2, 3, 4)}
    backbone = BackboneWithFPN(body, stages, [256, 512, 1024, 2048], 256, norm_layer=norm)
    # The pooled fifth map of COCO's model looks for things of 512 px.
    backbone.fpn.extra_blocks = None
    anchors = _anchors(architecture)
    return {
        "backbone": backbone,
        "rpn_anchor_generator": anchors,
        "rpn_head": RPNHead(256, anchors.num_anchors_per_location()[0], conv_depth=2),
        "box_head": FastRCNNConvFCHead((256, 7, 7), [256] * 4, [1024], norm_layer=norm),
        "box_predictor": FastRCNNPredictor(1024, 2),
        "mask_head": MaskRCNNHeads(256, [256] * 4, 1, norm_layer=norm),
        "mask_predictor": MaskRCNNPredictor(256, 256, 2),
    }
