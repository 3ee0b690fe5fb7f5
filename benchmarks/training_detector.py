"""Our detector's training against torchvision's reference loop, on the same crops.

    .venv/bin/python -m benchmarks.training_detector [--epochs 10] [--images 48] [--judged 12]

The peer is torchvision's ``MaskRCNN`` with its own settings around the very same backbone, taught
as ``references/detection`` does: float32, SGD with momentum 0.9, a learning rate of 0.02 for 16
images (so 0.005 for four), a warm-up in the first epoch, steps down at 62 % and 85 % of the epochs.
Both start from the same random weights and see the same crops in the same order, made ahead in
a thread; an epoch is 160 crops of 192 px. Ours also teaches its head for types meanwhile. Both are
judged by our detector's code on unseen mixed images: COCO's mAP of masks, cells of any type.

The last line is one JSON object: ``detector_epoch_speedup`` (median seconds of an epoch, the peer's
over ours), ``detector_map_difference`` (ours − the peer's after the same epochs), and both sides.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision.models.detection import MaskRCNN

from benchmarks.detector import scored
from benchmarks.models import CHANNELS, KINDS, TYPES, crowded
from inference.checkpoint import ModelMeta
from inference.detector import Detector
from inference.detector_network import _MEAN, _STD, DetectorNetwork, _small
from training.batches import prefetch
from training.config import TrainConfig
from training.dataset import MANIFEST, open_snapshot
from training.detector_learner import DetectorLearner
from training.engine import EpochReport
from training.metrics import ScoredCells, TypedCells, mean_average_precision
from training.synthetic import SyntheticImage, draw_image
from training.train import train

SIDE = 256
CPU = torch.device("cpu")
_RATE_PER_IMAGE = 0.02 / 16  # of torchvision's reference
_STEPS_DOWN = (16 / 26, 22 / 26)  # of the epochs


def main() -> None:
    """Run and print the figures."""
    parser = argparse.ArgumentParser(description="Detector training against torchvision.")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--judged", type=int, default=12)
    given = parser.parse_args()
    print(json.dumps(figures(given.epochs, given.images, given.judged)))


def figures(epochs: int, images: int, judged: int) -> dict[str, Any]:
    """Both trainings on synthetic images, and what is to be said of them."""
    logging.disable(logging.WARNING)
    fields = [crowded((SIDE, SIDE), 500 + number) for number in range(judged)]
    with tempfile.TemporaryDirectory(prefix="training-") as name:
        folder = Path(name)
        snapshot = synthetic_snapshot(folder / "snapshot", images)
        mine, seconds = our_training(snapshot, epochs, folder / "run")
        peer, peer_seconds = reference_training(snapshot, epochs)
    ours, theirs = precision(mine, fields), precision(peer, fields)
    return {
        "detector_epoch_speedup": float(np.median(peer_seconds) / np.median(seconds)),
        "detector_map_difference": ours - theirs,
        "detector_map": {"ours": ours, "peer": theirs},
        "detector_epoch_seconds": {
            "ours": float(np.median(seconds)),
            "peer": float(np.median(peer_seconds)),
        },
        "detector_epochs": epochs,
    }


def synthetic_snapshot(folder: Path, count: int) -> Path:
    """Single-type and mixed cultures with every cell's type, all to be trained on."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    entries = []
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        drawn = draw_image(kind, (SIDE, SIDE), seed=(number, 0))
        np.save(folder / f"images/{number}.npy", drawn.image)
        np.save(folder / f"labels/{number}.npy", drawn.labels)
        entries.append(
            {
                "id": str(number),
                "split": "train",
                "image": f"images/{number}.npy",
                "labels": f"labels/{number}.npy",
                "culture": kind,
                "cell_types": drawn.types,
            }
        )
    document = {"hash": "synthetic", "channels": CHANNELS, "types": TYPES, "images": entries}
    (folder / MANIFEST).write_text(json.dumps(document))
    return folder


def config_for(epochs: int) -> TrainConfig:
    """Ours as it comes; nothing is held out, so that both epochs are training alone."""
    return TrainConfig.for_family("detector", {"epochs": epochs, "holdout": 0.0})


