"""How many images long work is through with, told to whoever shows it to people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
Tell = Callable[[int, int], None]  # images done, of how many; may raise

_tell: ContextVar[Tell | None] = ContextVar("tell", default=None)


@contextmanager
def telling(tell: Tell) -> Iterator[None]:
    """Have all work inside, in this thread, call ``tell`` at its beginning and after each image."""
    before = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(before)


class Counter:
    """Counts the images of one step, which may go through them in several loops."""

    def __init__(self, of: int) -> None:
        self._of = of
        self._done = 0
        self._told()

    def each(self, images: Iterable[T]) -> Iterator[T]:
        """``images``, each counted once whoever asks for the next one is through with it."""
        for image in images:
            yield image
            self._done += 1
            self._told()

    def _told(self) -> None:
        tell = _tell.get()
        if tell is not None:
            tell(self._done, self._of)
