"""Strategies tried out on a data set's own corrected images, with an oracle for an annotator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings

from annotator.exceptions import BadInput, NotReady
from annotator.models import Dataset, Family
from annotator.services.snapshots import MEASURED, snapshot_create, snapshot_write
from training.dataset import SnapshotImage, hold_out, open_snapshot
from training.large import is_large
from training.simulate import Plan, round_ends
from training.study import jobs_of, run_study, summarised
from training.study_curves import BASELINE
from training.study_images import RawImage, write_set
from training.study_model import Budget
from training.study_questions import ASKING, known_strategies

_TESTED = 0.3  # of the images, where none is marked so
_LEAST_POOL, _LEAST_TEST = 4, 2  # images
_NAME = "loop"
_START = 15  # cells
BUDGET = Budget()  # of each training


@dataclass(frozen=True)
class SimulationRequest:
    """What to simulate. ``cells`` is the budget of a run, its start included."""

    dataset: Dataset
    strategies: Sequence[str]
    asking: Sequence[str] = ("image",)
    cells: int = 500
    rounds: int = 5
    seeds: int = 3
    processes: int = 1
    results: Path | None = None  # JSON lines; an earlier simulation goes on where it stopped
    budget: Budget = field(default_factory=lambda: BUDGET)

    def check(self) -> None:
        """Raise ``BadInput`` for what cannot be."""
        for word, given, known in (
            ("strategy", self.strategies, known_strategies()),
            ("way of asking", self.asking, list(ASKING)),
        ):
            for name in given:
                if name not in known:
                    raise BadInput(f"There is no {word} {name}; use some of {', '.join(known)}.")
        if self.rounds < 1 or self.seeds < 1 or self.processes < 1:
            raise BadInput("Rounds, seeds and processes are whole numbers above zero.")
        if self.cells <= _START:
            raise BadInput(f"The budget must be above the {_START} cells of the start.")

    def plans(self) -> list[Plan]:
        """All runs, random whole images among them: what the others are compared with."""
        ends = round_ends(_START, self.cells, self.rounds)
        pairs = [BASELINE, *((a, s) for a in self.asking for s in self.strategies)]
        return [
            Plan(asking, strategy, seed, ends, self.budget)
            for seed in range(self.seeds)
            for asking, strategy in dict.fromkeys(pairs)
        ]


def simulate(request: SimulationRequest, tell: Callable[[str], None]) -> dict[str, Any]:
    """Run all strategies and return ``training.study_curves.summary`` of them, with the number of
    images to choose from ("pool") and to judge by ("test").

    Raises ``BadInput``, and ``NotReady`` with too few images that are corrected as a whole.
    """
    request.check()
    place = Path(settings.SNAPSHOTS_DIR) / MEASURED
    place.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place) as name:
        # A segmenter's would lack images of few cells, which annotators are asked about, too.
        snapshot = snapshot_create(dataset=request.dataset, family=Family.DETECTOR)
        corrected = {entry["image"] for entry in snapshot.entries if "revision" in entry}
        written = snapshot_write(snapshot=snapshot, folder=Path(name) / "snapshot", only=corrected)
        opened = open_snapshot(written)
        pool, test = _parts(opened.images)
        if len(pool) < _LEAST_POOL or len(test) < _LEAST_TEST:
            raise NotReady(
                f"{request.dataset.name} has {len(pool)} images to choose from and {len(test)} to"
                f" judge by whose masks are complete; at least {_LEAST_POOL} and {_LEAST_TEST} are"
                " needed: correct more, or import masks beside their images."
            )
        types = opened.types if len(opened.types) > 1 and _are_typed(pool) else ()
        images = _raw(pool, test)
        diameter = request.budget.diameter
        folder = write_set(Path(name) / _NAME, images, opened.channels, types, diameter)
        tell(f"{len(pool)} images to choose from, {len(test)} to judge by")
        jobs = jobs_of(folder, request.plans())
        results = request.results or Path(name) / "results.jsonl"
        run_study(jobs, results, request.processes, tell)
        metric = "typed_ap50" if types else "ap50"
        figures = summarised(jobs, results, {_NAME: metric})[_NAME]
    return {"pool": len(pool), "test": len(test), **figures}


def _parts(
    images: Sequence[SnapshotImage],
) -> tuple[Sequence[SnapshotImage], Sequence[SnapshotImage]]:
    """What is chosen from and what is judged by: test images, else validation images, else some
    groups of the others.
    """
    whole = [
        image
        for image in images
        if image.labels_file is not None and image.complete_regions is None and not is_large(image)
    ]
    for split in ("test", "validation"):
        held = [image for image in whole if image.split == split]
        if len(held) >= _LEAST_TEST:
            # Test images are chosen from by nobody, whichever split judges.
            rest = [i for i in whole if i.split not in (split, "test")]
            return rest, held
    return hold_out([image for image in whole if image.split != "test"], _TESTED)


def _are_typed(images: Sequence[SnapshotImage]) -> bool:
    return any(image.cell_types for image in images)


def _raw(pool: Sequence[SnapshotImage], test: Sequence[SnapshotImage]) -> Iterator[RawImage]:
    for split, images in (("train", pool), ("test", test)):
        for each in images:
            types = dict(each.cell_types)
            yield RawImage(each.name, each.pixels(), each.labels(), types, each.culture, split)
