"""Services of a test's own, on free ports and in folders of their own: to be killed."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import dj_database_url
from django.core.management import call_command
from django.db import connections

from tests.annotator.faults import require

_given: set[int] = set()


def free_port() -> int:
    """A port nobody listens on, and that no connection is given while its server is down.

    Never one that this process was given before: its server may be down just now.
    """
    while True:
        port = secrets.randbelow(10_000) + 20_000
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    # Erlang listens on all addresses; another address in use would refuse it.
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("", port))
        return True
    return False


class Service:
    """A server process; ``with`` starts it and leaves nothing of it."""

    user: str | None = None
    environment: Mapping[str, str] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """What to run."""
        raise NotImplementedError

    def __enter__(self) -> Service:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Run it and wait until it answers."""
        with (self.folder / "service.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                env=os.environ | self.environment,
                stdout=log,
                stderr=log,
                user=self.user,
                start_new_session=True,
            )
        end = time.monotonic() + 120
        while not self.answers():
            if time.monotonic() > end or self._process.poll() is not None:
                said = (self.folder / "service.log").read_text(errors="replace")[-3000:]
                raise AssertionError(f"{self.command()[0]} does not answer:\n{said}")
            time.sleep(0.2)

    def answers(self) -> bool:
        """Whether somebody listens on its port."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """SIGKILL to it and to all that it has started, and wait until they are gone."""
        if self._process is None:
            return
        family = [self._process.pid, *_descendants(self._process.pid)]
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(30)
        self._process = None
        end = time.monotonic() + 30
        while any(Path(f"/proc/{pid}").exists() for pid in family) and time.monotonic() < end:
            time.sleep(0.05)


def _descendants(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    children: dict[int, list[int]] = {}
    for line in listed.stdout.splitlines():
        child, parent = line.split()
        children.setdefault(int(parent), []).append(int(child))
    found, left = [], [pid]
    while left:
        found += children.get(left[0], [])
        left += children.get(left.pop(0), [])
    return found


class Postgres(Service):
    """A cluster of its own; ``url`` is its database."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
        places += [Path(found).parent for found in [shutil.which("postgres")] if found]
        require(bool(places), "Postgres")
        self._bin = places[0]
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        if os.geteuid() == 0:  # it refuses to run as root
            self.user = "postgres"
            owner = pwd.getpwnam("postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        subprocess.run(
            [
                str(self._bin / "initdb"),
                "-D",
                str(folder / "data"),
                "-A",
                "trust",
                "-U",
                "postgres",
            ],
            check=True,
            capture_output=True,
            user=self.user,
            cwd=folder,
        )

    def command(self) -> list[str]:
        where = ["-D", str(self.folder / "data"), "-k", str(self.folder)]
        return [str(self._bin / "postgres"), *where, "-h", "127.0.0.1", "-p", str(self.port)]

    def answers(self) -> bool:
        asked = [str(self._bin / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0


@contextmanager
def default_database(url: str) -> Iterator[None]:
    """The database at ``url``, migrated, in the place of the tests' own."""
    ours, rules = connections["default"], connections.databases["default"]
    named = connections.configure_settings({"default": dict(dj_database_url.parse(url))})
    connections.databases["default"] = named["default"]
    del connections["default"]
    try:
        call_command("migrate", verbosity=0)
        yield
    finally:
        connections["default"].close()
        connections.databases["default"] = rules
        connections["default"] = ours


class Redis(Service):
    """A Redis that keeps nothing when it is killed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        require(shutil.which("redis-server") is not None, "redis-server")
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]


class PortMapper(Service):
    """Erlang's; without one of its own a node would leave one behind, or share the machine's."""

    def command(self) -> list[str]:
        return ["epmd", "-address", "127.0.0.1", "-port", str(self.port)]


class RabbitMQ(Service):
    """A node of its own, with a port mapper of its own.

    ``patience``: milliseconds until it closes the channel of whoever holds a message.
    """

    def __init__(self, folder: Path, patience: int = 1_800_000) -> None:
        super().__init__(folder)
        # Debian's wrapper would change the user and the folder.
        scripts = ["/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"]
        found = [script for script in scripts if shutil.which(script)]
        require(bool(found) and shutil.which("epmd") is not None, "rabbitmq-server")
        self._script = found[0]
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self._mapper = PortMapper(folder)
        limits = f"{{consumer_timeout, {patience}}}, {{channel_tick_interval, 1000}}"
        (folder / "advanced.config").write_text(f"[{{rabbit, [{limits}]}}].\n")
        self.environment = {
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self._mapper.port),
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
        }

    def command(self) -> list[str]:
        return [self._script]

    def start(self) -> None:
        if not self._mapper.answers():
            self._mapper.start()
        for last in (False, False, True):
            # Only its own nodes ask for this one, so that it can change: another process may have
            # taken it between the question whether it is free and Erlang's listening on it.
            self.environment = {**self.environment, "RABBITMQ_DIST_PORT": str(free_port())}
            try:
                super().start()
                return
            except AssertionError as error:
                if last or "dist_port_already_used" not in str(error):
                    raise
                self.kill()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._mapper.kill()
