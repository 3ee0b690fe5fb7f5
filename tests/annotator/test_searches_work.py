"""Working on searches with real, tiny networks: trials, their best, and what breaks off."""

from __future__ import annotations

import shutil
import threading
import time
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from django.db import OperationalError, connection
from django.test import TransactionTestCase, override_settings
from django.utils import timezone
from optuna.trial import FrozenTrial

from annotator.exceptions import Conflict
from annotator.models import (
    Dataset,
    ModelVersion,
    RunStatus,
    Search,
    SearchStatus,
    SearchTrial,
    TrainingRun,
    TrialState,
)
from annotator.selectors.searches import waiting_searches
from annotator.services.runs import RunRequest, run_resume
from annotator.services.searches import (
    SearchRequest,
    search_cancel,
    search_create,
    trial_claim,
    trial_weights_prune,
)
from annotator.services.snapshots import snapshot_folder, snapshot_folders_prune
from annotator.work.importing import import_model
from annotator.work.searching import search_folders_prune, trial_folder, work_on_search
from annotator.work.study import study_storage
from annotator.work.training import work_on_run
from tests.annotator.elsewhere import make_model_file
from tests.annotator.factories import is_stored, make_version
from tests.annotator.trained import make_searchable

SPACE = {
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "ema": None,
    "clip": None,
    "scale_low": None,
    "scale_high": None,
}


def create(dataset: Dataset, trials: int = 3, **options: Any) -> Search:
    space = options.pop("space", SPACE)
    minutes = options.pop("minutes", None)
    training = RunRequest(dataset, "segmenter", "a test", base="scratch", **options)
    return search_create(request=SearchRequest(training, trials, minutes, space))


def worked(search: Search, **options: Any) -> Search:
    while work_on_search(search.pk, **options):
        pass
    search.refresh_from_db()
    return search


def in_study(search: Search) -> list[FrozenTrial]:
    """The trials as Optuna has them."""
    storage = study_storage()
    return storage.get_all_trials(storage.get_study_id_from_name(search.study))


