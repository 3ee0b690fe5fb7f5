"""Django's test runner, beginning with an empty state folder."""

from __future__ import annotations

import shutil
from typing import Any

from django.conf import settings
from django.test.runner import DiscoverRunner


class CleanFolderRunner(DiscoverRunner):
    """What an earlier run left in objects, runs, snapshots and the broker is gone."""

    def setup_test_environment(self, **kwargs: Any) -> None:
        if not settings.TESTING:
            raise RuntimeError("The tests empty CYTOLOOP_VAR; run them by `manage.py test` only.")
        for name in ("objects", "runs", "snapshots", "models", "broker"):
            shutil.rmtree(settings.VAR_DIR / name, ignore_errors=True)
        for name in ("messages", "control"):
            (settings.VAR_DIR / "broker" / name).mkdir(parents=True, exist_ok=True)
        super().setup_test_environment(**kwargs)
