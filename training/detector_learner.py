"""Teaching the detector: Mask R-CNN from instances, its type head from the types people know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from inference import calibration
from inference.checkpoint import ModelMeta
from inference.detector import Detector, type_logits
from inference.detector_network import DetectorNetwork
from inference.type_head import cell_windows
from training.config import TrainConfig
from training.dataset import Snapshot, hold_out
from training.detector_samples import (
    UNKNOWN,
    CellBatch,
    CellSample,
    is_window,
    prepare,
    random_crop,
    shown_shares,
    weak_weight,
)
from training.detector_start import network_and_meta
from training.engine import Validation
from training.errors import TrainingError
from training.known import share_of_crop, teach_known_only
from training.large import is_large
from training.metrics import calibration_error, match_counts
from training.parallel import ALONE, Share
from training.prepared import store_for
from training.progress import Counter

_VALIDATION_IMAGES = 12
_TYPED_CELLS_PER_STEP = 48
_LOSS_WEIGHTS = {"loss_objectness": 1.0, "loss_rpn_box_reg": 1.0}  # of torchvision's; else 1


class DetectorLearner:
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
        self.types = snapshot.types
        images, held = snapshot.split("train"), snapshot.split("validation")
        self.held_out = not held
        if not held:
            images, held = hold_out(images, config.holdout)
        store = store_for(snapshot, config)
        weak = weak_weight(images)
        # A detector validates on whole images, which those that are seen in windows are too large
        # for.
        judged = [image for image in held if not is_large(image)][:_VALIDATION_IMAGES]
        counter = Counter(len(images) + len(judged))
        samples = (prepare(image, self.types, store, weak) for image in counter.each(images))
        self.samples = [sample for sample in samples if _usable(sample)]
        if not any(len(sample.types) > 1 for sample in self.samples):
            raise TrainingError("None of the training images has a cell; annotate some first.")
        self.held = [prepare(image, self.types, store) for image in counter.each(judged)]
        network, self._meta = network_and_meta(config, snapshot, self.samples, base)
        teach_known_only(network.rcnn)
        self.model: nn.Module = network
        self.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.steps_per_epoch = max(1, config.crops_per_epoch // config.batch_size)
        self.shares = shown_shares(self.samples, [self._known(each) for each in self.samples])
        self.type_weights = type_weights(self.samples, len(self.types)).to(device)

    def batches(self, epoch: int) -> Iterator[CellBatch]:
        rng = np.random.default_rng([self.config.seed, epoch])  # the same in all processes
        cutting = self.share.rng(rng, self.config.seed, epoch)
        shares = self.shares
        for _ in range(self.steps_per_epoch):
            chosen = rng.choice(len(shares), self.config.batch_size, p=shares / shares.sum())
            own = self.share.part(chosen)
            cut = [self._crop(self.samples[index], cutting) for index in own]
            names = tuple(self.samples[index].name for index in own)
            yield CellBatch([image for image, _ in cut], [target for _, target in cut], names)

    def loss(self, batch: CellBatch) -> Tensor:
        images = [image.to(self.device) for image in batch.images]
        targets = [{k: v.to(self.device) for k, v in each.items()} for each in batch.targets]
        losses = self.model(images, targets)
        total = torch.stack([_LOSS_WEIGHTS.get(k, 1.0) * v for k, v in losses.items()]).sum()
        return total + self._type_loss(images, targets)

    def describe(self, batch: CellBatch) -> str:
        return ", ".join(sorted(set(batch.names)))

    def parameters(self) -> list[dict[str, Any]]:
        """Weights decay; norms and biases do not."""
        trained = [p for p in self.model.parameters() if p.requires_grad]
        return [
            {"params": [p for p in trained if p.ndim > 1]},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]

    def validate(self, model: nn.Module, epoch: int) -> Validation:
        """AP of found cells, type accuracy of true ones, and the temperatures fitted to them."""
        if not self.held:
            return Validation(score=float(epoch))
        assert isinstance(model, DetectorNetwork)
        detector = Detector(model, self._meta, self.device)
        counts, right, known = [], [], []
        logits, truth = [], []
        for sample in self.held:
            zoom = detector.zoom(sample.diameter)
            planes, true = sample.planes, sample.labels
            found = detector.detect_planes(planes, zoom)
            labels, _ = found.sure().to_labels(sample.shape)
            inside = _complete(sample)
            counts.append(match_counts(np.where(inside, true, 0), np.where(inside, labels, 0), 0.5))
            ids, answers = type_logits(model, planes, true, zoom)
            logits.append(answers)
            truth.append(sample.types[ids])
            known.append(int((truth[-1] != UNKNOWN).sum()) if answers.shape[1] else 0)
            right.append(int((answers.argmax(axis=1) == truth[-1]).sum()) if known[-1] else 0)
        parts = parts_of([each[0] for each in counts], [sum(each) for each in counts])
        metrics = {"ap50": float(parts.mean())}
        temperatures, named = _judge_types(np.concatenate(logits), np.concatenate(truth))
        metrics.update(named)
        if named:
            parts = (parts + parts_of(right, known)) / 2
        return Validation(
            score=float(parts.mean()),
            parts=tuple(parts.tolist()),
            metrics=metrics,
            calibration=temperatures,
        )

    def meta(self) -> ModelMeta:
        validation = {"held_out_of_training": self.held_out, "images": [s.name for s in self.held]}
        settings = {**self._meta.settings, "validation": validation}
        return replace(self._meta, settings=settings)

    def _crop(
        self, sample: CellSample, rng: np.random.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        low, high = np.log(self.config.scale_low), np.log(self.config.scale_high)
        zoom = self._zoom(sample) * float(np.exp(rng.uniform(low, high)))
        return random_crop(sample, zoom, self.config.crop, rng)

    def _zoom(self, sample: CellSample) -> float:
        """From the image's px to a crop's, without augmentation."""
        told = float(self._meta.settings["data_diameter"])
        if self._meta.settings["scaling"] == "image" and sample.diameter:
            told = sample.diameter
        return float(self._meta.diameter) / told

    def _known(self, sample: CellSample) -> float:
        """How much of a crop of it is known; all of one that is cut from a window."""
        if any(is_window(region, sample) for region in sample.regions):
            return 1.0
        zoom, side = self._zoom(sample), self.config.crop
        return share_of_crop(sample.regions, sample.shape, zoom, side)

    def _type_loss(self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]]) -> Tensor:
        """Cross-entropy over cells whose type is known, rare types weighing more."""
        assert isinstance(self.model, DetectorNetwork)
        head = self.model.types
        known = [t["types"] != UNKNOWN for t in targets]
        if head is None or not any(bool(k.any()) for k in known):
            return images[0].new_zeros(())
        cut = [
            cell_windows(image, t["owners"], t["ids"][k], t["centres"][k])
            for image, t, k in zip(images, targets, known, strict=True)
            if k.any()
        ]
        truth = torch.cat([t["types"][k] for t, k in zip(targets, known, strict=True)])
        some = torch.randperm(len(truth))[:_TYPED_CELLS_PER_STEP].to(self.device)
        pixels = torch.cat([p for p, _ in cut])[some]
        places = torch.cat([p for _, p in cut])[some]
        logits = head(pixels, roughened(places))
        return F.cross_entropy(logits, truth[some], self.type_weights)


def roughened(places: Tensor) -> Tensor:
    """Windows' masks as a model might draw them: exact, wide, narrow, rounded or displaced."""
    return torch.cat([_redrawn(places[:, :1]), places[:, 1:]], 1)