class SearchWorkTest(TransactionTestCase):
    """Not in one transaction: heartbeats and Optuna must see the rows."""

    def test_the_best_trial_becomes_a_candidate_with_its_settings_and_curve(self) -> None:
        search = worked(create(make_searchable(), config={"epochs": 2}))
        self.assertEqual(search.status, SearchStatus.DONE, search.message)
        trials = list(search.trials.all())
        self.assertEqual({trial.state for trial in trials}, {TrialState.DONE})
        best = max(trials, key=lambda trial: trial.value or -9.0)
        self.assertEqual(search.best, best)
        run = search.run
        assert run is not None
        self.assertEqual(run.reason, f"best of search {search.pk} (trial {best.number} of 3)")
        self.assertEqual({**run.config, **(best.params or {})}, run.config)
        shares = list(run.epoch_rows.values_list("waiting", flat=True))
        self.assertEqual(shares, [each["waiting"] for each in best.epochs])
        self.assertEqual(len(shares), 2)
        self.assertEqual(run.snapshot, search.snapshot)

        work_on_run(run.pk)
        run.refresh_from_db()
        self.assertEqual(run.status, RunStatus.DONE, run.message)
        version = run.candidate
        assert version is not None
        lineage = version.meta["lineage"]
        assert best.params is not None
        self.assertEqual(lineage["config"]["learning_rate"], best.params["learning_rate"])
        self.assertEqual(version.evaluations.get().split, "test")
        weights = {trial.weights for trial in search.trials.exclude(weights="")}
        self.assertTrue(weights)
        trial_weights_prune(limit=timezone.now() - timedelta(days=1))
        self.assertFalse(any(is_stored(f"{key}/weights.safetensors") for key in weights))
        self.assertTrue(is_stored(f"{version.key}/weights.safetensors"))

    def test_the_best_model_of_a_search_waits_for_a_failed_run_to_be_resumed(self) -> None:
        search = worked(create(make_searchable(), config={"epochs": 2}))
        assert search.best is not None
        weights = f"{search.best.weights}/weights.safetensors"
        now = timezone.now()
        TrainingRun.objects.update(status=RunStatus.FAILED, finished_at=now)
        trial_weights_prune(limit=now - timedelta(days=1))
        self.assertTrue(is_stored(weights))
        trial_weights_prune(limit=now + timedelta(seconds=1))
        self.assertFalse(is_stored(weights))

    def test_the_first_trial_is_what_a_plain_training_does_and_all_learn_from_the_same(
        self,
    ) -> None:
        search = worked(create(make_searchable()))
        first = search.trials.get(number=1)
        params = [trial.params or {} for trial in search.trials.all()]
        self.assertEqual(params[0]["learning_rate"], 2e-3)
        self.assertEqual(len({each["learning_rate"] for each in params}), 3)
        self.assertNotIn("crop", params[0], "the data set fixes it")
        self.assertEqual([t.state.name for t in in_study(search)], ["COMPLETE"] * 3)
        self.assertEqual(
            [t.value for t in in_study(search)], [t.value for t in search.trials.all()]
        )
        self.assertFalse(trial_folder(first).exists())

    def test_the_same_search_makes_the_same_trials(self) -> None:
        made = []
        for _ in range(2):
            search = worked(create(make_searchable(), trials=2))
            made.append([trial.params for trial in search.trials.all()])
        self.assertEqual(made[0], made[1])

    def test_while_another_run_is_live_the_best_waits_for_its_end(self) -> None:
        dataset = make_searchable()
        other = TrainingRun.objects.create(dataset=dataset, family="segmenter", reason="another")
        search = worked(create(dataset, trials=2))
        self.assertEqual(search.status, SearchStatus.SEARCHING)
        self.assertIn(f"waiting for the end of run {other.pk}", search.message)
        self.assertIn(search, waiting_searches(timezone.now()))
        TrainingRun.objects.filter(pk=other.pk).update(status=RunStatus.FAILED)
        self.assertEqual(worked(search).status, SearchStatus.DONE)

    def test_when_the_usual_settings_fail_the_search_says_why(self) -> None:
        config = {"learning_rate": 1e30, "epochs": 2}
        search = create(make_searchable(), trials=4, space={"ema": None}, config=config)
        with self.assertLogs("annotator.work.searching", "WARNING"):
            worked(search)
        self.assertEqual(search.status, SearchStatus.FAILED)
        self.assertIn("Training with the usual settings failed", search.message)
        states = list(search.trials.values_list("state", flat=True))
        self.assertEqual(states, ["failed", "cancelled", "cancelled", "cancelled"])

    def test_a_trial_that_cannot_be_trained_costs_only_itself(self) -> None:
        space = dict.fromkeys(SPACE) | {
            "weight_decay": None,
            "warmup": None,
            "learning_rate": {"choices": [2e-3, 1e30]},
        }
        search = create(make_searchable(), trials=6, space=space, config={"epochs": 2})
        with self.assertLogs("annotator.work.searching", "WARNING"):
            worked(search)
        states = set(search.trials.values_list("state", flat=True))
        self.assertEqual(states, {"done", "failed"})
        self.assertEqual(search.status, SearchStatus.DONE, search.message)

    def test_what_a_live_search_reads_stays_and_what_an_ended_one_left_goes(self) -> None:
        search = create(make_searchable(), trials=2)
        work_on_search(search.pk)
        search.refresh_from_db()
        assert search.snapshot is not None
        folder = snapshot_folder(search.snapshot)
        left = trial_folder(search.trials.get(number=2))
        left.mkdir(parents=True)
        for number in range(6):  # newer snapshots than this machine keeps
            newer = folder.with_name(f"9-newer{number}")
            newer.mkdir()
            (newer / "manifest.json").touch()
            self.addCleanup(shutil.rmtree, newer, ignore_errors=True)
        snapshot_folders_prune()
        search_folders_prune()
        self.assertTrue((folder / "manifest.json").exists() and left.exists())
        search_cancel(search=search)
        snapshot_folders_prune()
        search_folders_prune()
        self.assertFalse(folder.exists() or left.exists())

    def test_deleting_the_data_set_takes_its_searches_along(self) -> None:
        dataset = make_searchable()
        search = worked(create(dataset, trials=2))
        ModelVersion.objects.all().delete()
        dataset.delete()
        self.assertFalse(Search.objects.filter(pk=search.pk).exists())

    def test_a_search_whose_base_was_deleted_ends_with_that(self) -> None:
        dataset = make_searchable()
        base = make_version(dataset)
        training = RunRequest(dataset, "segmenter", "a test", base=str(base))
        search = search_create(request=SearchRequest(training, 2, space=SPACE))
        base.delete()
        self.assertFalse(work_on_search(search.pk))
        search.refresh_from_db()
        self.assertEqual(search.status, SearchStatus.FAILED)
        self.assertIn("start from was deleted", search.message)
        self.assertEqual(set(search.trials.values_list("state", flat=True)), {"cancelled"})

    def test_the_run_of_a_search_knows_when_its_start_was_deleted(self) -> None:
        dataset = make_searchable()
        folder = Path(self.enterContext(TemporaryDirectory()))
        file = make_model_file(dataset, folder / "m.zip")
        base = import_model(dataset=dataset, family="segmenter", file=file)
        training = RunRequest(dataset, "segmenter", "a test", base=str(base), config={"epochs": 1})
        search = worked(search_create(request=SearchRequest(training, 2, space=SPACE)))
        base.delete()
        run = TrainingRun.objects.get(search=search)
        self.assertTrue(run.lost_base)
        failed = {"status": RunStatus.FAILED, "finished_at": timezone.now()}
        TrainingRun.objects.filter(pk=run.pk).update(**failed)
        # The best trial's model is all that is needed; without it the start is.
        self.assertEqual(run_resume(run=run).status, RunStatus.QUEUED)
        TrainingRun.objects.filter(pk=run.pk).update(**failed)
        search.trials.update(weights="")
        with self.assertRaisesMessage(Conflict, "start from was deleted"):
            run_resume(run=run)

    def test_schedules_that_minutes_bound_come_along_to_the_run(self) -> None:
        config = {"epochs": 3}
        search = worked(create(make_searchable(), trials=2, minutes=0.03, config=config))
        assert search.best is not None
        assert search.run is not None
        self.assertNotIn("schedule", search.best.epochs[0])
        kept = list(search.run.epoch_rows.values_list("schedule", flat=True))
        self.assertEqual(kept, search.best.schedules)
        self.assertTrue(all(kept))


