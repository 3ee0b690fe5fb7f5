"""Several GPUs of one machine for one model: each has a share of every batch.

Data-parallel training (Li et al. 2020, "PyTorch Distributed"): one process per GPU with the same
weights, whose gradients are averaged before each step. The first process, the lead, is the one that
``train`` was called in: it alone validates, writes and is asked to stop. The others are started by
it and end with it.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, distributed, nn

from inference.devices import pick_device
from training.config import TrainConfig
from training.errors import TrainingError

T = TypeVar("T")

_LOOK = 0.2  # seconds between two looks at processes that are starting
# The others wait for the lead while it validates, and for a disk that takes a checkpoint.
_LONGEST_WAIT = timedelta(hours=2)
_JOINING = timedelta(minutes=5)  # all have read their images before
_PARTING = 10.0  # seconds for the others to end after the last epoch

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Share:
    """Which part of every batch is this process's own."""

    rank: int = 0
    of: int = 1

    def part(self, items: Iterable[T]) -> list[T]:
        """Every ``of``-th item, from the ``rank``-th."""
        return list(items)[self.rank :: self.of]

    def rng(self, common: np.random.Generator, *seed: int) -> np.random.Generator:
        """``common`` itself for one that is alone, else one that no other process has."""
        return common if self.of == 1 else np.random.default_rng([*seed, self.rank, self.of])


ALONE = Share()


class Team:
    """The processes that train one model together; here one that is alone."""

    share = ALONE

    @property
    def lead(self) -> bool:
        """Whether this process validates and writes."""
        return self.share.rank == 0

    def agreed(self, value: float) -> float:
        """The lead's ``value``, for all; they wait for it."""
        return value

    def mean(self, value: float) -> float:
        """The mean of all processes' values."""
        return value

    def align(self, model: nn.Module) -> None:
        """Give all of them the lead's weights and statistics."""

    def average_gradients(self, model: nn.Module) -> None:
        """Give all of them the mean of their gradients."""


