"""A process that trains beside the lead, on a GPU of its own: ``python -m training.member``.

Its job comes as one line of JSON on standard input (see ``training.parallel.leading``), which stays
open while the lead lives. It writes nothing but its log, and the batch that a loss was not finite
on.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import torch

from training.config import TrainConfig
from training.dataset import open_snapshot
from training.engine import Training, Watch
from training.parallel import Processes, Share, device_of, ready
from training.train import described, learner_of

_SEEDS_APART = 7919  # what is drawn at random differs from process to process


def main() -> None:
    """Train until the lead has finished, or is gone."""
    # Who stops the lead stops its group: the lead decides what becomes of the run.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_lead, daemon=True).start()
    train_along(job)


def train_along(job: dict[str, Any]) -> None:
    """The same training as the lead's, on another share of every batch."""
    share, meeting = Share(job["rank"], job["size"]), Path(job["meeting"])
    config = TrainConfig(**job["config"])
    snapshot, run = open_snapshot(Path(job["snapshot"])), Path(job["run"])
    base = Path(job["base"]) if job["base"] else None
    torch.manual_seed(config.seed)
    learner = learner_of(config, snapshot, run, base, share)
    ready(meeting, share.rank)
    team = Processes(share, device_of(config, share), meeting)
    torch.manual_seed(config.seed + _SEEDS_APART * share.rank)
    meta = described(learner.meta(), config, snapshot, base, share)
    try:
        Training(learner, config, run, meta, team).fit(Watch())
    except BaseException:
        team.abandon()
        raise
    team.leave()


def _end_with_the_lead() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