class TakenOverTest(TransactionTestCase):
    def test_a_trial_of_a_dead_worker_is_failed_in_the_study_and_tried_again(self) -> None:
        search = create(make_searchable(), trials=2)
        self.assertTrue(work_on_search(search.pk))
        began: list[int] = []

        class Killed(BaseException):
            pass

        def die(trial: SearchTrial) -> None:
            began.append(trial.number)
            raise Killed

        with self.assertRaises(Killed):
            work_on_search(search.pk, on_trial=die)
        dead = search.trials.get(number=2)
        self.assertEqual((dead.state, dead.tries), (TrialState.TRAINING, 0))
        self.assertFalse(work_on_search(search.pk), "it may be alive")
        SearchTrial.objects.filter(pk=dead.pk).update(
            heartbeat_at=timezone.now() - timedelta(minutes=5)
        )
        self.assertIn(search, waiting_searches(timezone.now()))
        worked(search)
        again = search.trials.get(number=2)
        self.assertEqual(search.status, SearchStatus.DONE, search.message)
        self.assertEqual((again.state, again.params), (TrialState.DONE, dead.params))
        self.assertNotEqual(again.study_number, dead.study_number)
        states = [trial.state.name for trial in in_study(search)]
        self.assertEqual(states, ["COMPLETE", "FAIL", "COMPLETE"])

    def test_workers_that_ask_at_once_never_have_the_same_trial(self) -> None:
        search = create(make_searchable(), trials=5)
        ready = threading.Barrier(8)
        taken: list[int] = []

        def ask() -> None:
            try:
                ready.wait()
                held = trial_claim(search_id=search.pk)
                if held:
                    taken.append(held.trial.number)
            finally:
                connection.close()

        workers = [threading.Thread(target=ask) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
        self.assertEqual(sorted(taken), [1, 2, 3, 4, 5])

    def test_a_trial_that_kills_its_workers_fails_and_the_next_is_taken(self) -> None:
        search = create(make_searchable(), trials=3)
        search.trials.filter(number=1).update(state=TrialState.DONE)
        search.trials.filter(number=2).update(tries=3)
        held = trial_claim(search_id=search.pk)
        assert held is not None
        self.assertEqual(held.trial.number, 3)
        self.assertIn("died 3 times", search.trials.get(number=2).message)

    def test_when_the_usual_settings_kill_their_workers_nothing_more_is_trained(self) -> None:
        search = create(make_searchable(), trials=2)
        search.trials.filter(number=1).update(tries=3)
        self.assertFalse(work_on_search(search.pk))
        search.refresh_from_db()
        self.assertEqual(search.status, SearchStatus.FAILED)
        self.assertIn("died 3 times", search.message)
        self.assertEqual(search.trials.get(number=2).tries, 0)

    def test_a_trial_that_got_on_since_it_was_taken_is_not_at_its_last_try(self) -> None:
        search = create(make_searchable(), trials=2, config={"epochs": 2})
        search.trials.filter(number=1).update(tries=2)

        with self.assertLogs("annotator.work.searching", "ERROR"):
            work_on_search(search.pk, on_trial=mock.Mock(side_effect=[OperationalError, None]))
        first = search.trials.get(number=1)
        self.assertEqual((first.state, first.tries), (TrialState.TRAINING, 0))
        with (
            mock.patch("annotator.work.searching._tried", side_effect=OperationalError("away")),
            self.assertLogs("annotator.work.searching", "WARNING"),
        ):
            search.trials.filter(number=1).update(tries=2, heartbeat_at=None)
            work_on_search(search.pk)
        self.assertIn("failed 3 times (away)", search.trials.get(number=1).message)

    def test_two_workers_share_the_trials(self) -> None:
        search = create(make_searchable(), trials=6)
        with override_settings(HEARTBEAT_SECONDS=60):
            workers = [threading.Thread(target=self.work, args=(search,)) for _ in range(2)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join(120)
        worked(search)
        self.assertEqual(search.status, SearchStatus.DONE, search.message)
        params = [str(trial.params) for trial in search.trials.all()]
        self.assertEqual(len(set(params)), 6)
        numbers = set(search.trials.values_list("study_number", flat=True))
        self.assertEqual(numbers, set(range(6)))

    def work(self, search: Search) -> None:
        try:
            while work_on_search(search.pk):
                pass
        finally:
            connection.close()


class SearchCancelTest(TransactionTestCase):
    def test_a_cancel_ends_the_search_at_once_and_its_worker_within_seconds(self) -> None:
        search = create(make_searchable(), trials=3, config={"epochs": 4000})
        began = threading.Event()

        def work() -> None:
            try:
                work_on_search(search.pk, on_trial=lambda trial: began.set())
            finally:
                connection.close()

        worker = threading.Thread(target=work)
        worker.start()
        self.assertTrue(began.wait(60))
        asked = time.monotonic()
        search_cancel(search=search)
        worker.join(20)
        self.assertLess(time.monotonic() - asked, 5)
        search.refresh_from_db()
        self.assertEqual(search.status, SearchStatus.CANCELLED)
        self.assertEqual(set(search.trials.values_list("state", flat=True)), {"cancelled"})
        self.assertEqual([trial.state.name for trial in in_study(search)], ["FAIL"])
        self.assertFalse(work_on_search(search.pk))
        self.assertFalse(ModelVersion.objects.exists())
