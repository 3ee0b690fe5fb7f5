"""Training against cellpose 3's ``train_seg``, from scratch on the same images, in one run.

    .venv/bin/python -m benchmarks.training [--train DIR --test DIR] [--epochs 40]

Folders hold ``X.png|tif`` beside ``X_masks.png|tif``; without them, synthetic images. Cellpose
trains first, as its documentation recommends for a new network (SGD, learning rate 0.1, weight
decay 1e-4), for ``--epochs``; then ours, a network of the same size, for ``--share`` of that time.
Cellpose trains on all images, ours holds some out to validate on. Both are judged by AP at IoU 0.5
on the test images, each at its own median cell diameter, by the same code; judging counts for
nobody's time. The last line is one JSON object:

``time_to_ap_speedup``          cellpose's time over ours, each until the first of its kept weights
                                that have cellpose's final AP
``ap50_reached``                that AP; ``ap50`` also tells the best that cellpose had on its way
``ap50_equal_time_difference``  ours at its end minus cellpose's at that time
``retrain_prepare_ratio``       preparing 500 known and 10 new images, over preparing the 500
``detector_epoch_speedup`` …    of ``benchmarks.training_detector``
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from cellpose import train as cellpose_train
from cellpose.models import CellposeModel
from numpy.typing import NDArray

from benchmarks import training_detector
from benchmarks.models import crowded
from benchmarks.segmenter import from_folder
from inference import checkpoint
from inference.files import file_sha256
from inference.flows import masks_to_flows
from inference.labels import median_diameter
from inference.segmenter import Segmenter, SegmenterSettings
from training.config import TrainConfig
from training.dataset import PREPARED, open_snapshot
from training.engine import EpochReport
from training.metrics import average_precision
from training.prepared import Store
from training.samples import prepare
from training.train import train

FAR = 0.03  # of AP, from where weights are not looked at exactly
SAVE_EVERY = 2  # epochs between cellpose's kept weights
KNOWN, NEW = 500, 10
SHAPE = (256, 256)

Pair = tuple[NDArray[Any], NDArray[Any]]  # planes (1 or 2, H, W), label image (H, W)


@dataclass(frozen=True)
class Moment:
    """Weights at a time of a training (s)."""

    seconds: float
    weights: Path


@dataclass(frozen=True)
class Judged:
    """What the weights at a time of a training (s) are worth."""

    seconds: float
    ap: float  # at IoU 0.5


def main() -> None:
    """Run and print the figures."""
    parser = argparse.ArgumentParser(description="Training against cellpose 3.")
    parser.add_argument("--train", type=Path)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--share", type=float, default=0.11, help="of cellpose's time, for ours")
    parser.add_argument("--judged", type=int, default=50, help="test images")
    parser.add_argument("--detector-epochs", type=int, default=10, help="0: no detectors")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    taught = pairs(given.train, given.images, 0)
    judged = pairs(given.test, given.judged, 1000)
    with tempfile.TemporaryDirectory(prefix="training-") as name:
        figures = segmenters(taught, judged, given, Path(name))
        figures["retrain_prepare_ratio"] = retrain(Path(name) / "retrain")
    if given.detector_epochs:
        figures |= training_detector.figures(given.detector_epochs, images=48, judged=12)
    print(json.dumps(figures))


def pairs(folder: Path | None, count: int, seed: int) -> list[Pair]:
    """Images and masks of a folder, or synthetic ones."""
    if folder is not None:
        return list(from_folder(folder))[:count]
    drawn = [crowded(SHAPE, seed + number) for number in range(count)]
    return [(each.image, each.labels) for each in drawn]


def segmenters(
    taught: list[Pair], judged: list[Pair], given: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """Both trainings, and what is to be said of them."""
    theirs = cellpose_judged(
        cellpose_training(taught, given.epochs, folder / "cellpose"), taught, judged
    )
    final = theirs[-1]
    peer = first_reaching(final.ap, theirs) or final
    say(f"cellpose: AP {final.ap:.3f} first after {peer.seconds:.0f} of {final.seconds:.0f} s")
    minutes = given.share * final.seconds / 60
    kept = our_training(taught, minutes, folder / "ours")
    ours = judged_moments(kept, Segmenter.load, judged)
    last, reached = ours[-1], first_reaching(final.ap, ours)
    then = next(m for m in theirs if m.seconds >= min(last.seconds, final.seconds))
    say(f"ours: AP {last.ap:.3f} after {last.seconds:.0f} s; cellpose's then {then.ap:.3f}")
    held = checkpoint.load_meta(kept[-1].weights).settings["validation"]["images"]
    return {
        "time_to_ap_speedup": peer.seconds / reached.seconds if reached else None,
        "ap50_reached": final.ap,
        "ap50_equal_time_difference": last.ap - then.ap,
        "seconds": {
            "cellpose": final.seconds,
            "cellpose_until_reached": peer.seconds,
            "ours_until_reached": reached.seconds if reached else None,
            "ours": last.seconds,
        },
        "ap50": {
            "cellpose": final.ap,
            "cellpose_best": max(m.ap for m in theirs),
            "cellpose_at_our_time": then.ap,
            "ours": last.ap,
        },
        "epochs": {"cellpose": given.epochs, "ours": len(ours)},
        "images": {
            "cellpose": len(taught),
            "ours": len(taught) - len(held),
            "ours_held_out": len(held),
            "test": len(judged),
        },
    }


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(text, file=sys.stderr, flush=True)


def cellpose_training(taught: Sequence[Pair], epochs: int, folder: Path) -> list[Moment]:
    """``train_seg`` from random weights; what it kept on its way and at its end."""
    model = CellposeModel(gpu=False, pretrained_model=None)
    one = len(taught[0][0]) == 1
    images = [planes[0] if one else planes for planes, _ in taught]
    folder.mkdir()
    began = time.time()
    cellpose_train.train_seg(
        model.net,
        train_data=images,
        train_labels=[labels for _, labels in taught],
        channels=[0, 0] if one else [1, 2],
        channel_axis=None if one else 0,
        SGD=True,
        learning_rate=0.1,
        weight_decay=1e-4,
        n_epochs=epochs,
        save_path=folder,
        save_every=SAVE_EVERY,
        save_each=True,
        min_train_masks=0,  # on all images, as ours
        model_name="peer",
    )
    files = sorted((folder / "models").iterdir(), key=lambda file: file.stat().st_mtime)
    return [Moment(file.stat().st_mtime - began, file) for file in files]


def cellpose_judged(
    moments: Sequence[Moment], taught: Sequence[Pair], judged: Sequence[Pair]
) -> list[Judged]:
    """The APs of cellpose's weights, exact wherever they may have the last one's.

    A look in bfloat16, which changes AP by thousandths and takes a fifth of the time, tells which
    weights are too far from it.
    """
    [last] = judged_moments(moments[-1:], lambda file: cellpose_model(file, taught), judged)
    looked = judged_moments(moments, lambda file: cellpose_model(file, taught, True), judged)
    near = [look.ap > last.ap - FAR for look in looked]
    close = [moment for moment, is_near in zip(moments, near, strict=True) if is_near]
    exact = iter(judged_moments(close, lambda file: cellpose_model(file, taught), judged))
    return [next(exact) if is_near else look for look, is_near in zip(looked, near, strict=True)]


def cellpose_model(weights: Path, taught: Sequence[Pair], quick: bool = False) -> Segmenter:
    """Those weights in the engine that gives cellpose's masks to the pixel; ``quick``: nearly."""
    state, meta = checkpoint.import_cellpose(weights, channels_of(taught))
    if quick:
        meta = replace(meta, settings={**meta.settings, "precision": "bfloat16"})
    return Segmenter(state, meta)


