"""Django's test runner, beginning with an empty state folder and ending with what took longest."""

from __future__ import annotations

import shutil
import sys
import time
from collections import defaultdict
from operator import itemgetter
from pathlib import Path
from typing import Any
from unittest import TestCase, TestSuite, TextTestResult

from django.conf import settings
from django.core.management.base import CommandError
from django.test.runner import DiscoverRunner

EMPTIED = ("objects", "runs", "snapshots", "models", "broker", "cache")
KEPT_BY_INSTALLATIONS = ("db.sqlite3", "secret_key")
# The tests start servers and workers in their folder, and these keep a key as any other does: the
# mark tells such a folder from an installation's.
MARK = "made-by-the-tests"


SLOWEST = 15  # modules whose times are printed
WORTH_TELLING = 60  # seconds; a shorter suite's times are of no interest


class TimedResult(TextTestResult):
    """Adds up the seconds of each module's tests."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._began = 0.0

    def startTest(self, test: TestCase) -> None:
        self._began = time.perf_counter()
        super().startTest(test)

    def stopTest(self, test: TestCase) -> None:
        super().stopTest(test)
        self.seconds[type(test).__module__] += time.perf_counter() - self._began


class CleanFolderRunner(DiscoverRunner):
    """What an earlier run left in objects, runs, snapshots and the broker is gone."""

    def get_resultclass(self) -> type[TextTestResult] | None:
        return super().get_resultclass() or TimedResult

    def suite_result(self, suite: TestSuite, result: Any, **kwargs: Any) -> int:
        seconds = result.seconds if isinstance(result, TimedResult) else {}
        if sum(seconds.values()) > WORTH_TELLING:
            slowest = sorted(seconds.items(), key=itemgetter(1), reverse=True)[:SLOWEST]
            for module, spent in slowest:
                if spent < 1:
                    break
                print(f"{spent:8.1f} s  {module}", file=sys.stderr)
        return super().suite_result(suite, result, **kwargs)

    def setup_test_environment(self, **kwargs: Any) -> None:
        if not settings.TESTING:
            raise CommandError("The tests empty CYTOLOOP_VAR; run them by `manage.py test` only.")
        clean(settings.VAR_DIR)
        if not self.keepdb:
            for database in settings.VAR_DIR.glob("test*.sqlite3*"):
                database.unlink()  # else Django would ask before it replaces what a crash left
        super().setup_test_environment(**kwargs)


def clean(folder: Path) -> None:
    """Empty the tests' folder; CommandError when it is an installation's."""
    mark = folder / MARK
    found = [name for name in KEPT_BY_INSTALLATIONS if (folder / name).exists()]
    if found and not mark.exists():
        raise CommandError(
            f"{folder} holds {found[0]}, so it looks like an installation, and the tests would "
            "empty it. Set CYTOLOOP_VAR to another folder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()
    for name in EMPTIED:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("messages", "control"):
        (folder / "broker" / name).mkdir(parents=True, exist_ok=True)
