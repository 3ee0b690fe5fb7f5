"""The training loop of every family: steps, schedule, averaged weights, checkpoints, stopping.

A family supplies a ``Learner``; the loop knows nothing of cells.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from inference import checkpoint
from inference.checkpoint import ModelMeta
from inference.devices import fast_in_bfloat16
from inference.errors import InferenceError
from inference.files import whole
from inference.threads import Threads
from training.batches import Waiting, prefetch
from training.best import Best
from training.config import TrainConfig, portable
from training.errors import Cancelled, TrainingError
from training.interruption import asking
from training.kept import (
    BAD_BATCH,
    read_checkpoint,
    read_schedule,
    write_checkpoint,
    write_metrics,
)
from training.parallel import Team
from training.rates import average, learning_rate

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did. ``epochs`` is a new estimate each time where minutes end the run."""

    epoch: int  # from 1
    epochs: int
    train_loss: float
    validation_loss: float | None
    metrics: dict[str, float]
    seconds: float  # this epoch
    seconds_left: float
    # Of the validation, by which the best epoch is chosen; None when there is nothing to judge by.
    score: float | None = None
    waiting: float = 0.0  # share of its training, 0 … 1, in which the next batch was not there yet
    # Progress at each step, where the clock had a say in it: what makes the same training again.
    schedule: tuple[float, ...] = ()
    timed: bool = False  # whether minutes will end the run, and not its number of epochs

    def number(self, of: str = " of ") -> str:
        """ "3 of 10", or "3" where nobody knows of how many."""
        return str(self.epoch) if self.timed else f"{self.epoch}{of}{self.epochs}"

    def sentence(self) -> str:
        """For a log."""
        figures = [f"training loss {self.train_loss:.3f}"]
        if self.validation_loss is not None:
            figures.append(f"validation loss {self.validation_loss:.3f}")
        figures += [f"{name} {value:.3f}" for name, value in self.metrics.items()]
        return (
            f"Epoch {self.number()}: {', '.join(figures)}; {self.seconds:.0f} s,"
            f" {self.waiting:.0%} of its training spent waiting for images."
        )


