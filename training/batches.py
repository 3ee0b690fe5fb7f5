"""Batches on their way to the loop: made ahead in a thread, and waited for on the clock."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any


class Waiting:
    """How much of a loop's time went by before its next item was there."""

    def __init__(self) -> None:
        self._waited = 0.0
        self._worked = 0.0

    @property
    def share(self) -> float:
        """0 … 1."""
        return self._waited / max(self._waited + self._worked, 1e-9)

    def timed(self, items: Iterator[Any]) -> Iterator[Any]:
        """``items``, each yielded as soon as it is there."""
        began = time.monotonic()
        for item in items:
            got = time.monotonic()
            self._waited += got - began
            yield item
            began = time.monotonic()
            self._worked += began - got


def prefetch(batches: Iterator[Any], ahead: int = 2) -> Iterator[Any]:
    """``batches`` made in a thread, ``ahead`` of their use; its errors are raised here."""
    end = object()
    with ThreadPoolExecutor(1, "batches") as pool:
        waiting = deque(pool.submit(next, batches, end) for _ in range(ahead))
        while (batch := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, batches, end))
            yield batch
