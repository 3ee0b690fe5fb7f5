"""The embedded broker: messages are whole, and one that is not stops nobody."""

from __future__ import annotations

import errno
import sys
import threading
from pathlib import Path
from queue import Empty
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from django.test import SimpleTestCase
from kombu import Connection
from kombu.exceptions import ChannelError

MANY = 1500


def message(number: int) -> dict[str, Any]:
    return {"body": "", "properties": {"delivery_tag": f"t{number}", "number": number}}


def number_of(found: Any) -> int:
    return int(found["properties"]["number"])


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
                writer._put("cpu", message(number))

        writing = threading.Thread(target=write)
        writing.start()
        found = []
        while True:
            over = not writing.is_alive()
            try:
                found.append(number_of(reader._get("cpu")))
            except Empty:
                if over:
                    break
        self.assertEqual(found, list(range(MANY)))

    def test_two_readers_get_each_message_once(self) -> None:
        writer = self.channel()
        for number in range(MANY):
            writer._put("cpu", message(number))
        found: list[int] = []

        def read() -> None:
            reader = self.channel()
            while True:
                try:
                    found.append(number_of(reader._get("cpu")))
                except Empty:
                    return

        reading = [threading.Thread(target=read) for _ in range(2)]
        for each in reading:
            each.start()
        for each in reading:
            each.join()
        self.assertEqual(sorted(found), list(range(MANY)))
        self.assertEqual(list(Path(writer.data_folder_in).iterdir()), [])

    def test_what_is_no_message_stops_nobody(self) -> None:
        channel = self.channel()
        odd = ["", '{"numb', "{}", "[1]", "null", '{"properties": 3}', "[" * 100_000, "\udcff"]
        for number, text in enumerate(odd):
            file = Path(channel.data_folder_in) / f"00{number}_a.cpu.msg"
            file.write_bytes(text.encode(errors="surrogateescape"))
        (Path(channel.data_folder_in) / "009_a_folder.cpu.msg").mkdir()
        channel._put("cpu", message(3))
        with self.assertLogs("annotator.folder_broker", "WARNING") as said:
            self.assertEqual(number_of(channel._get("cpu")), 3)
        self.assertEqual(len(said.records), len(odd))
        self.assertRaises(Empty, channel._get, "cpu")

    def test_a_full_disk_leaves_nothing_half_written(self) -> None:
        channel = self.channel()
        full = OSError(errno.ENOSPC, "No space left on device")
        with mock.patch("annotator.folder_broker.Path.replace", side_effect=full):
            self.assertRaisesRegex(ChannelError, "No space", channel._put, "cpu", message(1))
        self.assertEqual(list(Path(channel.data_folder_in).iterdir()), [])

    def test_a_table_that_was_cut_short_is_made_anew(self) -> None:
        channel = self.channel()
        for text in ("", '[["cpu", ""', '{"a": 1}', "[3]"):
            (channel.control_folder / "cpu.exchange").write_text(text)
            self.assertEqual(channel.get_table("cpu"), [])
            channel._queue_bind("cpu", "cpu", "", "cpu")
            self.assertEqual([each.queue for each in channel.get_table("cpu")], ["cpu"])

    def test_all_that_bind_at_the_same_time_are_bound(self) -> None:
        names = [f"q{number}" for number in range(24)]
        channels = [self.channel() for _ in range(4)]

        def bind(channel: Any, mine: list[str]) -> None:
            for name in mine:
                channel._queue_bind("celery", name, "", name)

        binding = [
            threading.Thread(target=bind, args=(channel, names[start::4]))
            for start, channel in enumerate(channels)
        ]
        for each in binding:
            each.start()
        for each in binding:
            each.join()
        self.assertEqual(sorted(q.queue for q in channels[0].get_table("celery")), sorted(names))
        channels[1]._delete("q7", "celery", "q7", "")
        left = {each.queue for each in channels[0].get_table("celery")}
        self.assertEqual(left, set(names) - {"q7"})
