"""The cellpose U-Net at work on a CPU: the same function with fewer trips through memory.

``CPnet`` normalises, cuts at zero and convolves in turn, and adds to its residual: at full size
each step reads and writes the whole image, and on a processor that multiplies bfloat16 these steps
cost more than the convolutions. Here

- a batch norm that follows a convolution directly goes into that convolution's weights, and its
  rectifier and the residual sum into the convolution's epilogue (oneDNN post-ops);
- a batch norm in front of a 1 × 1 convolution goes into that one's weights (there is no padding);
- the other batch norms with their rectifiers are one depthwise 1 × 1 convolution each;
- where the image is enlarged, 1 × 1 steps are done before instead of after.

One image at a time, since the style vector makes biases differ between images. Weights are folded
in float32 and rounded once.
"""

from __future__ import annotations

from typing import Any

import torch
from cellpose.resnet_torch import CPnet
from torch import Tensor, nn
from torch.nn import functional as F


def can_fuse(device: torch.device) -> bool:
    """Whether this torch has the fused convolutions: oneDNN on a CPU."""
    return (
        device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    )


class FusedUNet:
    """``net`` rearranged; answers as it does. ``dtype`` is that of weights and activations."""

    def __init__(self, net: CPnet, dtype: torch.dtype) -> None:
        self.dtype = dtype
        with torch.inference_mode():
            self.down = [_Down(block, dtype) for block in net.downsample.down]
            self.up = [_Up(block, dtype) for block in net.upsample.up]
            norm, convolution = _parts(net.output)
            self.rectify = _Rectify(norm, dtype)
            self.output = _Convolution(convolution.weight, convolution.bias, dtype)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(n, C, h, w) → outputs (n, 3, h, w) and styles (n, S), float32."""
        answers = [self._one(image) for image in images.split(1)]
        outputs, styles = (torch.cat(part) for part in zip(*answers, strict=True))
        return outputs, styles

    def _one(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = image.to(self.dtype, memory_format=torch.channels_last)
        levels = []
        for depth, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if depth else x)
            levels.append(x)
        style = x.float().mean((2, 3))
        style = style / style.square().sum(1, keepdim=True).sqrt()
        for depth in reversed(range(len(self.up))):
            enlarge = depth < len(self.up) - 1
            x = self.up[depth](x, levels[depth], style[0], enlarge)
        return self.output(self.rectify(x)).float(), style


class _Convolution:
    """Stride 1, same size; then maybe a residual sum, then maybe a cut at zero, in one pass."""

    def __init__(
        self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, groups: int = 1
    ) -> None:
        assert bias is not None
        self.weight = weight.to(dtype, memory_format=torch.channels_last)
        self.bias = bias.to(dtype)
        self.groups = groups
        self.pad = [weight.shape[-1] // 2] * 2

    def __call__(self, x: Tensor, bias: Tensor | None = None, rectify: bool = False) -> Tensor:
        bias = self.bias if bias is None else bias.to(self.bias.dtype)
        epilogue: list[Any] = ["relu" if rectify else "none", [], ""]
        answer: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, bias, self.pad, [1, 1], [1, 1], self.groups, *epilogue
        )
        return answer

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """The convolution of ``x``, and ``residual`` added to it."""
        epilogue: list[Any] = ["add", None, None, [], ""]
        answer: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(
            x,
            residual,
            self.weight,
            self.bias,
            self.pad,
            [1, 1],
            [1, 1],
            self.groups,
            *epilogue,
        )
        return answer


class _Rectify:
    """max(0, batch norm(x + shift)), the shift per channel."""

    def __init__(self, norm: nn.BatchNorm2d, dtype: torch.dtype) -> None:
        self.scale, self.shift = _affine(norm)
        weight = self.scale.view(-1, 1, 1, 1)
        self.convolution = _Convolution(weight, self.shift, dtype, groups=len(self.scale))

    def __call__(self, x: Tensor, shift: Tensor | None = None) -> Tensor:
        bias = None if shift is None else self.shift + self.scale * shift
        return self.convolution(x, bias, rectify=True)


class _Down:
    """cellpose's ``resdown``."""

    def __init__(self, block: Any, dtype: torch.dtype) -> None:
        norms, convolutions = zip(*(_parts(each) for each in block.conv), strict=True)
        self.shortcut = _after_norm(*_parts(block.proj), dtype)
        self.rectify = [_Rectify(norms[0], dtype), _Rectify(norms[2], dtype)]
        self.inner = [
            _Convolution(*_before_norm(convolutions[at], norms[at + 1]), dtype) for at in (0, 2)
        ]
        self.outer = [
            _Convolution(convolutions[at].weight, convolutions[at].bias, dtype) for at in (1, 3)
        ]

    def __call__(self, x: Tensor) -> Tensor:
        residual = self.shortcut(x)
        for rectify, inner, outer in zip(self.rectify, self.inner, self.outer, strict=True):
            x = residual = outer.plus(inner(rectify(x), rectify=True), residual)
        return x


class _Up:
    """cellpose's ``resup``, with the enlargement in front of it."""

    def __init__(self, block: Any, dtype: torch.dtype) -> None:
        first, *styled = block.conv
        steps = [_parts(first), *(_parts(each.conv) for each in styled)]
        norms, convolutions = zip(*steps, strict=True)
        plain = [_Convolution(each.weight, each.bias, dtype) for each in convolutions]
        self.shortcut = _after_norm(*_parts(block.proj), dtype)
        self.rectify = [_Rectify(norm, dtype) for norm in norms[:3]]
        self.first, self.second, self.last = plain[0], plain[1], plain[3]
        weight, self.bias = _before_norm(convolutions[2], norms[3])
        self.scale = _affine(norms[3])[0]
        self.third = _Convolution(weight, self.bias, dtype)
        self.full = [each.full for each in styled]

    def __call__(self, x: Tensor, beside: Tensor, style: Tensor, enlarge: bool) -> Tensor:
        shifts = [full(style) for full in self.full]
        residual, x = self.shortcut(x), self.rectify[0](x)
        if enlarge:
            residual, x = (F.interpolate(each, scale_factor=2) for each in (residual, x))
        x = self.rectify[1](self.first.plus(x, beside), shifts[0])
        residual = self.second.plus(x, residual)
        x = self.rectify[2](residual, shifts[1])
        x = self.third(x, self.bias + self.scale * shifts[2], rectify=True)
        return self.last.plus(x, residual)


def _parts(step: nn.Sequential) -> tuple[nn.BatchNorm2d, nn.Conv2d]:
    """The batch norm at the beginning and the convolution at the end of cellpose's steps."""
    norm, convolution = step[0], step[-1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert isinstance(convolution, nn.Conv2d)
    return norm, convolution


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Scale and shift (C,) of a batch norm at work."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def _after_norm(norm: nn.BatchNorm2d, convolution: nn.Conv2d, dtype: torch.dtype) -> _Convolution:
    """A 1 × 1 convolution with the batch norm in front of it."""
    scale, shift = _affine(norm)
    assert convolution.bias is not None
    bias = convolution.bias + convolution.weight[:, :, 0, 0] @ shift
    return _Convolution(convolution.weight * scale.view(1, -1, 1, 1), bias, dtype)


def _before_norm(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with the batch norm behind it."""
    scale, shift = _affine(norm)
    assert convolution.bias is not None
    return convolution.weight * scale.view(-1, 1, 1, 1), convolution.bias * scale + shift