def channels_of(taught: Sequence[Pair]) -> tuple[str, ...]:
    """Names for the planes."""
    return ("cytoplasm", "nucleus")[-len(taught[0][0]) :]


def our_training(taught: Sequence[Pair], minutes: float, folder: Path) -> list[Moment]:
    """The best weights so far after each epoch; copying them is not on the clock."""
    began = time.perf_counter()
    copying = 0.0
    moments: list[Moment] = []
    snapshot = written(taught, folder / "snapshot", channels_of(taught))

    def keep(report: EpochReport) -> None:
        nonlocal copying
        now = time.perf_counter()
        place = folder / f"epoch-{report.epoch}"
        checkpoint.save(place, *checkpoint.load(folder / "run"))
        moments.append(Moment(now - began - copying, place))
        say(f"ours, epoch {report.epoch}: {moments[-1].seconds:.0f} s, {report.metrics}")
        copying += time.perf_counter() - now

    config = TrainConfig.for_family("segmenter", {"minutes": minutes})
    train(config, snapshot, folder / "run", on_epoch=keep)
    return moments


def judged_moments(
    moments: Sequence[Moment], load: Callable[[Path], Segmenter], judged: Sequence[Pair]
) -> list[Judged]:
    """The AP of each moment's weights; the same weights are judged once."""
    known: dict[str, float] = {}
    found = []
    for moment in moments:
        place = moment.weights
        content = file_sha256(place / checkpoint.WEIGHTS if place.is_dir() else place)
        if content not in known:
            known[content] = precision(load(place), judged)
            say(f"{place.name} at {moment.seconds:.0f} s: AP {known[content]:.3f}")
        found.append(Judged(moment.seconds, known[content]))
    return found