@dataclass(frozen=True)
class Validation:
    """The weights judged on validation images; higher scores are better (``training.best``)."""

    score: float
    parts: tuple[float, ...] = ()  # of single images or crops, the same ones: their mean is score
    loss: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)  # for the meta of these weights


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

    def __init__(
        self,
        learner: Learner,
        config: TrainConfig,
        run: Path,
        meta: ModelMeta,
        team: Team | None = None,
    ) -> None:
        self.learner = learner
        self.team = team or Team()
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
        self.best = Best()
        self.calibration: dict[str, Any] = {}  # of the last epoch's weights
        self.finished = False
        self.waited = Waiting()
        self.reports: list[EpochReport] = []
        self.schedule: list[float] = []  # this epoch's
        self.replayed = read_schedule(run)
        self.threads = Threads(learner.device)
        self._resumed_at = time.monotonic()

    def fit(self, watch: Watch) -> None:
        """Train until the epochs or the minutes are used up; resumes from the checkpoint."""
        self._load()
        self._resumed_at = time.monotonic() - self.elapsed
        if self.team.lead:
            self._mend()
        self.team.align(self.learner.model)
        whole = torch.get_num_threads()
        try:
            with asking({self.learner.model, self.averaged}, watch.check):
                while not self.finished:
                    self._fit_one_epoch(watch)
        finally:
            torch.set_num_threads(whole)

    def _fit_one_epoch(self, watch: Watch) -> None:
        began = time.monotonic()
        self.epoch += 1
        train_loss = self._train_one_epoch(watch)
        if not self.team.lead:
            self.finished = bool(self.team.agreed(0.0))
            return
        self.averaged.eval()
        with torch.no_grad():
            validation = self.learner.validate(self.averaged, self.epoch)
        if not self.run.is_dir():
            raise Cancelled("Another worker has taken this training over.")
        self.calibration = validation.calibration
        if self.best.offer(self.epoch, self.progress(), validation.score, validation.parts):
            self._keep_as_best()
        self.finished = self.progress() >= 1.0 or self._stalled()
        report = self._report(train_loss, validation, time.monotonic() - began)
        self.reports.append(report)
        log.info("%s", report.sentence())
        self._save()
        if watch.on_epoch is not None:
            watch.on_epoch(report)
        self.team.agreed(float(self.finished))

    def _keep_as_best(self) -> None:
        """Write the last epoch's weights as the model, with what was fitted to them."""
        self.meta = replace(self.meta, calibration=self.calibration)
        checkpoint.save(self.run, dict(self.averaged.state_dict()), self.meta)

    def progress(self) -> float:
        """Share of the run that is over, 0 … 1, by epochs or minutes, whichever is further."""
        if self.replayed:
            return min(1.0, self.epoch / len(self.replayed))
        steps = self.step / max(1, self.config.epochs * self.learner.steps_per_epoch)
        seconds = self.config.minutes * 60.0
        return min(1.0, max(steps, self._clock() / seconds if seconds else 0.0))

    def _stalled(self) -> bool:
        """Whether for ``patience`` of the whole run all epochs were worse than the kept one."""
        patience = self.config.patience
        # A training made again ends where the first one did.
        waited = self.progress() - self.best.kept_progress
        stalled = not self.replayed and 0.0 < patience < waited
        if stalled:
            log.info(
                "Stopped early: epoch %d is kept; for %.0f %% of the run all others were worse.",
                self.best.kept,
                100 * patience,
            )
        return stalled

    def _clock(self) -> float:
        return time.monotonic() - self._resumed_at

    def _train_one_epoch(self, watch: Watch) -> float:
        self.learner.model.train()
        total, count = 0.0, 0
        self.waited = Waiting()
        self.schedule = []
        for batch in self.waited.timed(prefetch(self.learner.batches(self.epoch))):
            watch.check()
            progress = self.team.agreed(self._next_progress())
            if progress >= 1.0 and count:
                break
            self.schedule.append(progress)
            with self.threads.timed():
                total += self._train_one_batch(batch, learning_rate(self.config, progress))
            count += 1
        if not count:
            raise TrainingError("There was nothing to train on in this epoch.")
        return total / count

    def _next_progress(self) -> float:
        """Where in the schedule the next step is; 1 or more ends the epoch after its first."""
        if not self.replayed:
            return round(self.progress(), 6)
        planned, made = self.replayed[self.epoch - 1], len(self.schedule)
        return planned[made] if made < len(planned) else 1.0

    def _train_one_batch(self, batch: Any, rate: float) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)
        with torch.autocast(self.learner.device.type, torch.bfloat16, enabled=self.bf16):
            loss = self.learner.loss(batch)
        own = float(loss.detach())
        value = self.team.mean(own)
        if not math.isfinite(value):
            raise self._not_finite("loss", batch, mine=not math.isfinite(own))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.team.average_gradients(self.learner.model)
        # One step by a gradient that is not finite, and no weight is: the next batch's loss would
        # be blamed, and the checkpoint be of no more use.
        most = self.config.clip or math.inf
        norm = nn.utils.clip_grad_norm_(self.learner.model.parameters(), most)
        if not math.isfinite(float(norm)):
            raise self._not_finite("gradient", batch)
        self.optimizer.step()
        self.step += 1
        if self.config.ema:
            # Early on the average follows closely, so a short run is not held at its start.
            decay = min(self.config.ema, (1.0 + self.step) / (10.0 + self.step))
            average(self.averaged, self.learner.model, decay)
        return value

    def _not_finite(self, what: str, batch: Any, mine: bool = True) -> TrainingError:
        """The error of a batch on which ``what`` is not finite, once it is kept if it is mine."""
        if mine:
            self._keep(batch)
        images = self.learner.describe(batch) if mine else "another GPU"
        return TrainingError(
            f"The {what} stopped being finite in epoch {self.epoch} on the batch of {images}"
            f" (kept in the run's folder as {BAD_BATCH}); lower the learning rate or check"
            " these images."
        )

    def _keep(self, batch: Any) -> None:
        """Save a batch that the loss or its gradient is not finite on, for people."""
        # A full disk is not what is wrong here.
        with suppress(OSError, RuntimeError, InferenceError), whole(self.run / BAD_BATCH) as fresh:
            torch.save(vars(batch), fresh)

    def _report(self, loss: float, validation: Validation, seconds: float) -> EpochReport:
        progress = self.progress()
        whole = self._clock() / max(progress, 1e-6)
        estimate = math.ceil(self.epoch / max(progress, 1e-6) - 1e-6)
        expected = self.epoch if self.finished else estimate
        return EpochReport(
            epoch=self.epoch,
            epochs=max(self.epoch, min(self.config.epochs, expected)),
            train_loss=loss,
            validation_loss=validation.loss,
            metrics=validation.metrics,
            seconds=seconds,
            seconds_left=0.0 if self.finished else max(0.0, whole - self._clock()),
            waiting=self.waited.share,
            score=validation.score if validation.metrics else None,
            schedule=tuple(self.schedule) if self.config.minutes else (),
            # A training made again has as many epochs as the first one, whatever the time.
            timed=not self.replayed and estimate < self.config.epochs,
        )

    def _save(self) -> None:
        self.elapsed = self._clock()
        reports = [asdict(report) for report in self.reports]
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
            **self.best.to_state(),
            "calibration": {"best": self.meta.calibration, "last": self.calibration},
            "finished": self.finished,
            "reports": reports,
        }
        write_checkpoint(self.run, state, reports)

    def _load(self) -> None:
        state = read_checkpoint(self.run)
        if state is None:
            return
        # A checkpoint of an older release lacks the settings that are new.
        saved = asdict(TrainConfig(self.config.family)) | state["config"]
        differs = portable(saved) != portable(asdict(self.config))
        if differs or _comparable(json.loads(state["lineage"])) != _comparable(self.meta.lineage):
            raise TrainingError(
                f"The folder {self.run.name} holds a checkpoint of another run or of other"
                " settings; start a new run."
            )
        self.learner.model.load_state_dict(state["model"])
        if self.config.ema:
            self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.team.lead:
            torch.set_rng_state(state["rng"])
        else:  # what is drawn differs from process to process, and from epoch to epoch
            torch.manual_seed(torch.initial_seed() + state["epoch"])
        for name in ("epoch", "step", "elapsed", "finished"):
            setattr(self, name, state[name])
        self._resumed_at = time.monotonic() - self.elapsed
        self.best = Best.from_state(state, self.progress())
        fitted = state.get("calibration", {"best": {}, "last": {}})
        self.calibration = fitted["last"]
        self.meta = replace(self.meta, calibration=fitted["best"])
        self.reports = [EpochReport(**report) for report in state["reports"]]

    def _mend(self) -> None:
        """Files that a power cut has cut short since: the checkpoint has what belongs in them."""
        if not self.epoch:
            return
        write_metrics(self.run, [asdict(report) for report in self.reports])
        if checkpoint.is_whole(self.run):
            return
        log.warning(
            "The best epoch's weights in %s are cut short or missing, as after a power cut: those"
            " of epoch %d take their place.",
            self.run,
            self.epoch,
        )
        score = self.reports[-1].score if self.reports else None
        self.best = Best(self.epoch, self.progress(), float(self.epoch) if score is None else score)
        self._keep_as_best()


def _comparable(lineage: dict[str, Any]) -> dict[str, Any]:
    """Where weights come from, as every machine would tell it."""
    config = TrainConfig(str(lineage["config"]["family"]))
    kept = portable(asdict(config) | lineage["config"])
    told = {key: value for key, value in lineage.items() if key != "devices"} | {"config": kept}
    comparable: dict[str, Any] = json.loads(json.dumps(told))
    return comparable
