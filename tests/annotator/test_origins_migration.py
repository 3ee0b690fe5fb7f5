"""What migrations 0009 and 0010 tell of rows that an earlier release has written."""

from __future__ import annotations

from importlib import import_module

from django.apps import apps
from django.test import TestCase

from annotator.models import Search, SearchTrial, TrainingRun
from tests.annotator.factories import make_dataset, make_version

MIGRATION = import_module("annotator.migrations.0009_origins_that_outlive")
LOST_BASE = import_module("annotator.migrations.0010_lost_base")


class OriginsMigrationTest(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()

    def run_for(self, reason: str, **fields: object) -> TrainingRun:
        return TrainingRun.objects.create(
            dataset=self.dataset, family="segmenter", status="done", reason=reason, **fields
        )

    def test_rebuilds_are_known_even_when_their_original_is_gone(self) -> None:
        version = make_version(self.dataset)
        runs = [
            self.run_for("rebuilds segmenter-1", rebuilds=version),
            self.run_for("rebuilds segmenter-7"),
            self.run_for("asked for by rebuilds"),
        ]
        MIGRATION.remember(apps, None)
        found = [TrainingRun.objects.get(pk=run.pk).is_rebuild for run in runs]
        self.assertEqual(found, [True, True, False])

    def test_runs_know_of_their_base(self) -> None:
        runs = [
            self.run_for("from a version", base=make_version(self.dataset)),
            self.run_for("from scratch"),
        ]
        LOST_BASE.remember(apps, None)
        found = [TrainingRun.objects.get(pk=run.pk).had_base for run in runs]
        self.assertEqual(found, [True, False])

    def test_searches_know_of_their_base_and_trials_keep_schedules_apart(self) -> None:
        search = Search.objects.create(
            dataset=self.dataset,
            family="segmenter",
            base=make_version(self.dataset),
            space={},
            wanted=2,
        )
        points = [{"epoch": 1, "score": 0.5, "schedule": [0.1, 0.2]}, {"epoch": 2, "score": 0.6}]
        trial = SearchTrial.objects.create(search=search, number=1, epochs=points)
        MIGRATION.remember(apps, None)
        MIGRATION.part_schedules(apps, None)
        search.refresh_from_db()
        trial.refresh_from_db()
        self.assertTrue(search.had_base)
        self.assertEqual(trial.schedules, [[0.1, 0.2], []])
        self.assertEqual([sorted(point) for point in trial.epochs], [["epoch", "score"]] * 2)
