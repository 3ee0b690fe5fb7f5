"""Django's test runner, beginning with an empty state folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.test.runner import DiscoverRunner

EMPTIED = ("objects", "runs", "snapshots", "models", "broker", "cache")
KEPT_BY_INSTALLATIONS = ("db.sqlite3", "secret_key")
# The tests start servers and workers in their folder, and these keep a key as any other does: the
# mark tells such a folder from an installation's.
MARK = "made-by-the-tests"


class CleanFolderRunner(DiscoverRunner):
    """What an earlier run left in objects, runs, snapshots and the broker is gone."""

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
