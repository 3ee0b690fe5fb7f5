"""The cellpose U-Net at work on a CPU: an OpenVINO graph of the same function.

The graph is built operation by operation from ``CPnet``'s weights, which takes a tenth of a second
and serves images of any size. Where the image is enlarged, 1 × 1 steps are done before instead of
after: they cost a quarter, and nearest-neighbour enlargement commutes with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from cellpose.resnet_torch import CPnet
from numpy.typing import NDArray
from torch import Tensor, nn

try:
    import openvino as ov
    from openvino import opset13 as ops
except ImportError:  # no wheel for this processor: CPnet itself runs
    ov = ops = None

Node = Any  # of the graph; openvino does not type them


def can_compile(device: torch.device) -> bool:
    """Whether OpenVINO is here and the network is to run on a CPU."""
    return device.type == "cpu" and ov is not None


class OpenVinoUNet:
    """``net`` compiled for this CPU; answers as it does. Not to be shared between threads."""

    def __init__(self, net: CPnet, dtype: torch.dtype) -> None:
        """``dtype`` (bfloat16 or float32) is that of weights and activations."""
        precision = {torch.bfloat16: "bf16", torch.float32: "f32"}[dtype]
        how = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        with torch.inference_mode():
            compiled = ov.Core().compile_model(_graph(net), "CPU", how)
        self._request = compiled.create_infer_request()

    def __call__(
        self, images: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(n, C, h, w) → outputs (n, 3, h, w) and styles (n, S).

        One image at a time: together they gain nothing and take more memory.
        """
        answers = [self._one(images[at : at + 1]) for at in range(len(images))]
        outputs, styles = zip(*answers, strict=True)
        return np.concatenate(outputs), np.concatenate(styles)

    def _one(self, image: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
        self._request.infer([np.ascontiguousarray(image)], share_inputs=True)
        outputs, style = (self._request.get_output_tensor(at).data.copy() for at in (0, 1))
        return outputs, style


def _graph(net: CPnet) -> Any:
    image = ops.parameter([-1, net.nchan, -1, -1], np.float32, name="image")
    levels: list[Node] = []
    x: Node = image
    for depth, block in enumerate(net.downsample.down):
        x = _down(block, _halved(x) if depth else x)
        levels.append(x)
    style = _style(x)
    for depth in reversed(range(len(net.upsample.up))):
        enlarge = depth < len(net.upsample.up) - 1
        x = _up(net.upsample.up[depth], x, levels[depth], style, enlarge)
    norm, convolution = _parts(net.output)
    outputs = _convolved(_rectified(x, norm), convolution)
    return ov.Model([outputs, style], [image], "cpnet")


def _down(block: Any, x: Node) -> Node:
    """cellpose's ``resdown``."""
    residual = _shortcut(x, block.proj)
    for pair in ((0, 1), (2, 3)):
        for at in pair:
            norm, convolution = _parts(block.conv[at])
            x = _convolved(_rectified(x, norm), convolution)
        x = residual = ops.add(residual, x)
    return x


def _up(block: Any, x: Node, beside: Node, style: Node, enlarge: bool) -> Node:
    """cellpose's ``resup``, with the enlargement in front of it."""
    first, *styled = block.conv
    residual = _shortcut(x, block.proj)
    norm, convolution = _parts(first)
    x = _rectified(x, norm)
    if enlarge:
        residual, x = _doubled(residual), _doubled(x)
    x = ops.add(_convolved(x, convolution), beside)
    x = residual = ops.add(residual, _styled(styled[0], x, style))
    x = _styled(styled[1], x, style)
    return ops.add(residual, _styled(styled[2], x, style))


def _styled(step: Any, x: Node, style: Node) -> Node:
    """cellpose's ``batchconvstyle``."""
    weight, bias = _constant(step.full.weight), _constant(step.full.bias)
    shift = ops.add(ops.matmul(style, weight, False, True), bias)
    norm, convolution = _parts(step.conv)
    x = ops.add(x, ops.unsqueeze(ops.unsqueeze(shift, np.int64(2)), np.int64(3)))
    return _convolved(_rectified(x, norm), convolution)


def _style(x: Node) -> Node:
    mean = ops.reduce_mean(x, np.array([2, 3]), keep_dims=False)
    length = ops.sqrt(ops.reduce_sum(ops.multiply(mean, mean), np.array([1]), keep_dims=True))
    return ops.divide(mean, length)


def _rectified(x: Node, norm: nn.BatchNorm2d) -> Node:
    scale, shift = (_constant(each.view(1, -1, 1, 1)) for each in _affine(norm))
    return ops.relu(ops.add(ops.multiply(x, scale), shift))


def _convolved(x: Node, convolution: nn.Conv2d) -> Node:
    assert convolution.bias is not None
    return _convolution(x, convolution.weight, convolution.bias)


def _shortcut(x: Node, step: nn.Sequential) -> Node:
    """A batch norm and a 1 × 1 convolution as one."""
    norm, convolution = _parts(step)
    scale, shift = _affine(norm)
    assert convolution.bias is not None
    bias = convolution.bias + convolution.weight[:, :, 0, 0] @ shift
    return _convolution(x, convolution.weight * scale.view(1, -1, 1, 1), bias)


def _convolution(x: Node, weight: Tensor, bias: Tensor) -> Node:
    pad = [weight.shape[-1] // 2] * 2
    x = ops.convolution(x, _constant(weight), [1, 1], pad, pad, [1, 1])
    return ops.add(x, _constant(bias.view(1, -1, 1, 1)))


def _halved(x: Node) -> Node:
    return ops.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)


def _doubled(x: Node) -> Node:
    scales = np.array([2, 2], np.float32)
    return ops.interpolate(
        x,
        scales,
        "nearest",
        "scales",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
        axes=np.array([2, 3]),
    )


def _constant(values: Tensor) -> Node:
    return ops.constant(values.detach().float().numpy())


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
