"""Train a model of a data set."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from annotator.exceptions import BadInput, Conflict
from annotator.management.base import DatasetCommand
from annotator.models import Dataset, Family, RunStatus, TrainingRun
from annotator.selectors.runs import last_run
from annotator.services.runs import RunRequest, run_create, run_resume
from training.engine import EpochReport

_POLL_SECONDS = 1.0


class Command(DatasetCommand):
    """``manage.py model_train NAME segmenter|detector [--base VERSION|scratch] --wait --json``"""

    help = __doc__ or ""

    interrupted = "Stopped; what was trained is kept. Go on with model_train … --resume."

    def add_more(self, parser: CommandParser) -> None:
        parser.add_argument("family", choices=Family.values)
        parser.add_argument(
            "--base",
            help="version to go on from, scratch, or built-in weights such as cyto3"
            " (default: the current version; before there is one, cyto3 for a segmenter)",
        )
        parser.add_argument("--epochs", type=int)
        parser.add_argument("--minutes", type=float, help="wall time that training may take")
        parser.add_argument("--config", type=Path, help="JSON file of training settings")
        parser.add_argument(
            "--resume", action="store_true", help="go on with the family's last run instead"
        )
        parser.add_argument(
            "--wait", action="store_true", help="train in this process; needs no worker"
        )

    def run(self, dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
        run = self._run_of(dataset, options)
        if not options["wait"]:
            return {"run": run.pk, "family": run.family, "status": run.status}
        from annotator.work.training import work_on_run  # loads torch, which takes seconds

        self.tell(f"Run {run.pk} begins; each epoch will have a line here.")
        work = partial(work_on_run, run.pk, on_epoch=self._tell_epoch)
        if not work():
            self._watch(run, work)
        run.refresh_from_db()
        if run.status != RunStatus.DONE or run.candidate is None:
            raise Conflict(f"Run {run.pk} {run.status}: {run.message}")
        self.tell(run.message)
        evaluation = run.candidate.evaluations.order_by("-id").first()
        return {
            "version": run.candidate.version,
            "run": run.pk,
            "family": run.family,
            "stage": run.candidate.stage,
            "message": run.message,
            "metrics": evaluation.metrics | {"split": evaluation.split} if evaluation else None,
        }

    def _run_of(self, dataset: Dataset, options: dict[str, Any]) -> TrainingRun:
        family, wake = options["family"], not options["wait"]
        if options["resume"]:
            last = last_run(dataset, family)
            if last is None:
                raise Conflict(f"{dataset.name} has no {family} run to go on with.")
            live = last.status not in RunStatus.over()
            return last if live else run_resume(run=last, wake=wake)
        config = _config(options["config"])
        given = {key: options[key] for key in ("epochs", "minutes") if options[key] is not None}
        request = RunRequest(
            dataset=dataset,
            family=family,
            reason="asked for on the command line",
            base=options["base"],
            config=config | given,
        )
        return run_create(request=request, wake=wake)

    def _tell_epoch(self, report: EpochReport) -> None:
        figures = "".join(
            f", {name} {value:.3f}"
            for name, value in report.metrics.items()
            if isinstance(value, float)
        )
        self.tell(
            f"epoch {report.epoch}/{report.epochs}: loss {report.train_loss:.4f}{figures},"
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


def _config(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        config = json.loads(file.read_text())
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # no JSON, no text, or nested without end
        raise BadInput(f"{file} is no JSON: {error}.") from error
    if not isinstance(config, dict):
        raise BadInput(f"{file} must hold one JSON object of training settings.")
    return config
