"""Train one model of one family: snapshot folder in, run folder out."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from inference import checkpoint
from inference.checkpoint import ModelMeta
from inference.devices import pick_device
from inference.files import file_sha256
from training.config import TrainConfig
from training.dataset import Snapshot, open_snapshot
from training.engine import EpochReport, Learner, Training, Watch
from training.errors import TrainingError
from training.parallel import Share, device_of, leading, team_size
from training.room import check_memory

__all__ = ["EpochReport", "TrainResult", "train"]

# That make weights what they are: a training made again with others may differ.
_PACKAGES = ("torch", "torchvision", "cellpose", "numpy", "numba", "opencv-python-headless")


@dataclass(frozen=True)
class TrainResult:
    """A finished run: ``folder`` holds the best epoch's weights and meta."""

    folder: Path
    meta: ModelMeta
    best_epoch: int
    epochs: list[EpochReport]


def train(
    config: TrainConfig,
    snapshot: Path,
    run: Path,
    base: Path | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> TrainResult:
    """Train, or resume ``run``'s checkpoint, and leave the best epoch's weights in ``run``.

    ``base`` is a model folder to start from; without it ``config.start`` says. ``should_stop`` is
    asked before each array that is prepared and many times in each batch (then ``Cancelled``).
    Raises ``TrainingError`` or ``InferenceError`` (unusable start weights, a full disk).
    """
    opened = open_snapshot(snapshot)
    run.mkdir(parents=True, exist_ok=True)
    fine_tune = base is not None or config.start != "scratch"
    config = config.settled(fine_tune)
    watch = Watch(on_epoch, should_stop)
    watch.check()
    size = team_size(config)
    torch.manual_seed(config.seed)
    if pick_device(config.device).type == "cpu":
        check_memory(config)
    share = Share(0, size)
    learner = learner_of(config, replace(opened, on_array=watch.check), run, base, share)
    meta = described(learner.meta(), config, opened, base, share)
    job = {
        "config": asdict(config),
        "snapshot": str(snapshot.resolve()),
        "run": str(run.resolve()),
        "base": str(base.resolve()) if base else None,
    }
    with leading(job, size, learner.device, watch.check) as team:
        training = Training(learner, config, run, meta, team)
        training.fit(watch)
    return TrainResult(run, training.meta, training.best.kept, training.reports)


def learner_of(
    config: TrainConfig, snapshot: Snapshot, run: Path, base: Path | None, share: Share
) -> Learner:
    """The family's learner. Imported here: neither family needs the other's libraries."""
    device = device_of(config, share)
    if config.family == "segmenter":
        from training.segmenter_learner import SegmenterLearner

        return SegmenterLearner(config, snapshot, run, base, device, share)
    if config.family == "detector":
        from training.detector_learner import DetectorLearner

        return DetectorLearner(config, snapshot, run, base, device, share)
    raise TrainingError(f"There is no model family {config.family}.")


def described(
    meta: ModelMeta, config: TrainConfig, snapshot: Snapshot, base: Path | None, share: Share
) -> ModelMeta:
    """``meta`` with where the weights come from and what made them."""
    lineage = dict(meta.lineage)
    lineage.update(
        snapshot=snapshot.hash,
        dataset=snapshot.dataset,
        start="base" if base is not None else config.start,
        base=file_sha256(base / checkpoint.WEIGHTS) if base is not None else None,
        config=asdict(config),
        devices=share.of,  # that really shared each batch
    )
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return replace(meta, lineage=lineage, versions=versions)
