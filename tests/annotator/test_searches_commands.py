"""The search command, as a person types it."""

from __future__ import annotations

import io
import json
import os
import signal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import TransactionTestCase
from django.utils import timezone

from annotator.models import ModelVersion, Search, SearchStatus, SearchTrial
from annotator.selectors.searches import waiting_searches
from annotator.work import shutdown
from annotator.work.study import study_storage
from tests.annotator.trained import make_searchable, make_trainable

SPACE = {"scale_low": None, "scale_high": None, "ema": {"low": 0.9, "high": 0.99}}


def run(name: str, *args: Any, **options: Any) -> dict[str, Any]:
    """The JSON object that the command prints on its last line."""
    out = io.StringIO()
    call_command(name, *args, json=True, stdout=out, stderr=io.StringIO(), **options)
    printed: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return printed


class SearchCommandTest(TransactionTestCase):
    def setUp(self) -> None:
        self.dataset = make_searchable()
        self.name = self.dataset.name
        self.folder = Path(self.enterContext(TemporaryDirectory()))

    def written(self, name: str, content: Any) -> Path:
        file = self.folder / name
        file.write_text(json.dumps(content))
        return file

    def test_search_and_have_the_best_trials_model_measured(self) -> None:
        space = self.written("space.json", SPACE)
        made = run(
            "model_search", self.name, "segmenter", base="scratch", trials=3, space=space, wait=True
        )
        self.assertEqual((made["trials"], made["version"]), (3, "segmenter-1"))
        self.assertEqual(made["states"], {"done": 3})
        self.assertIn("ap50", made["metrics"])
        search = Search.objects.get(pk=made["search"])
        values = {trial.number: trial.value for trial in search.trials.all()}
        self.assertEqual(made["best"]["value"], max(value for value in values.values() if value))
        config = made["best"]["config"]
        expected = {"learning_rate", "weight_decay", "warmup", "clip", "ema"}
        self.assertEqual(set(config), expected)
        version = ModelVersion.objects.get()
        self.assertEqual(version.meta["lineage"]["config"]["ema"], config["ema"])

    def test_without_wait_the_search_is_left_to_workers(self) -> None:
        queued = run("model_search", self.name, "segmenter", base="scratch", minutes=0.5)
        search = Search.objects.get()
        self.assertEqual(queued, {"search": search.pk, "trials": 20, "status": "queued"})
        self.assertEqual((search.minutes, search.config["minutes"]), (0.5, 0.5))

    def test_bad_trials_minutes_and_spaces_are_refused_by_name(self) -> None:
        for options, words in (
            ({"trials": 1}, "2 to 500 trials, not 1"),
            ({"minutes": -1.0}, "minutes of a trial"),
            ({"minutes": float("nan")}, "minutes of a trial"),
            ({"space": self.folder / "none.json"}, "cannot be read"),
            ({"space": self.written("a.json", [])}, "one JSON object of ranges"),
            ({"space": self.written("b.json", {"lr": None})}, "cannot vary lr"),
            ({"config": self.written("c.json", {"epoch": 1})}, "no training setting epoch"),
            ({"base": "segmenter-9"}, "segmenter-9"),
        ):
            with self.subTest(words), self.assertRaisesMessage(CommandError, words):
                run("model_search", self.name, "segmenter", **{"base": "scratch"} | options)
        self.assertFalse(Search.objects.exists())

    def test_without_anything_to_validate_on_it_says_what_to_correct(self) -> None:
        alone = make_trainable()
        with self.assertRaisesMessage(CommandError, "correct some validation images"):
            run("model_search", alone.name, "segmenter", base="scratch", wait=True)

    def test_ctrl_c_cancels_the_search(self) -> None:
        tell = "annotator.management.commands.model_search.Command._tell_trial"
        with (
            mock.patch(tell, side_effect=KeyboardInterrupt),
            self.assertRaisesMessage(CommandError, "the search is cancelled") as caught,
        ):
            run("model_search", self.name, "segmenter", base="scratch", trials=2, wait=True)
        self.assertEqual(caught.exception.returncode, 130)
        self.assertEqual(Search.objects.get().status, SearchStatus.CANCELLED)

    def test_told_to_stop_it_leaves_the_search_to_the_next_worker(self) -> None:
        def told(command: object, trial: SearchTrial) -> None:
            if not shutdown.leaving():  # after its end the signal would end this process
                os.kill(os.getpid(), signal.SIGTERM)

        self.addCleanup(shutdown._leaving.clear)
        with (
            mock.patch("annotator.management.commands.model_search.Command._tell_trial", told),
            self.assertRaisesMessage(CommandError, "goes on with the next worker"),
        ):
            run("model_search", self.name, "segmenter", base="scratch", trials=2, wait=True)
        search = Search.objects.get()
        self.assertEqual(search.status, SearchStatus.SEARCHING)
        self.assertIn(search, waiting_searches(timezone.now()))
        storage = study_storage()
        in_study = storage.get_all_trials(storage.get_study_id_from_name(search.study))
        self.assertEqual([trial.state.name for trial in in_study], ["FAIL"])

    def test_a_detector_is_searched_as_well(self) -> None:
        self.dataset.training = {
            "detector": {"crop": 64, "batch_size": 2, "epochs": 1, "crops_per_epoch": 4}
        }
        self.dataset.save()
        made = run("model_search", self.name, "detector", base="scratch", trials=2, wait=True)
        self.assertEqual((made["version"], made["family"]), ("detector-1", "detector"))
