"""The broker dies under a training and between two: what waits is started when it is back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from django.contrib.auth.models import User
from django.test import TransactionTestCase

from annotator.celery import app
from annotator.dispatch import Job
from annotator.models import Dataset, ModelVersion, RunStatus, TrainingRun
from tests.annotator.faults import create, first_suite_only
from tests.annotator.own_services import RabbitMQ, Redis, Service
from tests.annotator.trained import make_trainable
from tests.annotator.workers import Worker, database_url

EPOCHS = 30
# In a process of its own, as the app opens its connections once.
REQUEST = """
from django.contrib.auth.models import User
from rest_framework.test import APIClient
client = APIClient(HTTP_HOST="localhost")
client.force_authenticate(User.objects.get(username="root"))
body = {"dataset": DATASET, "family": "segmenter", "base": "scratch"}
answer = client.post("/api/v1/training-runs/", body, format="json")
print(answer.status_code, answer.json())
"""


def is_over(run: TrainingRun) -> bool:
    """Whether the run has ended."""
    return TrainingRun.objects.get(pk=run.pk).status in RunStatus.over()


class BrokerTest(TransactionTestCase):
    def setUp(self) -> None:
        first_suite_only()
        if os.environ.get("FAULTS") != "all":
            self.skipTest("kills and restarts brokers for minutes: make test-faults")
        User.objects.create_superuser("root")
        self.folder = Path(self.enterContext(TemporaryDirectory()))

    def trainable(self) -> Dataset:
        return make_trainable(train=2, test=1, retrain_after_cells=10**6)

    def requested(self, dataset: Dataset, broker: str) -> TrainingRun:
        """The run that a web process starts over REST."""
        code = REQUEST.replace("DATASET", str(dataset.pk))
        asked = subprocess.run(
            [sys.executable, "manage.py", "shell", "--verbosity", "0", "--command", code],
            cwd=settings.BASE_DIR,
            env=os.environ
            | {
                "BROKER_URL": broker,
                "DATABASE_URL": database_url(),
                "CYTOLOOP_VAR": str(settings.VAR_DIR),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertIn("201", asked.stdout, asked.stderr)
        return TrainingRun.objects.get(dataset=dataset)

    def status(self, run: TrainingRun) -> str:
        return TrainingRun.objects.get(pk=run.pk).status

    def wait_for_end(self, worker: Worker, run: TrainingRun, epochs: int) -> None:
        worker.wait_for(partial(is_over, run))
        run.refresh_from_db()
        self.assertEqual(run.status, RunStatus.DONE, f"{run.message}\n{worker.tail()}")
        told = list(run.epoch_rows.values_list("epoch", flat=True))
        self.assertEqual(told, list(range(1, epochs + 1)))
        said = worker.log.read_text(errors="replace")
        self.assertEqual(said.count(f"Run {run.pk} is training."), 1)

    def restarted(self, broker: Service, url: str) -> None:
        first = create(self.trainable(), EPOCHS)
        # With one slot it holds a message besides the training.
        with Worker(self.folder, slots=1, BROKER_URL=url) as worker:
            worker.wait_for(lambda: TrainingRun.objects.get(pk=first.pk).epoch >= 2)
            broker.kill()
            second = self.requested(self.trainable(), url)
            broker.start()
            self.wait_for_end(worker, first, EPOCHS)
            self.wait_for_end(worker, second, 1)
            broker.kill()
            third = self.requested(self.trainable(), url)
            self.assertEqual(self.status(third), RunStatus.QUEUED)
            broker.start()
            self.wait_for_end(worker, third, 1)

    def test_a_killed_redis(self) -> None:
        redis = Redis(Path(self.enterContext(TemporaryDirectory())))
        self.enterContext(redis)
        self.restarted(redis, redis.url)

    def test_a_killed_rabbitmq(self) -> None:
        rabbit = RabbitMQ(Path(self.enterContext(TemporaryDirectory())))
        self.enterContext(rabbit)
        self.restarted(rabbit, rabbit.url)

    def test_the_embedded_brokers_folder_is_removed(self) -> None:
        folder = settings.VAR_DIR / "broker"
        self.addCleanup((folder / "control").mkdir, parents=True, exist_ok=True)
        self.addCleanup((folder / "messages").mkdir, parents=True, exist_ok=True)
        first = create(self.trainable(), EPOCHS)
        with Worker(self.folder) as worker:
            worker.wait_for(lambda: TrainingRun.objects.get(pk=first.pk).epoch >= 2)
            shutil.rmtree(folder)
            second = self.requested(self.trainable(), settings.BROKER_URL)
            self.wait_for_end(worker, first, EPOCHS)
            self.wait_for_end(worker, second, 1)
            # Something else is in its place for a while: nobody can write there.
            away = folder.rename(folder.with_name("broker-away"))
            self.addCleanup(shutil.rmtree, away, ignore_errors=True)
            folder.write_text("")
            third = create(self.trainable(), 2)
            time.sleep(3)
            folder.unlink()
            self.wait_for_end(worker, third, 2)


class RedeliveryTest(TransactionTestCase):
    """Trainings longer than a broker waits for whoever holds a message."""

    def setUp(self) -> None:
        first_suite_only()
        self.folders = [Path(self.enterContext(TemporaryDirectory())) for _ in range(3)]

    def handed_out_again(self, url: str, **environment: str) -> list[str]:
        """What two workers of one slot logged: one trains, a message waits with it too long."""
        long = create(make_trainable(train=2, test=1), 10**4, minutes=0.35)
        short = create(make_trainable(train=2, test=1), 2)
        first, second = (
            Worker(folder, slots=1, BROKER_URL=url, **environment) for folder in self.folders[:2]
        )
        with first:
            first.wait_for(lambda: TrainingRun.objects.get(pk=long.pk).epoch >= 1)
            with app.connection_for_write(url) as broker:
                for run in (short, long, short):
                    app.send_task(
                        Job.TRAIN.value, [run.pk], queue=settings.TRAINING_QUEUE, connection=broker
                    )
            with second:
                second.wait_for(partial(is_over, short))
                first.wait_for(partial(is_over, long))
                time.sleep(5)  # what was handed out again comes now
        said = [worker.log.read_text(errors="replace") for worker in (first, second)]
        for run in (long, short):
            run.refresh_from_db()
            self.assertEqual(run.status, RunStatus.DONE, run.message + "".join(said)[-3000:])
            self.assertEqual("".join(said).count(f"Run {run.pk} is training."), 1)
            self.assertEqual(ModelVersion.objects.filter(dataset=run.dataset).count(), 1)
        return said

    def test_redis_hands_out_what_a_busy_worker_holds(self) -> None:
        with Redis(self.folders[2]) as redis:
            self.handed_out_again(
                f"redis://127.0.0.1:{redis.port}/0",
                DJANGO_SETTINGS_MODULE="tests.annotator.short_redelivery",
            )

    def test_rabbitmq_closes_on_a_busy_worker_that_holds_a_message(self) -> None:
        with RabbitMQ(self.folders[2], patience=3000) as rabbit:
            self.handed_out_again(f"amqp://guest:guest@127.0.0.1:{rabbit.port}//")
            logs = (self.folders[2] / "log").glob("*.log")
            self.assertIn("timed out", "".join(log.read_text() for log in logs))
