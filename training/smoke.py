"""Does a model find about as many cells as it was shown? Asked before anything finer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.interruption import asking
from inference.labels import cell_ids
from inference.normalize import normalize
from training.answers import judged
from training.dataset import SnapshotImage, open_snapshot
from training.engine import Watch
from training.evaluate import model_of
from training.large import is_large
from training.progress import Counter

IMAGES = 4  # training images that are looked at
_LOOKED_THROUGH = 16  # to find those with most cells
FEW, MANY = 0.3, 3.0  # times the cells that are there: beyond, the training went wrong


@dataclass(frozen=True)
class Smoke:
    """Cells on the training images looked at, inside their complete regions."""

    images: int
    found: int
    there: int

    @property
    def sane(self) -> bool:
        """Whether the number of cells is of the right order."""
        return not self.there or FEW * self.there <= self.found <= MANY * self.there

    def sentence(self) -> str:
        """For people."""
        where = f"{self.images} of its own training image{'s' * (self.images != 1)}"
        return f"on {where} it finds {self.found} cells where {self.there} are"


def smoke_test(
    model_folder: Path, snapshot: Path, should_stop: Callable[[], bool] | None = None
) -> Smoke:
    """Let a model look at the training images it should know best.

    Raises ``Cancelled`` when ``should_stop``, asked before each image and tile, says so.
    """
    check = Watch(should_stop=should_stop).check
    chosen = _fullest(open_snapshot(snapshot).split("train"), check)
    model = model_of(model_folder)
    found = there = 0
    for image in Counter(len(chosen)).each(chosen):
        check()
        with asking(check):
            true, answer = judged(image, model(normalize(image.pixels())))
        found += cell_ids(answer.shown().labels).size
        there += cell_ids(true.labels).size
    return Smoke(len(chosen), found, there)


def _fullest(taught: Sequence[SnapshotImage], check: Callable[[], None]) -> list[SnapshotImage]:
    """Those with most cells among some that lie evenly in a snapshot: reading all takes long.

    Without images that a model sees in windows only.
    """
    taught = [image for image in taught if not is_large(image)]
    some = taught[:: max(1, len(taught) // _LOOKED_THROUGH)]
    counted = []
    for place, image in enumerate(some):
        check()
        counted.append((-image.complete_cells(image.labels()).size, place))
    return [some[place] for _, place in sorted(counted)[:IMAGES]]
