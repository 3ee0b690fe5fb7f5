"""What one worker leaves to the next."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from unittest import mock

from training import kept
from training.kept import BAD_BATCH, CHECKPOINT, METRICS, taken_over, write_checkpoint


class TakenOverTest(unittest.TestCase):
    def setUp(self):
        self.parent = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def left(self, name, epoch):
        folder = self.parent / name
        folder.mkdir()
        write_checkpoint(folder, {"epoch": epoch}, [{"epoch": epoch}])

    def test_the_newest_whole_checkpoint_goes_on_and_each_is_read_once(self):
        for name, epoch in (("first", 2), ("second", 5), ("third", 3), ("damaged", 9)):
            self.left(name, epoch)
        damaged = self.parent / "damaged" / CHECKPOINT
        damaged.write_bytes(damaged.read_bytes()[:-50])
        with mock.patch.object(kept, "read_checkpoint", wraps=kept.read_checkpoint) as read:
            folder = taken_over(self.parent, "mine")
        self.assertEqual(read.call_count, 5)  # those four, and the parent
        self.assertEqual(kept.newest_epoch(self.parent), 5)
        self.assertEqual((folder / METRICS).read_text(), '{"epoch": 5}\n')
        self.assertEqual([each.name for each in self.parent.iterdir()], ["mine"])

    def test_a_batch_that_was_kept_for_people_stays(self):
        self.left("first", 2)
        self.left("second", 1)
        (self.parent / "second" / BAD_BATCH).write_bytes(b"tensors")
        folder = taken_over(self.parent, "mine")
        self.assertEqual((folder / BAD_BATCH).read_bytes(), b"tensors")
        again = taken_over(self.parent, "next")
        self.assertEqual((again / BAD_BATCH).read_bytes(), b"tensors")

    def test_without_a_checkpoint_the_folder_is_empty(self):
        (self.parent / "begun").mkdir()
        self.assertEqual([*taken_over(self.parent, "mine").iterdir()], [])


if __name__ == "__main__":
    unittest.main()
