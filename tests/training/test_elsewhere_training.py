"""A bundle's own train.py: what it says when it cannot go on."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import unittest
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import torch

from inference.files import file_sha256
from tests.training.snapshots import write_disks
from training import elsewhere, sealed

CONFIG = {"width": 4, "crop": 64, "batch_size": 2, "crops_per_epoch": 4, "epochs": 1}


class ElsewhereTest(unittest.TestCase):
    def setUp(self):
        self.bundle = Path(self.enterContext(TemporaryDirectory()))
        snapshot = write_disks(self.bundle / "snapshot", ["train", "train", "validation"])
        files = {
            str(file.relative_to(self.bundle)): {"sha256": file_sha256(file)}
            for file in snapshot.rglob("*")
            if file.is_file()
        }
        manifest = {"family": "segmenter", "dataset": "lab", "config": CONFIG, "files": files}
        (self.bundle / sealed.MANIFEST).write_text(json.dumps(manifest))

    def asked(self, *arguments):
        """The exit status, and what was said on stderr."""
        said = io.StringIO()
        with redirect_stdout(io.StringIO()), redirect_stderr(said):
            status = elsewhere.main(self.bundle, arguments)
        return status, said.getvalue()

    def test_it_trains_and_packs_the_model(self):
        self.assertEqual(self.asked("--device", "cpu"), (0, ""))
        packed = self.bundle / f"lab-segmenter{elsewhere.SUFFIX}"
        self.assertEqual(sealed.kind_of(packed), sealed.MODEL)
        self.assertEqual([*self.bundle.glob("*.part"), *self.bundle.glob(".*")], [])

    def test_a_device_that_is_not_there_is_one_sentence_before_anything_is_read(self):
        (self.bundle / sealed.MANIFEST).unlink()
        absent = ["gpu", "tpu", "cuda:99", "meta"]
        absent += [] if torch.cuda.is_available() else ["cuda"]
        absent += [] if torch.backends.mps.is_available() else ["mps"]
        for device in absent:
            with self.subTest(device):
                said = f"There is no device {device}; use cpu, cuda or mps.\n"
                self.assertEqual(self.asked("--device", device), (1, said))

    def test_a_machine_that_is_taken_back_while_it_trains_or_packs_loses_nothing(self):
        def stop(*_):
            os.kill(os.getpid(), signal.SIGTERM)

        told, before = mock.Mock(), signal.getsignal(signal.SIGTERM)
        said = "Stopped; what was trained is kept. The same command goes on.\n"
        stopped = (elsewhere.INTERRUPTED, said)
        for place in ("training.elsewhere._tell", "training.sealed.shutil.copyfileobj"):
            with self.subTest(place), mock.patch(place, side_effect=stop):
                self.assertEqual(self.asked("--device", "cpu"), stopped)
            self.assertEqual([*self.bundle.glob("*.zip"), *self.bundle.glob(".*")], [])
        with mock.patch("training.elsewhere._tell", told):
            self.assertEqual(self.asked("--device", "cpu"), (0, ""))
        told.assert_not_called()  # the epoch was trained once
        self.assertEqual(len([*self.bundle.glob("*.zip")]), 1)
        self.assertIs(signal.getsignal(signal.SIGTERM), before)

    def test_a_full_disk_is_one_sentence(self):
        full = OSError(errno.ENOSPC, "No space left on device")
        for place in ("training.sealed.shutil.copyfileobj", "training.train.Path.mkdir"):
            with self.subTest(place), mock.patch(place, side_effect=full):
                status, said = self.asked("--device", "cpu")
            self.assertEqual(status, 1)
            self.assertRegex(said, "^The disk is full where .* lies .*\n$")


if __name__ == "__main__":
    unittest.main()
