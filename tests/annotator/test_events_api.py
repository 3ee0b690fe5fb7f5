"""The stream of a run's events: what it costs to watch."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from unittest import mock

from django.test import TransactionTestCase

from annotator.api import events
from annotator.models import RunEpoch, RunStatus, TrainingRun
from tests.annotator.factories import make_dataset
from tests.annotator.test_runs_api import finished


class WatchingTest(TransactionTestCase):
    """The stream reads with its own connections, so the rows must be committed."""

    def setUp(self) -> None:
        self.enterContext(mock.patch.object(events, "_POLL_SECONDS", 0.02))
        self.row = TrainingRun.objects.create(
            dataset=make_dataset(), family="segmenter", status=RunStatus.TRAINING
        )
        self.read = 0

    def body(self, run: TrainingRun) -> dict[str, Any]:
        self.read += 1
        return {"epochs": [point.epoch for point in run.epoch_rows.all()], "status": run.status}

    def test_the_curve_is_read_when_a_point_is_added_and_not_every_second(self) -> None:
        async def change(**fields: Any) -> None:
            await TrainingRun.objects.filter(pk=self.row.pk).aupdate(**fields)

        async def work() -> None:
            await asyncio.sleep(0.3)
            await RunEpoch.objects.acreate(run=self.row, epoch=1, train_loss=1, seconds=1)
            await change(epoch=1, seconds_left=5.0)
            await asyncio.sleep(0.3)
            await change(status=RunStatus.DONE)

        async def watch() -> list[dict[str, Any]]:
            working = asyncio.create_task(work())
            seen = [
                json.loads(text.split("data: ", 1)[1])
                async for text in events._events(self.row.pk, self.body)
                if text.startswith("event: run")
            ]
            await working
            return seen

        seen = finished(asyncio.wait_for(watch(), 20))
        self.assertEqual(
            seen,
            [
                {"epochs": [], "status": "training"},
                {"epochs": [1], "status": "training"},
                {"epochs": [1], "status": "done"},
            ],
        )
        self.assertEqual(self.read, 3)
