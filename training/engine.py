"""The training loop of every family: steps, schedule, averaged weights, checkpoints, stopping.

A family supplies a ``Learner``; the loop knows nothing of cells.
"""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from inference import checkpoint
from inference.checkpoint import ModelMeta
from inference.devices import fast_in_bfloat16
from inference.threads import Threads
from training.config import TrainConfig
from training.errors import Cancelled, TrainingError

CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did. ``epochs`` is an estimate while the run is bounded by minutes."""

    epoch: int  # from 1
    epochs: int
    train_loss: float
    validation_loss: float | None
    metrics: dict[str, float]
    seconds: float  # this epoch
    seconds_left: float


@dataclass(frozen=True)
class Validation:
    """The weights judged on validation images; the epoch with the highest ``score`` is kept."""

    score: float
    loss: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)


class Learner(Protocol):
    """What a family supplies. ``model`` lies on ``device`` already."""

    model: nn.Module
    device: torch.device
    steps_per_epoch: int

    def batches(self, epoch: int) -> Iterator[Any]:
        """The batches of one epoch (from 1), the same at every call: a resumed run repeats them.

        Called in a loader thread: cut, augment and pin here.
        """

    def loss(self, batch: Any) -> Tensor:
        """Scalar loss of ``self.model`` on one batch; called under autocast."""

    def describe(self, batch: Any) -> str:
        """The images in a batch, for messages."""

    def parameters(self) -> list[dict[str, Any]]:
        """Parameter groups for AdamW; a group's own "scale" multiplies the learning rate."""

    def validate(self, model: nn.Module, epoch: int) -> Validation:
        """Judge ``model`` (the averaged weights when ``ema`` is on; in eval mode, no grad)."""

    def meta(self) -> ModelMeta:
        """What the weights mean; the caller adds lineage and versions."""


@dataclass
class Watch:
    """Who is told of epochs and who may stop the run."""

    on_epoch: Callable[[EpochReport], None] | None = None
    should_stop: Callable[[], bool] | None = None

    def check(self) -> None:
        """Raise ``Cancelled`` when asked to stop."""
        if self.should_stop is not None and self.should_stop():
            raise Cancelled()