def _redrawn(masks: Tensor) -> Tensor:
    way = int(torch.randint(0, 6, ()))
    radius = int(torch.randint(1, 4, ()))
    if way == 1:
        return _grown(masks, 1)
    if way == 2:
        return _grown(masks, -1)
    if way in (3, 4):  # opening: without the thin processes that a detector's mask often lacks
        opened = _grown(_grown(masks, -radius), radius)
        drawn = _grown(opened, 1) if way == 4 else opened
        return torch.where(opened.sum((2, 3), keepdim=True) > 0, drawn, masks)
    if way == 5:
        return masks.roll((radius - 2, int(torch.randint(-1, 2, ()))), (2, 3))
    return masks


def _grown(masks: Tensor, radius: int) -> Tensor:
    """Masks dilated by ``radius`` px, or eroded if it is negative."""
    sign = 1.0 if radius > 0 else -1.0
    return sign * F.max_pool2d(sign * masks, 2 * abs(radius) + 1, 1, abs(radius))


def type_weights(samples: Sequence[CellSample], types: int) -> Tensor:
    """(T,) f32: inverse frequency among the typed training cells, mean 1, at most 10-fold."""
    counts = np.zeros(types)
    for sample in samples:
        known = sample.types[sample.types != UNKNOWN]
        counts += sample.weight * np.bincount(known, minlength=types)
    inverse = 1 / np.maximum(counts, max(counts.max(initial=1.0) / 10, 1.0))
    return torch.from_numpy(inverse / max(inverse.mean(), 1e-9) if types else inverse).float()


def _usable(sample: CellSample) -> bool:
    """Whether anything can be cut from it."""
    return sample.weight > 0 and any(x1 > x0 and y1 > y0 for x0, y0, x1, y1 in sample.regions)


def _complete(sample: CellSample) -> NDArray[np.bool_]:
    """Where the labels of a sample (H, W) are complete."""
    inside = np.zeros(sample.shape, bool)
    for x0, y0, x1, y1 in sample.regions:
        inside[y0:y1, x0:x1] = True
    return inside


def parts_of(right: Sequence[int], of: Sequence[int]) -> NDArray[np.float64]:
    """What each image adds to sum(right) / sum(of) (n,): their mean is that ratio, and their spread
    its standard error (a ratio estimate, linearised: Cochran, "Sampling Techniques" (1977), 6.4).
    """
    hits, all_ = np.array(right, float), np.array(of, float)
    whole = max(float(all_.sum()), 1.0)
    rate = float(hits.sum()) / whole
    return rate + (hits - rate * all_) * len(all_) / whole


def _judge_types(
    logits: NDArray[np.float32], truth: NDArray[np.int64]
) -> tuple[dict[str, Any], dict[str, float]]:
    """Calibration to keep, and metrics, from the validation cells of known type."""
    known = truth != UNKNOWN
    logits, truth = logits[known], truth[known]
    if not len(truth) or not logits.shape[1]:
        return {}, {}
    temperatures = calibration.fit_temperatures(logits, truth)
    correct = logits.argmax(axis=1) == truth
    before = calibration.softmax(logits).max(axis=1)
    after = calibration.calibrated(logits, temperatures).max(axis=1)
    errors = [calibration_error(p, correct) for p in (before, after)]
    kept = {
        "temperatures": [round(float(t), 4) for t in temperatures],
        "cells": len(truth),
        "error_before": round(errors[0], 4),
        "error_after": round(errors[1], 4),
    }
    return kept, {"type_accuracy": float(correct.mean()), "calibration_error": errors[1]}
