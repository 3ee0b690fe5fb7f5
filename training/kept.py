"""What a training keeps on disk from one epoch to the next, and hands to the next worker.

A checkpoint is on the disk before it takes the last one's place, so that a power cut costs one
epoch; a damaged one is noticed, and the training goes on from another, or begins anew, instead of
failing for ever.
"""

from __future__ import annotations

import json
import logging
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from inference.checkpoint import META, WEIGHTS
from inference.files import linked_or_copied, told_when_full, whole
from training.config import SCHEDULE

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.jsonl"
BAD_BATCH = "bad_batch.pt"  # what a loss or its gradient was not finite on: tensors and names
HANDED_ON = (WEIGHTS, META, METRICS, CHECKPOINT)  # what a training is made up again from


def write_checkpoint(run: Path, state: dict[str, Any], reports: Iterable[dict[str, Any]]) -> None:
    """Put ``state`` in the place of the last epoch's; the curve beside it, for people."""
    with whole(run / CHECKPOINT) as fresh:
        torch.save(state, fresh)
    write_metrics(run, reports)


def write_metrics(run: Path, reports: Iterable[dict[str, Any]]) -> None:
    """One line of JSON for each epoch."""
    with whole(run / METRICS, durable=False) as fresh:  # the checkpoint holds the same
        fresh.write_text("".join(json.dumps(report) + "\n" for report in reports))


def read_checkpoint(run: Path) -> dict[str, Any] | None:
    """The state after the last whole epoch; None without one, and the log says if it is damaged."""
    file = run / CHECKPOINT
    if not file.exists():
        return None
    if not _is_whole(file):
        log.warning(
            "The checkpoint in %s is cut short or damaged, as after a power cut: nobody can go on"
            " from it.",
            run,
        )
        return None
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    return state


def _is_whole(file: Path) -> bool:
    """Read through with its checksums: what PyTorch raises could be a lack of memory as well."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError):
        return False


def read_schedule(run: Path) -> list[list[float]]:
    """The progress at each step of each epoch of a run to make again; empty without such a file."""
    file = run / SCHEDULE
    if not file.exists():
        return []
    planned: list[list[float]] = json.loads(file.read_text())
    return planned


def taken_over(parent: Path, mine: str) -> Path:
    """The folder ``mine`` in ``parent``, with what earlier workers have left of this training.

    Each worker writes to a folder of its own. One that was thought dead and goes on would put
    its older epoch over that of the worker that has taken over: it finds its folder gone.
    """
    folder = parent / mine
    with told_when_full(parent):
        folder.mkdir(parents=True, exist_ok=True)
    left = [each for each in _folders(parent) if each != folder]
    epochs = {each: _epoch(each) for each in left}
    best = max(epochs, key=lambda each: epochs[each], default=parent)
    if epochs.get(best):
        log.info("Going on from epoch %d, which an earlier worker has left.", epochs[best])
        for name in HANDED_ON:
            if (best / name).exists():
                (folder / name).unlink(missing_ok=True)
                linked_or_copied(best / name, folder / name)
    for each in left:
        if (each / BAD_BATCH).exists():  # for people, who look after a run that failed
            (each / BAD_BATCH).replace(folder / BAD_BATCH)
        if each == parent:
            for name in HANDED_ON:
                (each / name).unlink(missing_ok=True)
        else:
            shutil.rmtree(each, ignore_errors=True)
    for each in parent.glob(".*"):
        shutil.rmtree(each, ignore_errors=True)
    return folder


def newest_epoch(parent: Path) -> int:
    """The epoch after which the newest whole checkpoint in ``parent`` was written; 0 without."""
    return max((_epoch(each) for each in _folders(parent)), default=0)


def _folders(parent: Path) -> list[Path]:
    """Where workers have written, ``parent`` itself too: releases before this one did."""
    if not parent.is_dir():
        return []
    return [*(each for each in parent.iterdir() if each.is_dir() and not _half(each)), parent]


def _half(folder: Path) -> bool:
    """Whether it was being fetched when somebody died."""
    return folder.name.startswith(".")


def _epoch(folder: Path) -> int:
    """The epoch after which the checkpoint in ``folder`` was written; 0 without a whole one."""
    state = read_checkpoint(folder)
    return 0 if state is None else int(state["epoch"])
