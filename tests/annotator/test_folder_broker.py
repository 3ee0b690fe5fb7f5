"""The embedded broker: messages are whole, and one that is not stops nobody."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from queue import Empty
from tempfile import TemporaryDirectory
from typing import Any

from django.test import SimpleTestCase
from kombu import Connection

MANY = 1500


class FolderBroker(SimpleTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(TemporaryDirectory()))

    def channel(self) -> Any:
        places = ("data_folder_in", "data_folder_out", "control_folder")
        connection = Connection(
            transport="annotator.folder_broker:Transport",
            transport_options={
                place: str(self.folder / place.split("_folder_")[0]) for place in places
            },
        )
        self.addCleanup(connection.release)
        return connection.channel()

    def test_a_reader_as_fast_as_the_writer_gets_every_message_as_a_whole(self) -> None:
        reader, writer = self.channel(), self.channel()
        interval = sys.getswitchinterval()
        self.addCleanup(sys.setswitchinterval, interval)
        sys.setswitchinterval(1e-6)

        def write() -> None:
            for number in range(MANY):
                writer._put("cpu", {"number": number})

        writing = threading.Thread(target=write)
        writing.start()
        found = []
        while True:
            over = not writing.is_alive()
            try:
                found.append(reader._get("cpu")["number"])
            except Empty:
                if over:
                    break
        self.assertEqual(sorted(found), list(range(MANY)))

    def test_a_message_that_was_cut_short_stops_nobody(self) -> None:
        channel = self.channel()
        (Path(channel.data_folder_in) / "1_a.cpu.msg").write_text("")
        (Path(channel.data_folder_in) / "2_b.cpu.msg").write_text('{"numb')
        channel._put("cpu", {"number": 3})
        found = []
        for _ in range(3):
            try:
                found.append(channel._get("cpu"))
            except Empty:
                continue
        self.assertEqual(found, [{"number": 3}])
