"""Many simulated loops, several at a time; one that was interrupted goes on where it stopped.

Every finished run is a line of a JSON-lines file. A line counts as long as the settings of its run
are the same; delete the file to begin anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

import cv2
import torch

from training.annotation_cost import MODELLED
from training.dataset import MANIFEST
from training.simulate import Plan, Start, full_data, simulated, start_of
from training.study_curves import Run, summary
from training.study_images import StudySet, open_set

FORMAT = 6  # raised when the same settings would now give another result
FULL = "full"

Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One run on the set in ``folder``, or, ``full``, one training on all of it."""

    folder: Path
    plan: Plan
    full: bool = False

    @property
    def key(self) -> str:
        """Its name in the file of results."""
        what = f"{FULL} {self.plan.seed}" if self.full else self.plan.key
        return f"{self.folder.name} {what}"

    @property
    def digest(self) -> str:
        """Changes when the result would."""
        content = hashlib.sha256((self.folder / MANIFEST).read_bytes()).hexdigest()
        said = [FORMAT, self.key, content, asdict(self.plan), asdict(MODELLED)]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def work(self) -> Path:
        """Where its models lie, beside those of the same set and training settings."""
        plan = self.plan
        said = json.dumps([FORMAT, plan.ends[0], asdict(plan.budget)], sort_keys=True)
        return self.folder / f"runs-{hashlib.sha256(said.encode()).hexdigest()[:12]}"


def jobs_of(folder: Path, plans: Sequence[Plan]) -> list[Job]:
    """Those of one set: for each seed a training on all data, then the runs."""
    first: dict[int, Plan] = {}
    for plan in plans:
        first.setdefault(plan.seed, plan)
    everything = [Job(folder, plan, full=True) for plan in first.values()]
    return [*everything, *(Job(folder, plan) for plan in sorted(plans, key=lambda p: p.seed))]


def run_study(
    jobs: Sequence[Job],
    results: Path,
    processes: int = 1,
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """Do all ``jobs`` that ``results`` has not got yet. ``tell`` hears a line for each."""
    have = {line["digest"] for line in _lines(results)}
    # All models that runs start from before the runs: two processes would teach the same one.
    # Then seed by seed, so that what there is after any time is of all sets and strategies.
    left = sorted((job for job in jobs if job.digest not in have), key=_turn)
    tell(f"{len(left)} of {len(jobs)} runs to do")
    for done, (job, rows) in enumerate(_done(left, processes), 1):
        line = {
            "digest": job.digest,
            "key": job.key,
            "set": job.folder.name,
            "asking": job.plan.asking,
            "strategy": job.plan.strategy,
            "seed": job.plan.seed,
            "full": job.full,
            "rows": rows,
        }
        with results.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        last = rows[-1]
        tell(
            f"{done} of {len(left)}: {job.key}: AP {last['ap50']:.3f} from {last['cells']} cells"
            f" after {last['seconds']:.0f} s"
        )


def _turn(job: Job) -> tuple[bool, int]:
    return not job.full, job.plan.seed


def _done(jobs: Sequence[Job], processes: int) -> Iterator[tuple[Job, list[Row]]]:
    if processes <= 1:
        for job in jobs:
            yield job, work_on(job)
        return
    context = get_context("spawn")
    counter = context.Value("i", 0)
    # Before they load torch: two processes of two threads each would wait for each other.
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(processes, context, _alone_on_a_core, (counter,)) as pool:
        for part in ([j for j in jobs if j.full], [j for j in jobs if not j.full]):
            waiting = {pool.submit(work_on, job): job for job in part}
            for future in as_completed(waiting):
                yield waiting[future], future.result()


def _alone_on_a_core(counter: Any) -> None:
    """Keep this process to one core of its own: OpenVINO takes all it may use."""
    with counter.get_lock():
        number = counter.value
        counter.value += 1
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[number % len(cores)]})
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    logging.disable(logging.WARNING)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Work for a study that was killed would go on for minutes, and slow the next one down."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def work_on(job: Job) -> list[Row]:
    """The rows of a job: one of a training on all data, else one for each round."""
    study = _opened(job.folder)
    job.work.mkdir(parents=True, exist_ok=True)
    if job.full:
        return [full_data(study, job.plan, job.work)]
    return simulated(study, job.plan, job.work, _start(job.folder, job.plan, job.work))


@lru_cache(maxsize=4)
def _opened(folder: Path) -> StudySet:
    return open_set(folder)


_STARTS: dict[tuple[Path, int], Start] = {}


def _start(folder: Path, plan: Plan, work: Path) -> Start:
    """The start, the same for all runs of a seed; the last one is kept."""
    key = work, plan.seed
    if key not in _STARTS:
        _STARTS.clear()
        _STARTS[key] = start_of(_opened(folder), plan, work)
    return _STARTS[key]


def _lines(results: Path) -> Iterator[Row]:
    if not results.exists():
        return
    for line in results.read_text().splitlines():
        try:
            yield json.loads(line)
        except ValueError:  # cut short by a kill: that run is done again
            continue


def summarised(
    jobs: Sequence[Job], results: Path, metrics: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """The figures of each set that has results, by name; see ``study_curves.summary``.

    ``metrics``: by set, "ap50" where none is named.
    """
    wanted = {job.digest for job in jobs}
    lines = {line["digest"]: line for line in _lines(results) if line["digest"] in wanted}
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(job.folder.name for job in jobs):
        mine = [line for line in lines.values() if line["set"] == name]
        full = [line["rows"][0] for line in mine if line["full"]]
        runs = [
            Run(line["asking"], line["strategy"], line["seed"], line["rows"])
            for line in mine
            if not line["full"]
        ]
        if full and runs:
            found[name] = summary(runs, full, metrics.get(name, "ap50"))
    return found
