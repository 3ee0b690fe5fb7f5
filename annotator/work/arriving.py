"""Taking in a model that was trained elsewhere: tried, stored as a candidate, measured."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from annotator import storage
from annotator.exceptions import CytoloopError, NotReady
from annotator.models import TrainingRun
from annotator.selectors.versions import current_version
from annotator.work.evaluation import evaluate_version
from annotator.work.importing import import_model
from training.errors import Cancelled


def taken_in(run: TrainingRun, should_stop: Callable[[], bool]) -> str:
    """Make the candidate of a run that was trained elsewhere; the run's message.

    Candidate and current version are measured on the corrected images there are now, so that the
    Models page can compare them; a person promotes. Raises ``UnreadableModel``, ``Unavailable``
    and, before each of these steps, ``Cancelled``.
    """
    if run.candidate is None:
        with tempfile.TemporaryDirectory(prefix="arrival-") as temporary:
            # The name under which a refusal speaks of it.
            file = Path(temporary) / f"{run.dataset.name}-{run.family}.cytoloop-model.zip"
            with storage.open_stream(run.arrival) as stream, file.open("wb") as out:
                shutil.copyfileobj(stream, out, storage.CHUNK)
            run.candidate = import_model(dataset=run.dataset, family=run.family, file=file, run=run)
    candidate = run.candidate
    for version in (candidate, current_version(run.dataset, run.family)):
        if should_stop():
            raise Cancelled
        try:
            if version is not None:
                evaluate_version(version)
        except NotReady as error:
            return f"{candidate} was taken in, but not measured: {error.message}"
    with suppress(CytoloopError):  # it is tidied away with the run's folder
        storage.delete(run.arrival)
    return f"{candidate} was trained elsewhere and taken in; promote it if it is the better one."
