"""What a training would have to work with, before it starts: material, splits, disk and memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import compress
from pathlib import Path
from statistics import median
from typing import Any

from django.conf import settings
from django.db.models import Count

from annotator.exceptions import BadInput, NotReady
from annotator.models import Cell, CellType, Dataset, Family, Image, Split
from annotator.readers import model_channels
from annotator.selectors.annotations import boxes_of, shows
from annotator.services.runs import RunRequest, run_preflight, start_of
from annotator.services.snapshots import MIN_TRAIN_MASKS, snapshot_entries
from inference.builtin import licence_of
from training.config import TrainConfig
from training.errors import TrainingError
from training.room import check_disk, check_memory, folder_mb, memory_needed_mb

FEW_CELLS = 50  # of one type: below, a detector hardly learns it
LOPSIDED = 10  # times as many cells of one type as of another: weights cannot make up for more
_NAMED = 5  # files named in one sentence

Entry = dict[str, Any]


@dataclass(frozen=True)
class Preflight:
    """Whether a run of ``family`` can work, and what it would learn from."""

    family: str
    start: str  # what it starts from: a version, "scratch" or built-in weights
    licence: str = ""  # of built-in weights, which are downloaded
    problems: list[str] = field(default_factory=list)  # each refuses the run, with what to do
    warnings: list[str] = field(default_factory=list)
    images: dict[str, int] = field(default_factory=dict)  # labelled ones by split
    # Cells count where they teach: in complete regions, by their boxes.
    cells: dict[str, int] = field(default_factory=dict)  # by split
    cells_per_type: dict[str, int] = field(default_factory=dict)  # of the training images
    cells_per_image: dict[str, float] = field(default_factory=dict)  # least, median, most
    weak_images: int = 0  # training images with predicted masks and the type of their name
    skipped: list[str] = field(default_factory=list)  # names, for too few masks
    disk_mb: int = 0  # at most: what earlier runs have prepared is used again
    memory_mb: int = 0


def preflight(*, request: RunRequest) -> Preflight:
    """Look before a run starts. Raises ``BadInput`` for a base or settings that cannot be."""
    dataset, family = request.dataset, request.family
    if family not in Family.values:
        raise BadInput(f"There is no family {family}; use {', '.join(Family.values)}.")
    base, overrides = start_of(request)
    start = base.version if base else str(overrides.get("start", "scratch"))
    config = TrainConfig.for_family(family, overrides).settled(fine_tune=start != "scratch")
    entries, skipped = snapshot_entries(dataset=dataset, family=family)
    train = [entry for entry in entries if entry["split"] == Split.TRAIN]
    types = _cells_per_type(dataset, train)
    disk = disk_needed_mb(dataset, family, entries)
    return Preflight(
        family=family,
        start=start,
        licence="" if base else licence_of(start),
        problems=_problems(request),
        warnings=[
            *_split_warnings(entries),
            *(_type_warnings(types) if family == Family.DETECTOR else []),
            *_skipped_warnings(skipped),
            *_room_warnings(config, disk),
        ],
        images={split: sum(e["split"] == split for e in entries) for split in Split.values},
        cells={
            split: sum(e["cells"] for e in entries if e["split"] == split) for split in Split.values
        },
        cells_per_type=types,
        cells_per_image=_spread([entry["cells"] for entry in train]),
        weak_images=sum("prediction" in entry for entry in train),
        skipped=skipped,
        disk_mb=disk,
        memory_mb=memory_needed_mb(config),
    )


def preflight_body(found: Preflight) -> dict[str, Any]:
    """As JSON; "ready" says whether nothing refuses the run."""
    return asdict(found) | {"ready": not found.problems}


def _problems(request: RunRequest) -> list[str]:
    try:
        run_preflight(dataset=request.dataset, family=request.family)
    except NotReady as error:
        return [error.message]
    return []


def _regions(entries: list[Entry]) -> dict[int, list[list[int]]]:
    """Complete regions by revision, of those that are not complete as a whole."""
    return {
        entry["revision"]: entry["complete_regions"]
        for entry in entries
        if "revision" in entry and entry["complete_regions"] is not None
    }


def _cells_per_type(dataset: Dataset, train: list[Entry]) -> dict[str, int]:
    """Training cells of each type: by people, or all of an image by its name."""
    names = dict(CellType.objects.filter(dataset=dataset).values_list("id", "name"))
    counts = Counter(dict.fromkeys(names.values(), 0))
    revisions = [entry["revision"] for entry in train if "revision" in entry]
    typed: Counter[int] = Counter()
    for revision, name, count in _typed_cells(revisions, _regions(train)):
        counts[name] += count
        typed[revision] += count
    for entry in train:
        if entry["culture_type"] in names:
            told = typed[entry["revision"]] if "revision" in entry else 0
            counts[names[entry["culture_type"]]] += max(0, entry["cells"] - told)
    return dict(counts)


def _typed_cells(
    revisions: list[int], partial: dict[int, list[list[int]]]
) -> Iterator[tuple[int, str, int]]:
    """(revision, type, cells of it that teach): counted by the database where all of them do."""
    typed = Cell.objects.filter(type__isnull=False).order_by()
    whole = typed.filter(revision__in=[each for each in revisions if each not in partial])
    yield from whole.values_list("revision", "type__name").annotate(cells=Count("pk"))
    for revision, boxes, (names,) in boxes_of(typed.filter(revision__in=partial), "type__name"):
        shown = shows(partial[revision], boxes)
        for name, count in Counter(compress(names, shown)).items():
            yield revision, name, count


def _spread(cells: list[int]) -> dict[str, float]:
    if not cells:
        return {}
    return {"least": min(cells), "median": median(cells), "most": max(cells)}


def _split_warnings(entries: list[Entry]) -> list[str]:
    found = []
    splits: dict[str, set[str]] = {}
    for entry in entries:
        splits.setdefault(entry["group"], set()).add(entry["split"])
    leaks = sorted(group for group, where in splits.items() if len(where) > 1)
    if leaks:
        found.append(
            f"{_listed(leaks)} {'has' if len(leaks) == 1 else 'have'} images in more than one"
            " split: what is learnt by heart will look like skill. Give all images of a group one"
            " split."
        )
    there = {entry["split"] for entry in entries}
    if Split.VALIDATION not in there:
        found.append(
            "No validation image is corrected: a tenth of the training images is held out instead."
        )
    if Split.TEST not in there:
        found.append(
            "No test image is corrected: the new version cannot be compared on images that no"
            " model has seen."
        )
    return found


def _type_warnings(types: dict[str, int]) -> list[str]:
    few = [f"{name} ({count})" for name, count in types.items() if count < FEW_CELLS]
    found = []
    if few:
        found.append(f"Few training cells of {_listed(few)}: correct and type more of them.")
    counts = [count for count in types.values() if count]
    if counts and max(counts) > LOPSIDED * min(counts):
        found.append(
            f"One type has more than {LOPSIDED} times the cells of another; rare ones count up to"
            f" {LOPSIDED} times as much in training, and more cells of them would help most."
        )
    return found


def _skipped_warnings(skipped: list[str]) -> list[str]:
    if not skipped:
        return []
    return [f"Skipped for having fewer than {MIN_TRAIN_MASKS} masks: {_listed(skipped)}."]


def _room_warnings(config: TrainConfig, disk_mb: int) -> list[str]:
    """What this machine lacks: a worker elsewhere may have it, and refuses if it has not."""
    try:
        check_memory(config)
        snapshots = Path(settings.SNAPSHOTS_DIR)
        if snapshots.is_dir():
            check_disk(snapshots, disk_mb - folder_mb(snapshots))
    except TrainingError as error:
        return [f"{error.message} A worker on a larger machine can do it."]
    return []


def _listed(names: list[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def disk_needed_mb(dataset: Dataset, family: str, entries: Iterable[Entry]) -> int:
    """MB of pixels and labels as arrays, and of what is prepared of them."""
    channels = len(model_channels(dataset.channels))
    ids = [entry["image"] for entry in entries]
    prepared = 2 * channels + (4 if family == Family.SEGMENTER else 2)
    total = 0
    for width, height, dtype in Image.objects.filter(pk__in=ids).values_list(
        "width", "height", "dtype"
    ):
        each = {"uint8": 1, "uint16": 2}.get(dtype, 4) * channels + 2
        total += width * height * (each + prepared)
    return round(total / 1e6)
