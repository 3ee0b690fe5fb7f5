"""A real worker dies in the middle of a trial: the trial is tried again and the search ends."""

from __future__ import annotations

import signal
from pathlib import Path
from tempfile import TemporaryDirectory

from django.test import TransactionTestCase, tag

from annotator.models import ModelVersion, Search, SearchStatus, TrialState
from annotator.services.runs import RunRequest
from annotator.services.searches import SearchRequest, search_create
from annotator.work.study import study_storage
from tests.annotator.trained import make_searchable
from tests.annotator.workers import Worker

EPOCHS = 12  # seconds of training, so that there is a middle to die in


@tag("broker")
class SearchRecoveryTest(TransactionTestCase):
    def test_a_killed_trial_is_tried_again_by_the_next_worker(self) -> None:
        folder = Path(self.enterContext(TemporaryDirectory()))
        dataset = make_searchable()
        training = RunRequest(
            dataset, "segmenter", "a test", base="scratch", config={"epochs": EPOCHS}
        )
        space = {"scale_low": None, "scale_high": None, "ema": None}
        search = search_create(request=SearchRequest(training, 2, space=space))

        def first_epochs() -> int:
            return len(search.trials.get(number=1).epochs)

        with Worker(folder) as worker:
            worker.wait_for(lambda: first_epochs() >= 2)
            worker.end(signal.SIGKILL)
        killed = search.trials.get(number=1)
        self.assertEqual(killed.state, TrialState.TRAINING)
        self.assertNotEqual(killed.claim, "")

        with Worker(folder) as worker:
            worker.wait_for(lambda: self.row(search).status in SearchStatus.over(), 120)
            tail = worker.tail()
            self.assertEqual(self.row(search).status, SearchStatus.DONE, tail)
            worker.wait_for(lambda: ModelVersion.objects.filter(run__search=search).exists())
        again = search.trials.get(number=1)
        self.assertEqual((again.state, again.params), (TrialState.DONE, killed.params))
        self.assertEqual([point["epoch"] for point in again.epochs], list(range(1, EPOCHS + 1)))
        # It went on from the checkpoint: the first epoch was not trained a second time.
        self.assertEqual(again.epochs[0]["seconds"], killed.epochs[0]["seconds"])
        storage = study_storage()
        in_study = storage.get_all_trials(storage.get_study_id_from_name(search.study))
        states = sorted(trial.state.name for trial in in_study)
        self.assertEqual(states[:1], ["COMPLETE"])
        self.assertIn("FAIL", states)

    def row(self, search: Search) -> Search:
        return Search.objects.get(pk=search.pk)
