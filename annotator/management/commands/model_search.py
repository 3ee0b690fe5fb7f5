"""Search for training settings that suit a data set better than the usual ones."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from annotator.exceptions import Conflict
from annotator.management.base import DatasetCommand, json_file
from annotator.management.runs import licence_line, made_by
from annotator.models import (
    Dataset,
    Family,
    RunStatus,
    Search,
    SearchStatus,
    SearchTrial,
    TrainingRun,
    TrialState,
)
from annotator.services.runs import RunRequest
from annotator.services.searches import SearchRequest, search_cancel, search_create

_TRIALS = 20
_POLL_SECONDS = 1.0


class Command(DatasetCommand):
    """``manage.py model_search NAME segmenter|detector [--trials N] --wait --json``"""

    help = __doc__ or ""

    interrupted = "Stopped; the search is cancelled and no model was made."

    def add_more(self, parser: CommandParser) -> None:
        parser.add_argument("family", choices=Family.values)
        parser.add_argument("--trials", type=int, default=_TRIALS, help=f"default: {_TRIALS}")
        parser.add_argument(
            "--minutes",
            type=float,
            help="that each trial may train (default: as long as a training of this family)",
        )
        parser.add_argument("--space", type=Path, help="JSON file of ranges that replace the usual")
        parser.add_argument(
            "--base",
            help="version to go on from, scratch, or built-in weights, as in model_train",
        )
        parser.add_argument(
            "--config", type=Path, help="JSON file of settings that all trials have in common"
        )
        parser.add_argument(
            "--wait", action="store_true", help="search in this process, beside any workers"
        )

    def run(self, dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
        training = RunRequest(
            dataset=dataset,
            family=options["family"],
            reason="asked for on the command line",
            base=options["base"],
            config=json_file(options["config"], "training settings"),
        )
        request = SearchRequest(
            training=training,
            trials=options["trials"],
            minutes=options["minutes"],
            space=json_file(options["space"], "ranges"),
        )
        if line := licence_line(training):
            self.tell(line)
        search = search_create(request=request, wake=not options["wait"])
        if not options["wait"]:
            return {"search": search.pk, "trials": search.wanted, "status": search.status}
        try:
            run = self._searched(search)
        except KeyboardInterrupt:
            search.refresh_from_db()
            if search.status not in SearchStatus.over():
                search_cancel(search=search)
            raise
        return self._result(search, run)

    def _searched(self, search: Search) -> TrainingRun:
        """Work on trials until the search is over, then on the run of the best one."""
        from annotator.work.searching import work_on_search  # loads torch, which takes seconds
        from annotator.work.shutdown import leaving
        from annotator.work.training import work_on_run

        self.tell(f"Search {search.pk} begins: {search.wanted} trials, one line for each.")
        work = partial(work_on_search, search.pk, wake=False, on_trial=self._tell_trial)
        while search.status not in SearchStatus.over():
            if not work():
                time.sleep(_POLL_SECONDS)  # the last trials are with other workers
            search.refresh_from_db()
            if leaving() and search.status not in SearchStatus.over():
                raise Conflict(
                    f"Told to stop; search {search.pk} goes on with the next worker, or cancel it."
                )
        if search.status != SearchStatus.DONE or search.run is None:
            raise Conflict(f"Search {search.pk} {search.status}: {search.message}")
        self.tell(search.message)
        run = search.run
        while not work_on_run(run.pk):
            run.refresh_from_db()
            if run.status in RunStatus.over():
                break
            time.sleep(_POLL_SECONDS)
        made_by(run)
        self.tell(run.message)
        return run

    def _tell_trial(self, trial: SearchTrial) -> None:
        if trial.state in TrialState.live():
            return
        score = "" if trial.value is None else f", validation score {trial.value:.4f}"
        values = ", ".join(f"{key} {value:.4g}" for key, value in (trial.params or {}).items())
        self.tell(f"trial {trial.number} {trial.state}{score}: {trial.message or values}")

    def _result(self, search: Search, run: TrainingRun) -> dict[str, Any]:
        best, version = search.best, run.candidate
        assert best is not None
        assert version is not None
        states = Counter(search.trials.values_list("state", flat=True))
        evaluation = version.evaluations.order_by("-id").first()
        return {
            "search": search.pk,
            "trials": search.wanted,
            "states": dict(states),
            "best": {"trial": best.number, "value": best.value, "config": best.params},
            "version": version.version,
            "run": run.pk,
            "family": search.family,
            "stage": version.stage,
            "message": run.message,
            "metrics": evaluation.metrics | {"split": evaluation.split} if evaluation else None,
        }
