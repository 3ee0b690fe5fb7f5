"""Taking in a model that was trained elsewhere: tried, stored as a candidate, measured."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from annotator import storage
from annotator.exceptions import CytoloopError, NotReady
from annotator.models import ModelVersion, Stage, TrainingRun
from annotator.selectors.versions import current_version
from annotator.services.versions import version_promote_over
from annotator.work.evaluation import evaluate_version
from annotator.work.importing import import_model
from training.errors import Cancelled


def taken_in(run: TrainingRun, should_stop: Callable[[], bool]) -> str:
    """Make the candidate of a run that was trained elsewhere; the run's message.

    Candidate and current version are measured on the corrected images there are now, so that the
    Models page can compare them; a person promotes, but for the first of its family. Raises
    ``UnreadableModel``, ``Unavailable`` and, before each of these steps and each image,
    ``Cancelled``.
    """
    if run.candidate is None:
        run.candidate = _imported(run)
    candidate = run.candidate
    # Whoever made the candidate may have died before it could do this.
    version_promote_over(version=candidate, compared=None)
    with suppress(CytoloopError):  # it is tidied away with the folders of old runs
        storage.delete(run.arrival)
    try:
        for version in (candidate, current_version(run.dataset, run.family)):
            if should_stop():
                raise Cancelled
            if version is not None:
                evaluate_version(version, should_stop=should_stop)
    except NotReady as error:
        return f"{candidate} was taken in{_place(candidate)}, but not measured: {error.message}"
    place = _place(candidate) or "; promote it if it is the better one"
    return f"{candidate} was trained elsewhere and taken in{place}."


def _imported(run: TrainingRun) -> ModelVersion:
    with tempfile.TemporaryDirectory(prefix="arrival-") as temporary:
        # The name under which a refusal speaks of it.
        file = Path(temporary) / f"{run.dataset.name}-{run.family}.cytoloop-model.zip"
        with storage.open_stream(run.arrival) as stream, file.open("wb") as out:
            shutil.copyfileobj(stream, out, storage.CHUNK)
        return import_model(dataset=run.dataset, family=run.family, file=file, run=run)


def _place(candidate: ModelVersion) -> str:
    """As the row has it by now: a person may have promoted it meanwhile."""
    candidate.refresh_from_db(fields=["stage"])
    return " and is current" if candidate.stage == Stage.CURRENT else ""