class Processes(Team):
    """Of several processes this one, which has joined the others."""

    def __init__(
        self,
        share: Share,
        device: torch.device,
        meeting: Path,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.share = share
        self._check = check
        try:
            distributed.init_process_group(
                "gloo",
                init_method=f"file://{meeting / 'store'}",
                rank=share.rank,
                world_size=share.of,
                timeout=_JOINING,
            )
            # Words go by gloo, which notices at once that somebody is gone; gradients by NCCL.
            self._words: Any = distributed.new_group(backend="gloo", timeout=_LONGEST_WAIT)
            self._gradients: Any = self._words
            if device.type == "cuda":
                torch.cuda.set_device(device)
                self._gradients = distributed.new_group(backend="nccl")
        except RuntimeError as error:
            self.leave()
            raise TrainingError(
                f"The processes for {share.of} GPUs did not find each other: {str(error)[:200]}"
            ) from error
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Part, so that this process can join others later."""
        if distributed.is_initialized():
            distributed.destroy_process_group()

    def abandon(self) -> None:
        """Part from processes that may be gone: what is still to be sent is not waited for."""
        if self._gradients is not self._words:
            self._gradients.abort()
        self.leave()

    def agreed(self, value: float) -> float:
        told = torch.tensor([value], dtype=torch.float64)
        with self._told_when_lost():
            distributed.broadcast(told, 0, group=self._words)
        return float(told)

    def mean(self, value: float) -> float:
        total = torch.tensor([value], dtype=torch.float64)
        with self._told_when_lost():
            distributed.all_reduce(total, group=self._words)
        return float(total) / self.share.of

    def align(self, model: nn.Module) -> None:
        with self._told_when_lost(), torch.no_grad():
            for values in model.state_dict().values():
                whole = values.contiguous()
                distributed.broadcast(whole, 0, group=self._gradients)
                values.copy_(whole)

    def average_gradients(self, model: nn.Module) -> None:
        trained = [each for each in model.parameters() if each.requires_grad]
        for each in trained:  # a head that nothing in this share was for
            each.grad = torch.zeros_like(each) if each.grad is None else each.grad
        gradients = [each.grad for each in trained if each.grad is not None]
        # One message for all of them: what is sent is small, and each message takes its time.
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        with self._told_when_lost():
            distributed.all_reduce(flat, group=self._gradients)
        flat /= self.share.of
        _spread(flat, gradients)

    @contextmanager
    def _told_when_lost(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            self._check()  # whoever stops this process may have stopped the others before
            raise TrainingError(
                "A process that trains on another GPU is gone; the worker's log says why. The run"
                f" goes on from its last epoch when it is resumed. ({str(error)[:200]})"
            ) from error


def _spread(flat: Tensor, over: Sequence[Tensor]) -> None:
    for values, target in zip(flat.split([each.numel() for each in over]), over, strict=True):
        target.copy_(values.view(target.shape))


def team_size(config: TrainConfig) -> int:
    """How many processes train: at most ``devices``, and no more than there are GPUs.

    On the CPU several are of no use, so they are made only where both were asked for by name.
    """
    device = pick_device(config.device)
    there = torch.cuda.device_count() if device.type == "cuda" else 1
    if config.device == "cpu":
        there = max(1, config.devices)
    return min(config.devices or there, there, config.batch_size)


def device_of(config: TrainConfig, share: Share) -> torch.device:
    """The GPU of one process of several; the configured device of one that is alone."""
    device = pick_device(config.device)
    if share.of == 1 or device.type != "cuda":
        return device
    return torch.device("cuda", share.rank)


@contextmanager
def leading(
    job: Mapping[str, Any], size: int, device: torch.device, check: Callable[[], None]
) -> Iterator[Team]:
    """A team of ``size`` with this process as its lead; the others are ended afterwards.

    ``job`` tells them what to train (see ``training.member``); ``check`` may raise meanwhile.
    """
    if size == 1:
        yield Team()
        return
    with TemporaryDirectory(prefix="team-") as folder:
        meeting = Path(folder)
        members: list[subprocess.Popen[bytes]] = []
        team = None
        try:
            members.extend(
                _started(dict(job), Share(rank, size), meeting) for rank in range(1, size)
            )
            _wait_until_ready(members, meeting, check)
            team = Processes(Share(0, size), device, meeting, check)
            yield team
        except BaseException:
            _log_the_dead(members, meeting)
            if team is not None:
                team.abandon()
            _end(members, 0.0)
            raise
        team.leave()
        _end(members, _PARTING)


def _end(members: Sequence[subprocess.Popen[bytes]], patience: float) -> None:
    """Wait so many seconds for them to end by themselves, then no longer."""
    until = time.monotonic() + patience
    for member in members:
        with suppress(subprocess.TimeoutExpired):
            member.wait(max(0.0, until - time.monotonic()))
        member.kill()
        member.wait()
        if member.stdin:
            member.stdin.close()


def _log_the_dead(members: Sequence[subprocess.Popen[bytes]], meeting: Path) -> None:
    time.sleep(_LOOK)  # one that broke the connection has not ended yet
    for rank, member in enumerate(members, 1):
        if member.poll() is not None:
            said = (meeting / f"log-{rank}").read_text(errors="replace")[-4000:].strip()
            log.warning(
                "The process for GPU %d ended (%s): %s", rank, member.returncode, said or "no word"
            )


def _started(job: dict[str, Any], share: Share, meeting: Path) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parents[1])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    with (meeting / f"log-{share.rank}").open("wb") as log:
        member = subprocess.Popen(
            [sys.executable, "-m", "training.member"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=os.environ | {"PYTHONPATH": paths},
        )
    assert member.stdin is not None
    asked = job | {"rank": share.rank, "size": share.of, "meeting": str(meeting)}
    with suppress(BrokenPipeError):  # it is gone already: that is noticed next
        member.stdin.write(json.dumps(asked).encode() + b"\n")
        member.stdin.flush()  # and left open: a member ends when its lead's end of it is gone
    return member


def _wait_until_ready(
    members: Sequence[subprocess.Popen[bytes]], meeting: Path, check: Callable[[], None]
) -> None:
    """Return when all have read their images, and let them join: none waits for a slower one in
    there, where time is short. ``TrainingError`` when one has ended.
    """
    while not all(ready_file(meeting, rank).exists() for rank in range(1, len(members) + 1)):
        check()
        time.sleep(_LOOK)
        for rank, member in enumerate(members, 1):
            if member.poll() is not None:
                raise TrainingError(
                    f"The process for GPU {rank} could not start: {_last_line(meeting, rank)}"
                )
    _go_file(meeting).touch()


def ready_file(meeting: Path, rank: int) -> Path:
    """What a member leaves when it has read its images."""
    return meeting / f"ready-{rank}"


def _go_file(meeting: Path) -> Path:
    return meeting / "go"


def ready(meeting: Path, rank: int) -> None:
    """Tell the lead that this member has read its images, and wait for the others to have, too."""
    ready_file(meeting, rank).touch()
    while not _go_file(meeting).exists():
        time.sleep(_LOOK)


def _last_line(meeting: Path, rank: int) -> str:
    said = (meeting / f"log-{rank}").read_text(errors="replace").strip().splitlines()
    return said[-1][:300] if said else "it said nothing."