def our_training(snapshot: Path, epochs: int, run: Path) -> tuple[Detector, list[float]]:
    """Our detector, and the seconds of each epoch."""
    seconds: list[float] = []

    def heard(report: EpochReport) -> None:
        seconds.append(report.seconds)
        say(f"ours, epoch {report.epoch}: {report.seconds:.1f} s, loss {report.train_loss:.3f}")

    train(config_for(epochs), snapshot, run, on_epoch=heard)
    return Detector.load(run), seconds


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(text, file=sys.stderr, flush=True)


def reference_training(snapshot: Path, epochs: int) -> tuple[Detector, list[float]]:
    """torchvision's model and loop on our crops; its weights in our detector, and its seconds."""
    config = config_for(epochs).settled(fine_tune=False)
    torch.manual_seed(config.seed)
    learner = DetectorLearner(config, open_snapshot(snapshot), snapshot, None, CPU)
    meta = learner.meta()
    model = stock(meta, config.crop)
    # Where ours begins: one seed alone would give other weights, drawn in another order.
    assert isinstance(learner.model, DetectorNetwork)
    model.load_state_dict(learner.model.rcnn.state_dict())
    trained = [p for p in model.parameters() if p.requires_grad]
    rate = _RATE_PER_IMAGE * config.batch_size
    optimizer = torch.optim.SGD(trained, lr=rate, momentum=0.9, weight_decay=1e-4)
    drops = [round(epochs * share) for share in _STEPS_DOWN]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, drops, gamma=0.1)
    seconds: list[float] = []
    for epoch in range(1, epochs + 1):
        with clocked(seconds):
            warmup = warming(optimizer, learner.steps_per_epoch) if epoch == 1 else None
            loss = reference_epoch(model, learner, epoch, optimizer, warmup)
        schedule.step()
        say(f"torchvision, epoch {epoch}: {seconds[-1]:.1f} s, loss {loss:.3f}")
    network = DetectorNetwork(meta.architecture, len(meta.channels), len(meta.types))
    network.rcnn.load_state_dict(model.state_dict())
    return Detector(network, meta, CPU), seconds


def stock(meta: ModelMeta, side: int) -> MaskRCNN:
    """torchvision's Mask R-CNN as it comes around our backbone and heads; crops keep their size."""
    channels = len(meta.channels)
    return MaskRCNN(
        **_small(meta.architecture, channels),
        min_size=side,
        max_size=side,
        image_mean=[_MEAN] * channels,
        image_std=[_STD] * channels,
    ).train()


def reference_epoch(
    model: MaskRCNN,
    learner: DetectorLearner,
    epoch: int,
    optimizer: torch.optim.Optimizer,
    warmup: torch.optim.lr_scheduler.LRScheduler | None,
) -> float:
    """torchvision's ``train_one_epoch``; the mean loss."""
    total = []
    for batch in prefetch(learner.batches(epoch)):
        known = ("boxes", "labels", "masks")
        targets = [{key: target[key] for key in known} for target in batch.targets]
        loss = torch.stack(list(model(batch.images, targets).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if warmup is not None:
            warmup.step()
        total.append(float(loss.detach()))
    return float(np.mean(total))


def warming(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """The reference's warm-up over the first epoch."""
    return torch.optim.lr_scheduler.LinearLR(
        optimizer, start_factor=1e-3, total_iters=min(1000, steps - 1)
    )


@contextmanager
def clocked(seconds: list[float]) -> Iterator[None]:
    """Adds what its body takes."""
    began = time.perf_counter()
    yield
    seconds.append(time.perf_counter() - began)


def precision(detector: Detector, fields: Sequence[SyntheticImage]) -> float:
    """mAP of masks, cells of any type."""
    found: list[ScoredCells] = [
        scored(detector.detect(field.image), field.labels.shape) for field in fields
    ]
    true = [TypedCells(field.labels, {}) for field in fields]
    return mean_average_precision(true, found, ()) or 0.0


if __name__ == "__main__":
    main()
