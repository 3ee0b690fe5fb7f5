"""What the fault tests share: small disks, runs that break off, and where such tests belong."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import SkipTest

from django.conf import settings
from django.db import connection

from annotator.models import Dataset, TrainingRun
from annotator.services.runs import RunRequest, run_create
from annotator.work import shutdown
from annotator.work.training import run_folder, work_on_run
from training.engine import EpochReport


class PowerCut(BaseException):
    """Ends a worker at once: nothing catches it, and no row hears of it."""


def first_suite_only() -> None:
    """Skip where the suite runs again with other services: the test brings its own."""
    if connection.vendor != "sqlite" or not settings.BROKER_URL.startswith("filesystem"):
        raise SkipTest("it brings its own services, so it runs in the first suite only")


def require(there: bool, what: str) -> None:
    """Skip without ``what``; with CI=true that is a failure."""
    if there:
        return
    if os.environ.get("CI") == "true":
        raise AssertionError(f"missing: {what}; with CI=true this is a failure")
    raise SkipTest(f"missing: {what}")


def create(dataset: Dataset, epochs: int = 4, **options: Any) -> TrainingRun:
    """A run from nothing that no worker is woken for."""
    request = RunRequest(
        dataset, "segmenter", "a test", base="scratch", config={"epochs": epochs} | options
    )
    return run_create(request=request, wake=False)


def worked(run: TrainingRun) -> TrainingRun:
    """The run after a worker had it."""
    work_on_run(run.pk)
    run.refresh_from_db()
    return run


def broken_off(run: TrainingRun, epoch: int) -> Path:
    """The folder of the worker that a power cut took after ``epoch``; the run can be taken over."""

    def cut(report: EpochReport) -> None:
        if report.epoch == epoch:
            raise PowerCut

    try:
        work_on_run(run.pk, cut)
    except PowerCut:
        pass
    else:
        raise AssertionError("the run ended before the power cut")
    run.refresh_from_db()
    folder = run_folder(run) / run.claim
    TrainingRun.objects.filter(pk=run.pk).update(heartbeat_at=None)  # time goes by
    return folder


def cut_short(file: Path, share: float = 0.5) -> None:
    """Leave ``share`` of a file, as a power cut does with what was not yet on the disk."""
    os.truncate(file, int(file.stat().st_size * share))


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A file system of its own with this little space; skipped where nobody may mount one."""
    if shutil.which("mount") is None or os.geteuid() != 0:
        raise SkipTest("a small disk needs root")
    with TemporaryDirectory() as name:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", name],
            capture_output=True,
            check=False,
        )
        if mounted.returncode != 0:
            raise SkipTest(f"no small disk can be mounted: {mounted.stderr.decode()}")
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "--lazy", name], check=False)


@contextmanager
def filled(disk: Path, leave: int) -> Iterator[Path]:
    """Another's file takes all but ``leave`` bytes of ``disk``, until the end."""
    file = disk / "of-somebody-else"
    free = shutil.disk_usage(disk).free
    with file.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, max(1, free - leave))
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)


@contextmanager
def told_to_stop() -> Iterator[None]:
    """This process is a worker that was told to stop, until the end."""
    shutdown._leaving.set()
    try:
        yield
    finally:
        shutdown._leaving.clear()


def waited_for(what: Callable[[], bool], seconds: float = 20) -> None:
    """Return when ``what`` holds; fail when it does not in time."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s")
        time.sleep(0.05)
