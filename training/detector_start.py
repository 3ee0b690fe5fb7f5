"""What a detector starts from: its shape measured on the training cells, and its weights."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_V2_Weights

from inference import checkpoint
from inference.builtin import COCO, licence_of
from inference.checkpoint import ModelMeta
from inference.detector_network import BACKBONES, LEVELS, DetectorNetwork
from inference.errors import InferenceError
from inference.labels import cell_geometry, diameters
from training.config import START_FILE, TrainConfig
from training.dataset import Snapshot
from training.detector_samples import CellSample
from training.errors import TrainingError

log = logging.getLogger(__name__)

DIAMETER = 27.0  # px, the median cell at the network's scale
_SPREAD = 2.0  # of the images' median diameters above which each image gets its own scale


def network_and_meta(
    config: TrainConfig, snapshot: Snapshot, samples: Sequence[CellSample], base: Path | None
) -> tuple[DetectorNetwork, ModelMeta]:
    """An initialised network and the meta that describes it (without lineage).

    ``base`` wins over ``config.start``. Raises ``TrainingError`` or ``InferenceError`` naming what
    cannot be loaded.
    """
    if base is not None:
        return _from_base(base, snapshot)
    if config.backbone not in BACKBONES:
        raise TrainingError(
            f"There is no detector backbone {config.backbone}; use {' or '.join(BACKBONES)}."
        )
    scale = measured_scale(samples)
    architecture = {
        "name": "mask_rcnn",
        "backbone": config.backbone,
        "width": config.width,
        "anchors": measured_anchors(samples, scale, LEVELS[config.backbone]),
        "detections": 800,  # per tile of 512 px: more cells than fit
        "norm": "group" if config.start == "scratch" else "frozen",
    }
    meta = ModelMeta(
        "detector",
        architecture,
        snapshot.channels,
        snapshot.types,
        diameter=DIAMETER,
        fixed_diameter=config.fixed_diameter or None,
        settings=scale,
    )
    network = DetectorNetwork(architecture, len(snapshot.channels), len(snapshot.types))
    _load_start(network, config, len(snapshot.channels))
    return network, meta


def _load_start(network: DetectorNetwork, config: TrainConfig, channels: int) -> None:
    if config.start == COCO:
        log.info("Starts from %s. %s", COCO, licence_of(COCO))
        load_matching(network, coco_state(config.backbone, channels))
    elif config.start.startswith(START_FILE):
        load_backbone(network, Path(config.start.removeprefix(START_FILE)))


def _from_base(base: Path, snapshot: Snapshot) -> tuple[DetectorNetwork, ModelMeta]:
    """A trained detector; its type head starts anew when the data set's types have changed."""
    state, meta = checkpoint.load(base)
    if meta.family != "detector" or len(meta.channels) != len(snapshot.channels):
        raise TrainingError("The base model is no detector of the same channels.")
    network = DetectorNetwork(meta.architecture, len(meta.channels), len(snapshot.types))
    if meta.types != snapshot.types:
        state = {name: value for name, value in state.items() if not name.startswith("types.name")}
    load_matching(network, state)
    settings = {
        "data_diameter": meta.settings.get("data_diameter", meta.diameter),
        "scaling": meta.settings.get("scaling", "data"),
    }
    return network, ModelMeta(
        "detector",
        meta.architecture,
        snapshot.channels,
        snapshot.types,
        diameter=meta.diameter,
        fixed_diameter=meta.fixed_diameter,
        settings=settings,
    )


def measured_scale(samples: Sequence[CellSample]) -> dict[str, Any]:
    """The cells' median diameter (px) and whether all images are scaled alike.

    They are ("data"), so that a cell's size still tells its type, unless the images' own medians
    spread more than twofold between the 10th and 90th percentile ("image").
    """
    sizes = np.concatenate([diameters(sample.labels) for sample in samples])
    medians = [sample.diameter for sample in samples if sample.diameter]
    low, high = np.percentile(medians, (10, 90))
    scaling = "image" if high > _SPREAD * low else "data"
    return {"data_diameter": round(float(np.median(sizes)), 2), "scaling": scaling}


def measured_anchors(
    samples: Sequence[CellSample], scale: dict[str, Any], levels: int
) -> dict[str, Any]:
    """Anchor sizes (px at the network's scale), one per feature map, and ratios height / width.

    Sizes are quantiles of the square root of the training boxes' areas, ratios those of spindly
    boxes and their transposes, since crops are turned at will.
    """
    spans = []
    for sample in samples:
        boxes = cell_geometry(sample.labels).boxes
        known = sample.diameter if scale["scaling"] == "image" else scale["data_diameter"]
        spans.append((boxes[:, 2:] - boxes[:, :2]) * (DIAMETER / known if known else 1.0))
    width, height = np.maximum(np.concatenate(spans), 1.0).T
    sizes = np.quantile(np.sqrt(width * height), np.linspace(0.15, 0.95, levels))
    sizes = np.maximum.accumulate(np.maximum(sizes, 4.0))
    longer = np.maximum(width, height) / np.minimum(width, height)
    slender = float(np.clip(np.quantile(longer, 0.85), 1.4, 4.0))
    return {
        "sizes": [round(float(size), 1) for size in sizes],
        "ratios": [round(1 / slender, 3), 1.0, round(slender, 3)],
    }


def coco_state(backbone: str, channels: int) -> dict[str, Tensor]:
    """torchvision's COCO weights for the parts of ours that have the same shape.

    The first convolution takes ``channels`` planes: each gets the mean over red, green and blue.
    """
    if backbone != "resnet50_fpn_v2":
        raise TrainingError("COCO weights exist for the backbone resnet50_fpn_v2 only.")
    try:
        state = MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1.get_state_dict(check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise InferenceError(
            "The COCO weights could not be downloaded from download.pytorch.org"
            f" ({error}). Train from scratch, or put the file into torch's hub cache."
        ) from error
    name = "backbone.body.conv1.weight"
    state[name] = state[name].mean(1, keepdim=True).repeat(1, channels, 1, 1) * (3 / channels)
    return {f"rcnn.{key}": value for key, value in state.items()}


def load_backbone(network: DetectorNetwork, file: Path) -> int:
    """Load a backbone's state dict (.safetensors or torch file); the number of tensors that fit.

    Names may be those of the whole backbone or of its body (e.g. a torchvision resnet50). Raises
    ``TrainingError`` when the file is unreadable or fits less than half of the body.
    """
    try:
        if file.suffix == ".safetensors":
            state = load_file(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, SafetensorError) as error:
        raise TrainingError(f"The backbone file {file} cannot be read: {error}.") from error
    if not isinstance(state, dict):
        raise TrainingError(f"The backbone file {file} holds no state dict.")
    whole = {f"rcnn.backbone.{name}" for name in state}
    prefix = "rcnn.backbone." if whole & set(network.state_dict()) else "rcnn.backbone.body."
    loaded = load_matching(network, {f"{prefix}{name}": value for name, value in state.items()})
    body = [n for n in network.state_dict() if n.startswith("rcnn.backbone.") and ".fpn." not in n]
    if 2 * loaded < len(body):
        raise TrainingError(f"The backbone file {file} fits {loaded} of {len(body)} tensors only.")
    return loaded


def load_matching(network: DetectorNetwork, state: dict[str, Tensor]) -> int:
    """Load the tensors whose name and shape fit; how many did."""
    own = network.state_dict()
    fitting = {
        name: value
        for name, value in state.items()
        if isinstance(value, Tensor) and name in own and own[name].shape == value.shape
    }
    network.load_state_dict(fitting, strict=False)
    return len(fitting)
