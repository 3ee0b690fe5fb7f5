"""kombu's folder transport, for a disk as it is: folders vanish, files are cut short, several
processes write at the same time.
"""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import filesystem, virtual
from kombu.transport.filesystem import exchange_queue_t
from kombu.utils.json import dumps, loads

log = logging.getLogger(__name__)

Binding = Any  # an ``exchange_queue_t``


class Channel(filesystem.Channel):
    """Makes its folders whenever it looks into them: nothing else would, until a restart.

    A worker that finds no messages looks again in a second; one that meets an error would end.
    """

    # kombu's two classes above name the message differently.
    def _put(self, queue: str, payload: Any, **options: Any) -> None:  # type: ignore[override]
        """A message is there as a whole or not at all: kombu's is an empty file at first, which a
        worker that looks in that moment takes, and ends.
        """
        name = f"{time.time_ns():020d}_{uuid4()}.{queue}.msg"  # read in this order
        try:
            _write(Path(self.data_folder_out) / name, dumps(payload))
        except OSError as error:
            raise ChannelError(f"Cannot add a message to {queue}: {error}") from error

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        """The oldest message, the caller's alone: whoever removes its file has it. What is no
        message is removed too.
        """
        try:
            folder = Path(self.data_folder_in)
            names = sorted(file.name for file in folder.iterdir())
        except OSError as error:
            raise Empty from error
        for name in names:
            if name.partition(".")[2] != f"{queue}.msg":
                continue
            try:
                text = (folder / name).read_bytes()
                (folder / name).unlink()
            except OSError:
                continue  # taken by somebody else a moment before, or not to be read
            if (message := _message(text)) is not None:
                return message
            log.warning("%s in the broker's folder was no message; it is removed.", name)
        raise Empty

    def _size(self, queue: str) -> int:
        try:
            return int(super()._size(queue))
        except OSError:
            return 0

    def get_table(self, exchange: str) -> list[Binding]:
        """The queues bound to an exchange; none where its file is damaged: who declares them binds
        them again.
        """
        file = self._table_file(exchange)
        try:
            return [exchange_queue_t(*binding) for binding in loads(file.read_text())]
        except (FileNotFoundError, ValueError, TypeError, RecursionError):
            return []
        except OSError as error:
            raise ChannelError(f"Cannot open {file}: {error}") from error

    def _queue_bind(
        self, exchange: str, routing_key: str | None, pattern: str | None, queue: str | None
    ) -> None:
        binding = exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._changed_table(exchange) as table:
            if binding not in table:
                table.insert(0, binding)

    def _delete(
        self, queue: str, exchange: str, routing_key: str, pattern: str, *args: Any, **options: Any
    ) -> None:
        virtual.Channel._delete(self, queue, *args, **options)
        binding = exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._changed_table(exchange) as table:
            if binding in table:
                table.remove(binding)

    def _table_file(self, exchange: str) -> Path:
        return Path(self._exchange_file(exchange))  # type: ignore[attr-defined]  # not in its stubs

    @contextmanager
    def _changed_table(self, exchange: str) -> Iterator[list[Binding]]:
        """An exchange's table, written anew when the caller has changed it.

        Under a lock that is no table: kombu's is empty until the first who binds has locked it.
        """
        file = self._table_file(exchange)
        try:
            with (self.control_folder / ".lock").open("a") as held:
                fcntl.flock(held, fcntl.LOCK_EX)  # until it is closed
                table = self.get_table(exchange)
                before = list(table)
                yield table
                if table != before:
                    _write(file, dumps(table))
        except OSError as error:
            raise ChannelError(f"Cannot write {file}: {error}") from error

    @property
    def data_folder_in(self) -> str:
        return str(_there(self.transport_options["data_folder_in"]))

    @property
    def data_folder_out(self) -> str:
        return str(_there(self.transport_options["data_folder_out"]))

    @property
    def control_folder(self) -> Path:
        return _there(self.transport_options["control_folder"])


class Transport(filesystem.Transport):
    """The embedded broker."""

    Channel = Channel


def _message(text: bytes) -> dict[str, Any] | None:
    """A message that a worker can take, or None."""
    try:
        message = loads(text.decode())
        message["properties"]["delivery_tag"]
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    return dict(message)


def _write(file: Path, text: str) -> None:
    """All of a file at once."""
    fresh = file.with_name(f".{file.name}.{uuid4().hex}.part")
    try:
        fresh.write_text(text)
        fresh.replace(file)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def _there(name: str) -> Path:
    folder = Path(name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
