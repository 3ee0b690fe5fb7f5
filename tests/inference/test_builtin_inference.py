"""Published weights: downloads, those that fail, and licences."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from inference import builtin as under_test
from inference.builtin import BuiltinWeights
from inference.errors import InferenceError
from training.config import STARTS


class BuiltinTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def published(self):
        file = self.folder / "published"
        file.write_bytes(b"weights" * 100)
        return file

    def fetch(self, url, progress=None):
        weights = {"cyto9": BuiltinWeights(url, "licence")}
        with mock.patch.dict(under_test.BUILTIN, weights, clear=True):
            return under_test.fetch_builtin("cyto9", self.folder / "cache", progress)

    def test_weights_are_downloaded_once_and_progress_is_told(self):
        file = self.published()
        told = []
        fetched = self.fetch(file.as_uri(), told.append)
        self.assertEqual(fetched.read_bytes(), file.read_bytes())
        self.assertEqual(told[-1], 1.0)
        file.unlink()
        self.assertEqual(self.fetch(file.as_uri()), fetched)

    def test_a_damaged_cache_is_noticed_and_removed(self):
        file = self.published()
        fetched = self.fetch(file.as_uri())
        fetched.write_bytes(b"damaged")
        with self.assertRaisesRegex(InferenceError, "checksum"):
            self.fetch(file.as_uri())
        self.assertEqual(self.fetch(file.as_uri()).read_bytes(), file.read_bytes())

    def test_offline_it_says_what_to_do(self):
        with self.assertRaisesRegex(InferenceError, "could not be downloaded.*train from scratch"):
            self.fetch((self.folder / "nowhere").as_uri())
        self.assertEqual(list((self.folder / "cache").iterdir()), [])

    def test_it_rejects_an_unknown_name(self):
        with self.assertRaisesRegex(InferenceError, "no built-in weights named nope"):
            under_test.fetch_builtin("nope", self.folder)


class LicenceTest(unittest.TestCase):
    def test_whatever_is_downloaded_has_one_and_nothing_else(self):
        for start in {*STARTS["segmenter"], *STARTS["detector"]}:
            with self.subTest(start):
                self.assertEqual(bool(under_test.licence_of(start)), start != "scratch")
        for start in ("file:/a/backbone.pt", "segmenter-1", ""):
            self.assertEqual(under_test.licence_of(start), "")

    def test_the_server_learns_of_it_without_torch(self):
        code = "import sys, inference.builtin; sys.exit('torch' in sys.modules)"
        subprocess.run([sys.executable, "-c", code], check=True)
