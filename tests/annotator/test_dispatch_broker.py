"""Waking workers: on commit, on the right queue, and never at the cost of the work itself."""

from __future__ import annotations

import os
import subprocess
import sys

from django.conf import settings
from django.db import transaction
from django.test import TransactionTestCase, tag

from annotator.celery import app
from annotator.dispatch import Job, enqueue, queue_of
from tests.annotator.workers import database_url


@tag("broker")
class EnqueueTest(TransactionTestCase):
    """On the broker that the environment names."""

    def setUp(self) -> None:
        self.drain()
        self.addCleanup(self.drain)

    def drain(self, queue: str = settings.TRAINING_QUEUE) -> list[str]:
        """Take all messages off a queue: the names of the tasks they call."""
        names = []
        with app.connection_for_read() as connection, connection.channel() as channel:
            bound = app.amqp.queues[queue].bind(channel)
            bound.declare()
            while (message := bound.get(no_ack=True)) is not None:
                names.append(message.headers["task"])
        return names

    def test_a_message_leaves_when_the_transaction_commits(self) -> None:
        with transaction.atomic():
            enqueue(Job.TRAIN, 7)
            self.assertEqual(self.drain(), [])
        self.assertEqual(self.drain(), ["train"])

    def test_a_transaction_that_fails_wakes_nobody(self) -> None:
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            enqueue(Job.TRAIN, 7)
            raise ZeroDivisionError
        self.assertEqual(self.drain(), [])

    def test_training_has_a_queue_of_its_own(self) -> None:
        self.assertEqual(queue_of(Job.TRAIN), settings.TRAINING_QUEUE)
        self.assertEqual(queue_of(Job.PREDICT_IMAGES), settings.PREDICTION_QUEUE)
        self.assertEqual(queue_of(Job.TAKE_IN), settings.PREDICTION_QUEUE)
        self.assertEqual(queue_of(Job.EXPORT), "cpu")
        self.assertEqual(queue_of(Job.TICK), "cpu")

    def test_a_broker_out_of_reach_is_logged_and_not_raised(self) -> None:
        # In a process of its own: the app opens its connections once. Nobody listens on port 1.
        code = "from annotator.dispatch import *; enqueue(Job.TRAIN, 7); print('went on')"
        found = subprocess.run(
            [sys.executable, "manage.py", "shell", "--verbosity", "0", "--command", code],
            cwd=settings.BASE_DIR,
            env=os.environ
            | {"BROKER_URL": "amqp://guest:guest@127.0.0.1:1//", "DATABASE_URL": database_url()},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(found.returncode, 0, found.stderr)
        self.assertEqual(found.stdout.strip(), "went on")
        self.assertIn("could not wake train(7)", found.stderr)
