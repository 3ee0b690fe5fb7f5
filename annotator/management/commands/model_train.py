"""Train a model of a data set."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from annotator.exceptions import Conflict
from annotator.management.runs import RunCommand, add_settings, licence_line, settings_of
from annotator.models import Dataset, Family, RunStatus, TrainingRun
from annotator.selectors.runs import last_run
from annotator.services.runs import RunRequest, run_create, run_resume


class Command(RunCommand):
    """``manage.py model_train NAME segmenter|detector [--base VERSION|scratch] --wait --json``"""

    help = __doc__ or ""

    def add_more(self, parser: CommandParser) -> None:
        parser.add_argument("family", choices=Family.values)
        add_settings(parser)
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
        version = self.work_on(run)
        evaluation = version.evaluations.order_by("-id").first()
        return {
            "version": version.version,
            "run": run.pk,
            "family": run.family,
            "stage": version.stage,
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
        request = RunRequest(
            dataset=dataset,
            family=family,
            reason="asked for on the command line",
            base=options["base"],
            config=settings_of(options),
        )
        # Before a worker can hear of the run and begins to download.
        if line := licence_line(request):
            self.tell(line)
        return run_create(request=request, wake=wake)
