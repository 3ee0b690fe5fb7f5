"""Files by further names, by content, and whole."""

from __future__ import annotations

import errno
import hashlib
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from inference.files import DiskFull, file_sha256, linked_or_copied


class FilesTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.source, self.target = self.folder / "source", self.folder / "target"
        self.source.write_bytes(b"cells" * 1000)

    def test_the_hash_is_that_of_the_content(self):
        self.assertEqual(file_sha256(self.source), hashlib.sha256(b"cells" * 1000).hexdigest())

    def test_a_file_gets_one_more_name_and_takes_no_room(self):
        linked_or_copied(self.source, self.target)
        self.assertTrue(self.target.samefile(self.source))

    def test_where_there_are_no_links_it_is_copied_whole(self):
        refused = OSError(errno.EPERM, "Operation not permitted")
        for durable in (True, False):
            with mock.patch("inference.files.os.link", side_effect=refused):
                linked_or_copied(self.source, self.target, durable)
            self.assertFalse(self.target.samefile(self.source))
            self.assertEqual(self.target.read_bytes(), self.source.read_bytes())
        full = OSError(errno.ENOSPC, "No space left on device")
        with (
            mock.patch("inference.files.os.link", side_effect=refused),
            mock.patch("inference.files.shutil.copyfile", side_effect=full),
            self.assertRaises(DiskFull),
        ):
            linked_or_copied(self.source, self.folder / "other")
        self.assertEqual(sorted(each.name for each in self.folder.iterdir()), ["source", "target"])

    def test_what_is_gone_has_no_further_name(self):
        self.source.unlink()
        with self.assertRaises(FileNotFoundError):
            linked_or_copied(self.source, self.target)


if __name__ == "__main__":
    unittest.main()
