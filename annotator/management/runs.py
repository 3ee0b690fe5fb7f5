"""What the commands share that start a run and may wait for its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from annotator.exceptions import Conflict
from annotator.management.base import DatasetCommand, json_file
from annotator.models import ModelVersion, RunStatus, TrainingRun
from annotator.services.runs import RunRequest, start_of
from inference.builtin import licence_of
from training.engine import EpochReport

_POLL_SECONDS = 1.0


def add_settings(parser: CommandParser) -> None:
    """Arguments that say what a training starts from and how it goes."""
    parser.add_argument(
        "--base",
        help="version to go on from, current, scratch, or built-in weights such as cyto3 (default:"
        " where the first version started; before there is one, cyto3 for a segmenter)",
    )
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--minutes", type=float, help="wall time that training may take")
    parser.add_argument("--config", type=Path, help="JSON file of training settings")


def settings_of(options: dict[str, Any]) -> dict[str, Any]:
    """The training settings that the command line asks for; ``BadInput``."""
    given = {key: options[key] for key in ("epochs", "minutes") if options[key] is not None}
    return json_file(options["config"], "training settings") | given


def made_by(run: TrainingRun) -> ModelVersion:
    """The version that a run has made which this process has worked on; else ``Conflict``."""
    from annotator.work.shutdown import leaving

    run.refresh_from_db()
    if leaving() and run.status not in RunStatus.over():
        raise Conflict(f"Told to stop; run {run.pk} goes on with the next worker, or cancel it.")
    if run.status != RunStatus.DONE or run.candidate is None:
        raise Conflict(f"Run {run.pk} {run.status}: {run.message}")
    return run.candidate


def licence_line(request: RunRequest) -> str:
    """What is to be said of the weights that a run would download; "" where it needs none."""
    base, config = start_of(request)
    start = str(config.get("start", ""))
    licence = "" if base else licence_of(start)
    return f"Starts from {start}. {licence}" if licence else ""


class RunCommand(DatasetCommand):
    """A command that makes a run; with ``--wait`` it works on it in this process."""

    interrupted = "Stopped; what was trained is kept. Go on with model_train … --resume."

    def work_on(self, run: TrainingRun) -> ModelVersion:
        """Train until the run is over; the version it made. ``Conflict`` when it made none."""
        from annotator.work.training import work_on_run  # loads torch, which takes seconds

        self.tell(f"Run {run.pk} begins; each epoch will have a line here.")
        work = partial(work_on_run, run.pk, on_epoch=self._tell_epoch)
        if not work():
            self._watch(run, work)
        version = made_by(run)
        self.tell(run.message)
        return version

    def _tell_epoch(self, report: EpochReport) -> None:
        figures = "".join(
            f", {name} {value:.3f}"
            for name, value in report.metrics.items()
            if isinstance(value, float)
        )
        self.tell(
            f"epoch {report.number('/')}: loss {report.train_loss:.4f}{figures},"
            f" {report.seconds:.0f} s, {report.seconds_left / 60:.1f} min left"
        )

    def _watch(self, run: TrainingRun, work: Callable[[], bool]) -> None:
        """A worker was faster: follow what it does, and go on with the run if it falls silent."""
        self.tell(
            f"A worker has taken run {run.pk}; waiting for it, or for"
            f" {settings.HEARTBEAT_SECONDS} s without a sign of it."
        )
        run.refresh_from_db()
        while run.status not in RunStatus.over() and not work():
            time.sleep(_POLL_SECONDS)
            run.refresh_from_db()