class Training:
    """One run: its state is what the checkpoint holds."""

    def __init__(self, learner: Learner, config: TrainConfig, run: Path, meta: ModelMeta) -> None:
        self.learner = learner
        self.config = config
        self.run = run
        self.meta = meta
        self.optimizer = torch.optim.AdamW(
            learner.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.averaged = copy.deepcopy(learner.model).eval() if config.ema else learner.model
        self.bf16 = config.precision == "bfloat16" and fast_in_bfloat16(learner.device)
        self.epoch = 0
        self.step = 0
        self.elapsed = 0.0
        self.best_epoch = 0
        self.best_score = -math.inf
        self.finished = False
        self.reports: list[EpochReport] = []
        self.threads = Threads(learner.device)
        self._resumed_at = time.monotonic()

    def fit(self, watch: Watch) -> None:
        """Train until the epochs or the minutes are used up; resumes from the checkpoint."""
        self._load()
        self._resumed_at = time.monotonic() - self.elapsed
        whole = torch.get_num_threads()
        try:
            while not self.finished:
                self._fit_one_epoch(watch)
        finally:
            torch.set_num_threads(whole)

    def _fit_one_epoch(self, watch: Watch) -> None:
        began = time.monotonic()
        self.epoch += 1
        train_loss = self._train_one_epoch(watch)
        self.averaged.eval()
        with torch.no_grad():
            validation = self.learner.validate(self.averaged, self.epoch)
        if validation.score > self.best_score or not self.best_epoch:
            self.best_score, self.best_epoch = validation.score, self.epoch
            checkpoint.save(self.run, dict(self.averaged.state_dict()), self.meta)
        self.finished = self.progress() >= 1.0
        report = self._report(train_loss, validation, time.monotonic() - began)
        self.reports.append(report)
        self._save()
        if watch.on_epoch is not None:
            watch.on_epoch(report)

    def progress(self) -> float:
        """Share of the run that is over, 0 … 1, by epochs or minutes, whichever is further."""
        steps = self.step / max(1, self.config.epochs * self.learner.steps_per_epoch)
        seconds = self.config.minutes * 60.0
        return min(1.0, max(steps, self._clock() / seconds if seconds else 0.0))

    def _clock(self) -> float:
        return time.monotonic() - self._resumed_at

    def _train_one_epoch(self, watch: Watch) -> float:
        self.learner.model.train()
        total, count = 0.0, 0
        for batch in prefetch(self.learner.batches(self.epoch)):
            watch.check()
            progress = self.progress()
            if progress >= 1.0 and count:
                break
            with self.threads.timed():
                total += self._train_one_batch(batch, learning_rate(self.config, progress))
            count += 1
        if not count:
            raise TrainingError("There was nothing to train on in this epoch.")
        return total / count

    def _train_one_batch(self, batch: Any, rate: float) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)
        with torch.autocast(self.learner.device.type, torch.bfloat16, enabled=self.bf16):
            loss = self.learner.loss(batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss stopped being finite in epoch {self.epoch} on the batch of"
                f" {self.learner.describe(batch)}; lower the learning rate or check these images."
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.learner.model.parameters(), self.config.clip)
        self.optimizer.step()
        self.step += 1
        if self.config.ema:
            # Early on the average follows closely, so a short run is not held at its start.
            decay = min(self.config.ema, (1.0 + self.step) / (10.0 + self.step))
            average(self.averaged, self.learner.model, decay)
        return value

    def _report(self, loss: float, validation: Validation, seconds: float) -> EpochReport:
        progress = self.progress()
        whole = self._clock() / max(progress, 1e-6)
        expected = self.epoch if self.finished else math.ceil(self.epoch / max(progress, 1e-6))
        return EpochReport(
            epoch=self.epoch,
            epochs=max(self.epoch, min(self.config.epochs, expected)),
            train_loss=loss,
            validation_loss=validation.loss,
            metrics=validation.metrics,
            seconds=seconds,
            seconds_left=0.0 if self.finished else max(0.0, whole - self._clock()),
        )

    def _save(self) -> None:
        self.elapsed = self._clock()
        state = {
            "config": asdict(self.config),
            "lineage": json.dumps(self.meta.lineage, sort_keys=True),
            "model": self.learner.model.state_dict(),
            "averaged": self.averaged.state_dict() if self.config.ema else None,
            "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "epoch": self.epoch,
            "step": self.step,
            "elapsed": self.elapsed,
            "best_epoch": self.best_epoch,
            "best_score": self.best_score,
            "finished": self.finished,
            "reports": [asdict(report) for report in self.reports],
        }
        part = self.run / f"{CHECKPOINT}.part"
        torch.save(state, part)
        os.replace(part, self.run / CHECKPOINT)
        part = self.run / f"{METRICS}.part"
        part.write_text("".join(json.dumps(asdict(report)) + "\n" for report in self.reports))
        os.replace(part, self.run / METRICS)

    def _load(self) -> None:
        file = self.run / CHECKPOINT
        if not file.exists():
            return
        state = torch.load(file, map_location="cpu", weights_only=True)
        lineage = json.dumps(self.meta.lineage, sort_keys=True)
        # A checkpoint of an older release lacks the settings that are new.
        saved = asdict(TrainConfig(self.config.family)) | state["config"]
        differs = any(
            saved[key] != value
            for key, value in asdict(self.config).items()
            if key not in ("weights_cache", "device")  # they differ between machines
        )
        if differs or state["lineage"] != lineage:
            raise TrainingError(
                f"The folder {self.run.name} holds a checkpoint of another run or of other"
                " settings; start a new run."
            )
        self.learner.model.load_state_dict(state["model"])
        if self.config.ema:
            self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        for name in ("epoch", "step", "elapsed", "best_epoch", "best_score", "finished"):
            setattr(self, name, state[name])
        self.reports = [EpochReport(**report) for report in state["reports"]]


def learning_rate(config: TrainConfig, progress: float) -> float:
    """Linear warm-up, then half a cosine to zero (Loshchilov & Hutter 2017), by progress 0 … 1."""
    if progress < config.warmup:
        return config.learning_rate * (progress + 1e-3) / (config.warmup + 1e-3)
    after = (progress - config.warmup) / (1.0 - config.warmup)
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(1.0, after)))


def average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the averaged weights and running statistics towards ``model``'s by 1 − ``decay``."""
    with torch.no_grad():
        for old, new in zip(
            averaged.state_dict().values(), model.state_dict().values(), strict=True
        ):
            if old.dtype.is_floating_point:
                old.lerp_(new.to(old.dtype), 1.0 - decay)
            else:
                old.copy_(new)


def prefetch(batches: Iterator[Any], ahead: int = 2) -> Iterator[Any]:
    """``batches`` made in a thread, ``ahead`` of their use; its errors are raised here."""
    end = object()
    with ThreadPoolExecutor(1, "batches") as pool:
        waiting = deque(pool.submit(next, batches, end) for _ in range(ahead))
        while (batch := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, batches, end))
            yield batch
