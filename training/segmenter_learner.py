"""Teaching the cellpose U-Net: crops, targets, validation, and what its weights mean."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference import checkpoint
from inference.builtin import fetch_builtin, licence_of
from inference.checkpoint import ModelMeta
from inference.devices import fast_in_bfloat16
from inference.flows import DecodeSettings, decode
from inference.segmenter import CPNET_WIDTHS, build_net, load_weights
from training.config import TrainConfig
from training.dataset import Snapshot, hold_out
from training.engine import Validation
from training.errors import TrainingError
from training.known import share_of_crop
from training.losses import flow_loss
from training.metrics import match_counts
from training.packing import is_sparse, packed
from training.parallel import ALONE, Share
from training.prepared import store_for
from training.progress import Counter
from training.samples import Sample, prepare
from training.transforms import Crop, View, cut, jitter, random_crop, random_view

log = logging.getLogger(__name__)

_VALIDATION_CROPS = 24
_MOMENTUM = 0.05  # of the running statistics, as in cellpose
_THRESHOLDS = (0.5, 0.75)


@dataclass(frozen=True)
class Batch:
    """A stack of crops on its way to the network."""

    planes: Tensor  # (n, 2, s, s)
    flows: Tensor  # (n, 2, s, s)
    inside: Tensor  # (n, s, s)
    weight: Tensor  # (n, s, s)
    names: tuple[str, ...]


class SegmenterLearner:
    """See ``training.engine.Learner``."""

    def __init__(
        self,
        config: TrainConfig,
        snapshot: Snapshot,
        run: Path,
        base: Path | None,
        device: torch.device,
        share: Share = ALONE,
    ) -> None:
        self.config = config
        self.device = device
        self.share = share
        self.bf16 = config.precision == "bfloat16" and fast_in_bfloat16(device)
        self.channels = snapshot.channels
        if not 1 <= len(self.channels) <= 2:
            raise TrainingError("A segmenter sees one or two channels.")
        state, self.start = start_weights(config, snapshot, run, base)
        self.network_diameter = self.start.diameter
        net = build_net(self.start.architecture)
        if state is not None:
            load_weights(net, state)
        self.model: nn.Module = net
        self.norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
        self.model.to(device, memory_format=torch.channels_last)
        images, held = snapshot.split("train"), snapshot.split("validation")
        self.held_out = not held
        if not held:
            images, held = hold_out(images, config.holdout)
        if not images:
            raise TrainingError("The snapshot has no labelled training image.")
        store = store_for(snapshot, config)
        counter = Counter(len(images) + len(held))
        self.samples = prepare(images, store, self.network_diameter, counter)
        if not any(s.sizes.size for s in self.samples):
            raise TrainingError("None of the training images has a cell; correct some first.")
        judged = prepare(held, store, self.network_diameter, counter)
        self.views = self._validation_views(judged)
        self.validation_names = tuple(image.name for image in held)
        self.steps_per_epoch = max(1, config.crops_per_epoch // config.batch_size)
        self.weights = np.array([image.weight for image in images]) * self._known()

    def batches(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng([self.config.seed, epoch])
        order = self._order(rng)  # the same in all processes; what they cut differs
        rng = self.share.rng(rng, self.config.seed, epoch)
        for start in range(0, len(order), self.config.batch_size):
            own = self.share.part(order[start : start + self.config.batch_size])
            chosen = [self.samples[k] for k in own]
            yield stack([self._random_crop(s, rng) for s in chosen], [s.name for s in chosen])

    def loss(self, batch: Batch) -> Tensor:
        # Statistics follow as closely as the averaged weights do early on: those of cellpose's
        # slow momentum would belong to weights long gone, and to none at all before.
        seen = int(self.norms[0].num_batches_tracked or 0)
        for norm in self.norms:
            norm.momentum = max(_MOMENTUM, 9.0 / (10.0 + seen))
        outputs = self.model(self._put(batch.planes))[0]
        put = self.device
        return flow_loss(outputs, batch.flows.to(put), batch.inside.to(put), batch.weight.to(put))

    def describe(self, batch: Batch) -> str:
        return ", ".join(sorted(set(batch.names)))

    def parameters(self) -> list[dict[str, Any]]:
        """Convolutions decay; norms and biases do not."""
        trained = [p for p in self.model.parameters() if p.requires_grad]
        return [
            {"params": [p for p in trained if p.ndim > 1]},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]

    def validate(self, model: nn.Module, epoch: int) -> Validation:
        """Loss and AP of fixed crops, each at its image's own cell diameter."""
        if not self.views:
            return Validation(score=float(epoch))
        losses: list[float] = []
        counts = np.zeros((len(_THRESHOLDS), 3))
        for start in range(0, len(self.views), self.config.batch_size):
            crops = self.views[start : start + self.config.batch_size]
            batch = stack(crops, [])
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                outputs = model(self._put(batch.planes))[0].float().cpu()
            losses += [
                float(
                    flow_loss(
                        outputs[k : k + 1],
                        batch.flows[k : k + 1],
                        batch.inside[k : k + 1],
                        batch.weight[k : k + 1],
                    )
                )
                for k in range(len(crops))
            ]
            for crop, output in zip(crops, outputs.numpy(), strict=True):
                counts += np.array(_crop_counts(crop, output))
        precision = counts[:, 0] / np.maximum(counts.sum(axis=1), 1.0)
        loss = float(np.mean(losses))
        metrics = {"ap50": float(precision[0]), "ap75": float(precision[1])}
        # The loss picks the epoch: over so few crops the AP jumps by more than epochs differ.
        parts = tuple(-each for each in losses)
        return Validation(score=-loss, parts=parts, loss=loss, metrics=metrics)

    def meta(self) -> ModelMeta:
        medians = [s.diameter for s in self.samples if s.sizes.size]
        settings = {
            "precision": self.config.precision,
            "training_diameters": {
                "median": float(np.median(medians)),
                "low": float(np.percentile(medians, 2)),
                "high": float(np.percentile(medians, 98)),
                "cells": sum(s.sizes.size for s in self.samples),
            },
            "validation": {
                "held_out_of_training": self.held_out,
                "images": list(self.validation_names),
            },
        }
        return replace(
            self.start,
            channels=self.channels,
            fixed_diameter=self.config.fixed_diameter or self.start.fixed_diameter,
            settings=settings,
        )

    def _order(self, rng: np.random.Generator) -> NDArray[np.intp]:
        """Which sample each crop of an epoch comes from, by weight and by what is known of it."""
        share = self.weights / self.weights.sum()
        count = self.steps_per_epoch * self.config.batch_size
        whole = np.repeat(np.arange(share.size), np.floor(share * count).astype(int))
        rest = rng.choice(share.size, count - whole.size, p=share)
        return rng.permutation(np.concatenate([whole, rest]))

    def _known(self) -> list[float]:
        """How much of a crop of each sample is known."""
        side, diameter = self.config.crop, self.network_diameter
        return [
            share_of_crop(s.regions, s.shape, diameter / s.diameter, side) for s in self.samples
        ]

    def _random_crop(self, sample: Sample, rng: np.random.Generator) -> Crop:
        low, high = np.log(self.config.scale_low), np.log(self.config.scale_high)
        zoom = self.network_diameter / sample.diameter * float(np.exp(rng.uniform(low, high)))
        crop = random_crop(sample, zoom, self.config.crop, rng)
        if is_sparse(crop):
            crop = packed(sample, zoom, self.config.crop, rng)
        return replace(crop, planes=jitter(crop.planes, rng))

    def _validation_views(self, samples: Sequence[Sample]) -> list[Crop]:
        """Up to 24 upright crops, spread evenly over the validation images, the same each time."""
        rng = np.random.default_rng(0)
        crops = []
        side = self.config.validation_crop or self.config.crop
        each = -(-_VALIDATION_CROPS // max(1, len(samples)))
        for sample in samples:
            zoom = self.network_diameter / sample.diameter
            for _ in range(min(each, 4)):
                at = random_view(sample.area(rng), zoom, side, rng).centre
                crops.append(cut(sample, View(zoom, centre=at), side))
        step = max(1, len(crops) // _VALIDATION_CROPS)
        return crops[::step][:_VALIDATION_CROPS]

    def _put(self, planes: Tensor) -> Tensor:
        return planes.to(self.device, memory_format=torch.channels_last)


def stack(crops: Sequence[Crop], names: Sequence[str]) -> Batch:
    """Crops as tensors."""

    def tensor(arrays: list[NDArray[np.float32]]) -> Tensor:
        return torch.from_numpy(np.stack(arrays))

    return Batch(
        tensor([c.planes for c in crops]),
        tensor([c.flows for c in crops]),
        tensor([c.inside for c in crops]),
        tensor([c.weight for c in crops]),
        tuple(names),
    )


def start_weights(
    config: TrainConfig, snapshot: Snapshot, run: Path, base: Path | None
) -> tuple[dict[str, Tensor] | None, ModelMeta]:
    """State (None for scratch) and the meta to start from."""
    if base is not None:
        state, meta = checkpoint.load(base)
        if meta.family != "segmenter" or len(meta.channels) != len(snapshot.channels):
            raise TrainingError("The base model is no segmenter of the same channels.")
        return state, meta
    if config.start == "scratch":
        nbase = [2, *(config.width * width // CPNET_WIDTHS[0] for width in CPNET_WIDTHS)]
        architecture = {"name": "cpnet", "nbase": nbase}
        return None, ModelMeta(
            "segmenter", architecture, snapshot.channels, diameter=config.diameter
        )
    cache = Path(config.weights_cache) if config.weights_cache else run.parent / "weights"
    log.info("Starts from %s. %s", config.start, licence_of(config.start))
    file = fetch_builtin(config.start, cache)
    return checkpoint.import_cellpose(file, snapshot.channels)


def _crop_counts(crop: Crop, output: NDArray[np.float32]) -> list[tuple[int, int, int]]:
    """(true positives, false positives, false negatives) of one crop at each threshold.

    Cells that the crop's edge cuts do not count: half a cell's flow has nowhere to go.
    """
    predicted = decode(output[:2], output[2], DecodeSettings())
    predicted = np.where(crop.weight > 0, predicted, 0)
    true = np.where(crop.weight > 0, crop.labels, 0).astype(np.int64)
    cut = np.isin(true, _at_edge(true)) & (true > 0)
    areas = np.bincount(predicted.ravel(), minlength=1)
    over_cut = np.bincount(predicted.ravel(), weights=cut.ravel(), minlength=areas.size)
    dropped = np.union1d(_at_edge(predicted), np.flatnonzero(2 * over_cut > areas))
    true = np.where(cut, 0, true)
    predicted = np.where(np.isin(predicted, dropped), 0, predicted)
    return [match_counts(true, predicted, threshold) for threshold in _THRESHOLDS]


def _at_edge(labels: NDArray[Any]) -> NDArray[Any]:
    """Ids with a pixel at the border."""
    return np.unique(np.concatenate([labels[[0, -1]].ravel(), labels[:, [0, -1]].ravel()]))
