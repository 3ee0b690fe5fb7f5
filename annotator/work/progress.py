"""How far a run's step is, and how long the rest of it takes at its pace."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from annotator.work.heart import RunHeart

# The newest images tell the pace: those of earlier snapshots are there already and take no time.
_RECENT = 8


class Clock:
    """Tells, by a run's heart, how far one step of it is: ``tell`` is for ``training.progress``.

    ``later``: images of the steps that follow at about the same pace, which count for the time
    left.
    """

    def __init__(
        self,
        heart: RunHeart,
        step: str,
        later: int = 0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._heart = heart
        self._step = step
        self._later = later
        self._now = now
        self._began = now()
        self._took: deque[float] = deque(maxlen=_RECENT)  # seconds that each image took

    def tell(self, done: int, of: int) -> None:
        """So many images of so many are done."""
        now = self._now()
        if done:
            self._took.append(now - self._began)
        else:
            self._took.clear()
        self._began = now
        left = None
        if self._took:
            left = round(sum(self._took) / len(self._took) * (of - done + self._later), 1)
        self._heart.progress = {
            "step": self._step,
            "done": done,
            "of": of,
            "seconds_left": left,
        }