def first_reaching(goal: float, moments: Sequence[Judged]) -> Judged | None:
    """The first moment with an AP of ``goal``; None when there is none."""
    return next((moment for moment in moments if moment.ap >= goal), None)


def precision(segmenter: Segmenter, judged: Sequence[Pair]) -> float:
    """Mean AP at IoU 0.5."""
    segmenter.meta = replace(segmenter.meta, channels=channels_of(judged))
    values = []
    for planes, labels in judged:
        settings = SegmenterSettings(diameter=median_diameter(labels) or 30.0)
        found = segmenter.segment(planes, settings).labels
        values.append(average_precision([labels], [found], [0.5])[0, 0])
    return float(np.mean(values))


def written(images: Sequence[Pair], folder: Path, channels: tuple[str, ...]) -> Path:
    """A snapshot folder of these images, all to be trained on."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    entries = []
    for number, (planes, labels) in enumerate(images):
        np.save(folder / f"images/{number}.npy", planes)
        np.save(folder / f"labels/{number}.npy", labels)
        entries.append(
            {
                "id": str(number),
                "group": str(number),
                "split": "train",
                "image": f"images/{number}.npy",
                "labels": f"labels/{number}.npy",
                "pixels_content": f"pixels {number}",
                "labels_content": f"labels {number}",
            }
        )
    document = {"hash": folder.name, "channels": channels, "types": [], "images": entries}
    (folder / "manifest.json").write_text(json.dumps(document))
    return folder


def retrain(folder: Path) -> float:
    """Preparing a snapshot of known and a few new images, over preparing the known ones first."""
    few = [crowded((512, 512), number) for number in range(10)]
    images = [
        (np.roll(each.image, 7 * number, axis=2), np.roll(each.labels, 7 * number, axis=1))
        for number, each in ((n, few[n % len(few)]) for n in range(KNOWN + NEW))
    ]
    masks_to_flows(images[0][1])  # compiled once
    seconds = []
    for name, count in (("first", KNOWN), ("second", KNOWN + NEW)):
        snapshot = written(images[:count], folder / name, channels_of(images))
        opened = open_snapshot(snapshot)
        began = time.perf_counter()
        prepare(opened.images, Store(snapshot / PREPARED, folder / "shared"), 30.0)
        seconds.append(time.perf_counter() - began)
    say(f"prepared in {seconds[0]:.1f} s, then in {seconds[1]:.1f} s")
    return seconds[1] / seconds[0]


if __name__ == "__main__":
    main()
