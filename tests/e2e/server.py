"""uvicorn as an installation runs it, on the test's database, storage and broker.

The server of Django's live tests keeps an event stream until its end; here it comes as it is sent.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from django.conf import settings

from tests.annotator.own_services import free_port
from tests.annotator.workers import database_url

_PATIENCE = 60.0  # seconds to start


class Server:
    """``with Server(folder) as server:`` listens at ``server.url``; further names are variables
    of its environment.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        self._log = folder / "server.log"
        self._environment = environment
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Server:
        ours = {"DATABASE_URL": database_url(), "CYTOLOOP_VAR": str(settings.VAR_DIR)}
        command = [sys.executable, "-m", "uvicorn", "annotator.asgi:application"]
        command += ["--port", str(self._port), "--timeout-graceful-shutdown", "1"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=settings.BASE_DIR,
                env=os.environ | ours | self._environment,
                stdout=log,
                stderr=log,
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait_until_it_answers(self) -> None:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/health/live", timeout=5).close()
            except OSError:
                said = self._log.read_text(errors="replace")[-3000:]
                if self._process.poll() is not None or time.monotonic() > until:
                    raise AssertionError(f"the server does not answer:\n{said}") from None
                time.sleep(0.1)
            else:
                return

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
