"""kombu's folder transport, for a disk as it is: folders vanish, and cannot be read for a while."""

from __future__ import annotations

from pathlib import Path
from queue import Empty
from time import monotonic
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """Makes its folders whenever it looks into them: nothing else would, until a restart.

    A worker that finds no messages looks again in a second; one that meets an error would end.
    """

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        try:
            return super()._get(queue)
        except (OSError, ValueError) as error:  # ValueError: a message that was cut short
            raise Empty from error

    # kombu's two classes above name the message differently.
    def _put(self, queue: str, payload: Any, **options: Any) -> None:  # type: ignore[override]
        """A message is there as a whole or not at all: kombu's is an empty file at first, which a
        worker that looks in that moment takes, and ends.
        """
        name = f"{round(monotonic() * 1000)}_{uuid4()}.{queue}.msg"  # read in this order
        try:
            folder = Path(self.data_folder_out)
            fresh = folder / f".{name}.part"
            fresh.write_text(dumps(payload))
            fresh.replace(folder / name)
        except OSError as error:
            raise ChannelError(f"Cannot add a message to {queue}: {error}") from error

    def _size(self, queue: str) -> int:
        try:
            return int(super()._size(queue))
        except OSError:
            return 0

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


def _there(name: str) -> Path:
    folder = Path(name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
