"""What the environment says, and what the tests themselves may not touch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from django.conf import settings
from django.test import SimpleTestCase

TESTS = "tests.annotator.test_naming"  # quick ones without a database


class Environment(SimpleTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()

    def python(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Python with ``self.folder`` as the folder of all state."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=settings.BASE_DIR,
            env={"CYTOLOOP_VAR": str(self.folder), "PATH": os.environ["PATH"]} | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def write(self, name: str) -> Path:
        """A file in the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a lab's work")
        return path

    def read(self, code: str, **environment: str) -> object:
        """What the settings make of ``environment``."""
        done = self.python(
            "-c", f"import json, annotator.settings as s; print(json.dumps({code}))", **environment
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)


class Queues(Environment):
    def test_every_queue_that_somebody_listens_to_is_declared_without_arguments(self) -> None:
        # RabbitMQ refuses a queue that is declared again with others, and each release its own.
        code = "[[q.name, q.queue_arguments] for q in s.CELERY_TASK_QUEUES]"
        self.assertEqual(self.read(code), [["cpu", None], ["training", None]])
        gpu = {"PREDICTION_QUEUE": "gpu", "TRAINING_QUEUE": "gpu-training"}
        names = ("cpu", "gpu", "gpu-training", "training")
        self.assertEqual(self.read(code, **gpu), [[name, None] for name in names])

    def test_an_empty_variable_means_the_default(self) -> None:
        # Compose passes those that .env does not set as empty ones.
        names = ("S3_REGION", "S3_ADDRESSING_STYLE", "LOG_LEVEL", "SIGN_IN_RATE", "HTTPS_ONLY")
        code = (
            "[s.STORAGES['default']['OPTIONS']['region_name'], s.LOGGING['root']['level'],"
            " s.REST_FRAMEWORK['DEFAULT_THROTTLE_RATES']['sign_in'], s.HEARTBEAT_SECONDS]"
        )
        empty = dict.fromkeys((*names, "HEARTBEAT_SECONDS", "PREDICTION_QUEUE"), "")
        found = self.read(code, S3_BUCKET="cells", **empty)
        self.assertEqual(found, ["us-east-1", "INFO", "20/min", 60])


class TestsLeaveAlone(Environment):
    def test_the_folder_that_cytoloop_var_names(self) -> None:
        kept = [self.write(name) for name in ("objects/images/aa", "runs/7/x", "db.sqlite3")]
        stale = self.write("test/objects/images/bb")
        done = self.python("manage.py", "test", TESTS)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(all(path.read_text() == "a lab's work" for path in kept))
        self.assertFalse(stale.exists())
        self.assertEqual(self.python("manage.py", "test", TESTS).returncode, 0)

    def test_an_installation_in_the_very_folder_that_they_would_empty(self) -> None:
        for name in ("db.sqlite3", "secret_key"):
            with self.subTest(name):
                kept = self.write("test/objects/images/aa")
                sign = self.write(f"test/{name}")
                done = self.python("manage.py", "test", TESTS)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(f"holds {name}", done.stderr)
                self.assertNotIn("Traceback", done.stderr)
                self.assertTrue(kept.exists())
                sign.unlink()

    def test_a_bucket_that_is_none_for_tests(self) -> None:
        done = self.python("manage.py", "test", TESTS, S3_BUCKET="cells")
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stderr.startswith("S3_BUCKET='cells'"), done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        self.assertEqual(self.python("manage.py", "check", S3_BUCKET="cells").returncode, 0)
