"""Whether a machine has the memory and the disk that a training takes."""

from __future__ import annotations

import unittest
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from training import room
from training.config import TrainConfig
from training.errors import TrainingError


class RoomTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(TemporaryDirectory()))

    def limits(self, **files: str) -> None:
        """Control groups that say this."""
        found = [self.folder / name for name in ("max", "absent", "old")]
        for name, text in files.items():
            (self.folder / name).write_text(text)
        self.enterContext(mock.patch("training.room._LIMITS", found))

    def test_a_containers_limit_is_what_a_training_may_take(self):
        self.limits(max="2000000000\n")
        self.assertEqual(room.machine_memory_mb(), 2000)
        config = TrainConfig.for_family("segmenter", {"batch_size": 64})
        with self.assertRaisesRegex(TrainingError, r"needs about 11 GB .* has 2 GB: lower batch"):
            room.check_memory(config)
        room.check_memory(TrainConfig.for_family("segmenter", {"batch_size": 2}))

    def test_without_a_limit_it_is_the_machines(self):
        self.limits(max="max\n", old=str(2**63 - 4096))
        whole = room.machine_memory_mb()
        self.assertGreater(whole, 100)
        self.assertLess(whole, 2**40)

    def test_a_disk_with_less_than_is_needed_is_refused_by_name(self):
        (self.folder / "inner").mkdir()
        (self.folder / "inner" / "file").write_bytes(bytes(3_000_000))
        self.assertEqual(room.folder_mb(self.folder), 3.0)
        room.check_disk(self.folder, 1.0)
        with self.assertRaisesRegex(TrainingError, rf"{self.folder}, where .* GB are left: free"):
            room.check_disk(self.folder, 1e12)


if __name__ == "__main__":
    unittest.main()
