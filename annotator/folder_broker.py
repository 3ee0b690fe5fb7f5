"""kombu's folder transport, for a disk as it is: folders vanish, and cannot be read for a while."""

from __future__ import annotations

from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem


class Channel(filesystem.Channel):
    """Makes its folders whenever it looks into them: nothing else would, until a restart.

    A worker that finds no messages looks again in a second; one that meets an error would end.
    """

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        try:
            return super()._get(queue)
        except OSError as error:
            raise Empty from error

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
