"""How many CPU threads a network uses, chosen by timing.

The threads of one operation wait for each other. On a machine that does other work too, two of
them can be five times slower than one; on an idle machine, almost twice as fast.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_SOON, _LATE = 8, 128  # calls until the other number is tried again


class Threads:
    """Times calls with all threads and with half of them, and keeps to the faster number."""

    def __init__(self, device: torch.device) -> None:
        whole = torch.get_num_threads()
        # Half first: where the other half is busy, the whole would begin with its worst case.
        self.counts = [whole // 2, whole] if device.type == "cpu" and whole > 1 else [whole]
        self._cost: dict[int, float] = {}  # seconds per unit of work
        self._warm = False
        self._until_try = _SOON

    @contextmanager
    def timed(self, work: float = 1.0) -> Iterator[None]:
        """Around one call of the network that does ``work`` (in any unit, e.g. pixels)."""
        count = self._pick()
        torch.set_num_threads(count)
        began = time.monotonic()
        try:
            yield
        finally:
            torch.set_num_threads(self.best())
        cost = (time.monotonic() - began) / work
        if self._warm:  # the first call prepares the kernels; its time says nothing
            self._cost[count] = 0.5 * (self._cost.get(count, cost) + cost)
        self._warm = True

    def best(self) -> int:
        """The number that was fastest of late."""
        return min(self._cost, key=lambda count: self._cost[count], default=self.counts[0])

    def _pick(self) -> int:
        for count in self.counts:
            if count not in self._cost:
                return count
        best = self.best()
        self._until_try -= 1
        if self._until_try > 0 or len(self.counts) == 1:
            return best
        other = next(count for count in self.counts if count != best)
        # The slower the other number was, the rarer it is tried.
        self._until_try = min(_LATE, int(_SOON * (self._cost[other] / self._cost[best]) ** 2))
        return other
