"""The cellpose U-Net: preprocess, forward, decode; and the cell diameter of an image.

The network is ``CPnet`` of cellpose 3 (Stringer et al. 2021), so its checkpoints load unchanged.
Everything around it is ours and follows cellpose 3 step by step where the diameter is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cellpose.resnet_torch import CPnet
from numpy.typing import NDArray
from torch import Tensor

from inference import checkpoint, memory, scales
from inference.checkpoint import ModelMeta
from inference.devices import fast_in_bfloat16, pick_device
from inference.errors import InferenceError
from inference.flows import DecodeSettings, decode
from inference.labels import median_diameter
from inference.normalize import check_image, network_planes, normalize, resize
from inference.openvino_unet import OpenVinoUNet, can_compile
from inference.threads import Threads
from inference.tiling import SPARING, WIDE, run_tiled

CPNET_WIDTHS = (32, 64, 128, 256)
_OFF = 0.25  # octaves between estimate and result beyond which the image is run once more
# Cells of fewer than 2.5 px cannot be told apart, and an enlarged image costs memory.
_MOST_ZOOM = 12
_STEPS = 200  # Euler steps at the network's own scale


@dataclass(frozen=True)
class SegmenterSettings:
    """Cellpose's parameters. ``diameter`` (px of the image) beats the model's fixed one."""

    diameter: float | None = None
    flow_threshold: float = 0.4
    cellprob_threshold: float = 0.0
    min_size: int = 15
    niter: int | None = None


@dataclass(frozen=True)
class Segmentation:
    """Instances of one image and what the network said."""

    labels: NDArray[Any]  # (H, W) uint16 | uint32
    cellprob: NDArray[np.float32]  # (H, W) logits
    flows: NDArray[np.float32]  # (2, H, W) dy, dx, five times unit length
    diameter: float  # px of the image, given or estimated
    style: NDArray[np.float32]  # (256,) for the full width
    niter: int = _STEPS  # Euler steps that made the labels


class Segmenter:
    """A loaded segmenter; safe to keep for a process's life, not to share between threads."""

    def __init__(
        self, state: dict[str, Tensor], meta: ModelMeta, device: str | None = None
    ) -> None:
        if meta.family != "segmenter":
            raise InferenceError(f"This is a {meta.family}, not a segmenter.")
        self.meta = meta
        self.device = pick_device(device)
        self.net = build_net(meta.architecture)
        load_weights(self.net, state)
        self.threads = Threads(self.device)
        self.net.eval().to(self.device, memory_format=torch.channels_last)
        # Imported checkpoints stay in float32: the same masks as cellpose's, pixel by pixel.
        wanted = meta.settings.get("precision", "float32") == "bfloat16"
        self.bf16 = wanted and fast_in_bfloat16(self.device)
        self.widest = WIDE if wanted else None  # px of a tile; None: cellpose's tiles
        dtype = torch.bfloat16 if self.bf16 else torch.float32
        compiled = wanted and can_compile(self.device)
        self.compiled = OpenVinoUNet(self.net, dtype) if compiled else None
        if self.compiled is None and self.device.type == "cpu":
            memory.keep_freed()

    @classmethod
    def load(cls, folder: Path, device: str | None = None) -> Segmenter:
        """The segmenter in a model folder; ``InferenceError`` when it is unusable."""
        state, meta = checkpoint.load(folder)
        return cls(state, meta, device)

    @contextmanager
    def sparing(self) -> Iterator[None]:
        """Within it, smaller tiles: less memory and a little more time."""
        usual = self.widest
        self.widest = SPARING if usual else None
        try:
            yield
        finally:
            self.widest = usual

    def segment(
        self, image: NDArray[Any], settings: SegmenterSettings | None = None
    ) -> Segmentation:
        """Instances of ``image`` (C, H, W), any real dtype, channels as ``meta.channels``.

        Without a diameter in ``settings`` or ``meta`` the image's cell diameter is estimated.
        """
        check_image(image, self.meta.channels)
        return self.segment_planes(normalize(image), settings)

    def segment_planes(
        self, planes: NDArray[np.float32], settings: SegmenterSettings | None = None
    ) -> Segmentation:
        """``segment`` on planes (C, H, W) that ``normalize`` gave."""
        settings = settings or SegmenterSettings()
        if 0 in planes.shape[1:]:
            return self._nothing(planes.shape[1:])
        planes = network_planes(planes)
        given = settings.diameter or self.meta.fixed_diameter
        if given:
            return self._segment_at(planes, float(given), settings)
        estimate = scales.estimate_diameter(planes, self.flows, self.meta)
        look = estimate.look
        if look is not None and abs(np.log2(estimate.diameter / look.assumed)) <= _OFF:
            result = self._decoded(planes.shape[1:], look, settings)
        else:
            result = self._segment_at(planes, estimate.diameter, settings)
        found = estimate.bounded(median_diameter(result.labels))
        if result.labels.any() and abs(np.log2(found / result.diameter)) > _OFF:
            return self._segment_at(planes, found, settings)
        return replace(result, diameter=found) if result.labels.any() else result

    def flows(
        self, planes: NDArray[np.float32], diameter: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Network outputs (3, h, w) at the scale where ``diameter`` px become the network's own,
        not resized back, and the style. ``planes`` are normalised.
        """
        if diameter * _MOST_ZOOM < self.meta.diameter:
            raise InferenceError(
                f"A cell diameter of {diameter:g} px is too small: the image would be enlarged more"
                f" than {_MOST_ZOOM} times. Give the diameter in pixels of the image."
            )
        rescale = np.float32(self.meta.diameter) / diameter
        height, width = planes.shape[1:]
        # float32 arithmetic and truncation as in cellpose, which decides the resized shape.
        shape = max(1, int(height * rescale)), max(1, int(width * rescale))
        scaled = planes if rescale == 1.0 else resize(planes, shape)
        return run_tiled(scaled, self._forward, widest=self.widest)

    def _segment_at(
        self, planes: NDArray[np.float32], diameter: float, settings: SegmenterSettings
    ) -> Segmentation:
        look = scales.Look(diameter, *self.flows(planes, diameter))
        return self._decoded(planes.shape[1:], look, settings)

    def _decoded(
        self, shape: tuple[int, ...], look: scales.Look, settings: SegmenterSettings
    ) -> Segmentation:
        """Masks of an image of ``shape`` (H, W) from what the network said of all of it."""
        diameter = look.assumed
        outputs = resize(look.outputs, (shape[0], shape[1]))
        steps = int(1 / (np.float32(self.meta.diameter) / diameter) * _STEPS)
        how = DecodeSettings(
            flow_threshold=settings.flow_threshold,
            cellprob_threshold=settings.cellprob_threshold,
            min_size=settings.min_size,
            niter=settings.niter or steps,
        )
        labels = decode(outputs[:2], outputs[2], how)
        return Segmentation(labels, outputs[2], outputs[:2], diameter, look.style, how.niter)

    def _forward(
        self, tiles: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if self.compiled is not None:
            return self.compiled(tiles)
        batch = torch.from_numpy(tiles).to(self.device, memory_format=torch.channels_last)
        with (
            self.threads.timed(tiles.size),
            torch.inference_mode(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16),
        ):
            outputs, style = self.net(batch)[:2]
        return outputs.float().cpu().numpy(), style.float().cpu().numpy()

    def _nothing(self, shape: tuple[int, ...]) -> Segmentation:
        return Segmentation(
            labels=np.zeros(shape, np.uint16),
            cellprob=np.zeros(shape, np.float32),
            flows=np.zeros((2, *shape), np.float32),
            diameter=self.meta.fixed_diameter or self.meta.diameter,
            style=np.zeros(self.net.nbase[-1], np.float32),
        )


def build_net(architecture: dict[str, Any]) -> CPnet:
    """An untrained network for ``meta.architecture``: {"name": "cpnet", "nbase": [2, 32, …]}."""
    nbase = [int(width) for width in architecture.get("nbase", (2, *CPNET_WIDTHS))]
    if architecture.get("name", "cpnet") != "cpnet" or len(nbase) < 2 or min(nbase) < 1:
        raise InferenceError(f"There is no segmenter architecture {architecture}.")
    return CPnet(nbase, nout=3, sz=3)


def load_weights(net: CPnet, state: dict[str, Tensor]) -> None:
    """Put ``state`` into ``net``; ``InferenceError`` unless it fits whole."""
    own = net.state_dict()
    # Cellpose 1 checkpoints carry no diameters.
    if any(name not in state and not name.startswith("diam_") for name in own) or any(
        name not in own or own[name].shape != tensor.shape for name, tensor in state.items()
    ):
        raise InferenceError("The weights do not fit the architecture that their meta names.")
    net.load_state_dict(state, strict=False)
