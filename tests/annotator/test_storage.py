"""Objects are whole or absent, written once, and their errors are ours."""

from __future__ import annotations

import errno
import gzip
import io
import logging
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
from botocore.exceptions import ClientError
from django.core.exceptions import SuspiciousOperation
from django.core.files.storage import FileSystemStorage, default_storage
from django.test import SimpleTestCase
from moto.server import ThreadedMotoServer
from storages.backends.s3 import S3Storage

from annotator import storage
from annotator.exceptions import Unavailable, UnusableLabels
from tests.annotator.factories import is_stored, square_labels


class Objects(SimpleTestCase):
    def test_what_was_put_comes_back_and_goes(self) -> None:
        storage.put("test/a.bin", b"abc")
        self.assertEqual(storage.get("test/a.bin"), b"abc")
        storage.put("test/a.bin", b"other")
        self.assertEqual(storage.get("test/a.bin"), b"other")
        storage.delete("test/a.bin")
        self.assertFalse(is_stored("test/a.bin"))
        storage.delete("test/a.bin")

    def test_a_missing_object_is_said_to_be_missing(self) -> None:
        for read in (storage.get, storage.open_stream):
            with self.assertRaises(Unavailable) as caught:
                read("test/nowhere")
            self.assertIn("test/nowhere", caught.exception.message)

    def test_a_failed_write_leaves_nothing_to_see(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "big"
            source.write_bytes(b"x" * 100)
            with (
                mock.patch("annotator.storage.shutil.copyfileobj", side_effect=OSError("torn")),
                mock.patch.object(default_storage, "save", side_effect=OSError("torn")),
                self.assertRaises(Unavailable),
            ):
                storage.put("torn/a.bin", source)
        self.assertFalse(is_stored("torn/a.bin"))
        self.assertEqual(storage.keys_under("torn"), [])

    def test_what_fails_is_told_without_the_servers_paths(self) -> None:
        full = OSError(errno.ENOSPC, "No space left on device", "/srv/secret/objects/a")
        with (
            mock.patch("annotator.storage._stored_size", side_effect=full),
            self.assertRaises(Unavailable) as caught,
        ):
            storage.put("test/a.bin", b"x")
        self.assertIn("The disk of object storage is full", caught.exception.message)
        self.assertNotIn("secret", caught.exception.message)

    def test_storage_that_cannot_be_written_is_not_ready(self) -> None:
        storage.check()
        with tempfile.NamedTemporaryFile() as file:
            folder = Path(file.name) / "objects"  # under a file nothing can be made
            broken = FileSystemStorage(location=str(folder))
            with (
                mock.patch.object(storage, "default_storage", broken),
                self.assertRaises(Unavailable),
            ):
                storage.check()

    def test_a_key_cannot_leave_the_store(self) -> None:
        for key in ("../outside", "a/../../outside"):
            with self.assertRaises(SuspiciousOperation):
                storage.put(key, b"x")


class Buckets(SimpleTestCase):
    """Against an S3 server over the wire, whatever the other tests store in."""

    url: str

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        # It would log each request.
        cls.enterClassContext(mock.patch.object(logging.getLogger("werkzeug"), "disabled", True))
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        cls.addClassCleanup(server.stop)
        cls.url = "http://{}:{}".format(*server.get_host_and_port())

    def on(self, bucket: str, region: str = "us-east-1") -> S3Storage:
        """Let objects lie in ``bucket`` until the test ends."""
        store = S3Storage(
            bucket_name=bucket,
            endpoint_url=self.url,
            access_key="test",
            secret_key="test",
            region_name=region,
        )
        patch = mock.patch.object(storage, "default_storage", store)
        patch.start()
        self.addCleanup(patch.stop)
        return store

    def test_a_bucket_is_made_once_and_then_ready(self) -> None:
        self.on("cells-test")
        self.assertIn("was made", storage.prepare())
        self.assertIn("is there", storage.prepare())
        storage.check()

    def test_a_missing_bucket_is_not_ready(self) -> None:
        self.on("nowhere-test")
        with self.assertRaises(Unavailable) as caught:
            storage.check()
        self.assertIn("storage_prepare", caught.exception.message)

    def test_a_bucket_is_made_in_the_region_of_the_settings(self) -> None:
        client = self.on("far-test", "eu-central-1").connection.meta.client
        self.assertIn("was made", storage.prepare())
        place = client.get_bucket_location(Bucket="far-test")["LocationConstraint"]
        self.assertEqual(place, "eu-central-1")

    def test_keys_that_may_not_list_all_buckets_will_do(self) -> None:
        client = self.on("own-test").connection.meta.client
        denied = ClientError({"Error": {"Code": "AccessDenied"}}, "ListBuckets")
        with mock.patch.object(client, "list_buckets", side_effect=denied):
            self.assertIn("was made", storage.prepare())
            self.assertIn("is there", storage.prepare())

    def test_a_server_out_of_reach_is_said_to_be(self) -> None:
        self.on("cells-test").endpoint_url = "http://127.0.0.1:1"
        for ask in (storage.check, storage.prepare):
            with self.assertRaises(Unavailable):
                ask()


class LabelImages(SimpleTestCase):
    def test_labels_come_back_in_the_smallest_dtype(self) -> None:
        labels = square_labels()
        key = storage.labels_put(labels.astype(np.int64))
        np.testing.assert_array_equal(storage.labels_get(key), labels)
        self.assertEqual(storage.labels_get(key).dtype, np.uint16)
        self.assertEqual(storage.labels_put(labels), key)
        saved = io.BytesIO()
        np.save(saved, labels.astype(np.uint16))
        self.assertEqual(gzip.decompress(storage.get(key)), saved.getvalue())
        with mock.patch("annotator.storage._PART", 100):  # however it is cut
            self.assertEqual(storage.labels_put(np.asfortranarray(labels)), key)
        wide = labels.astype(np.uint32) * 70000
        self.assertEqual(storage.labels_get(storage.labels_put(wide)).dtype, np.uint32)

    def test_damaged_labels_are_noticed(self) -> None:
        key = storage.labels_put(square_labels(2))
        whole = storage.get(key)
        other = storage.get(storage.labels_put(square_labels(4)))
        for damaged in (whole[:-9], whole[:20] + b"\xff" * 40 + whole[60:], other):
            storage.delete(key)
            storage.put(key, damaged)
            with self.assertRaises(Unavailable):
                storage.labels_get(key)
        storage.delete(key)

    def test_it_rejects_what_is_no_label_image(self) -> None:
        for array in (np.zeros((2, 2, 2), int), np.zeros((2, 2)), np.full((2, 2), -1)):
            with self.assertRaises(UnusableLabels):
                storage.labels_put(array)


class Folders(SimpleTestCase):
    def test_a_folder_comes_back_whole_and_once(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            storage.put("models/test-1/weights.safetensors", b"w" * 3000)
            storage.put("models/test-1/meta.json", b"{}")
            storage.put("models/test-1/deep/x", b"x")
            into = storage.folder_get("models/test-1", Path(name) / "cache" / "one")
            self.assertEqual((into / "weights.safetensors").read_bytes(), b"w" * 3000)
            self.assertEqual((into / "deep" / "x").read_text(), "x")
            (into / "meta.json").write_text("kept")
            storage.folder_get("models/test-1", into)
            self.assertEqual((into / "meta.json").read_text(), "kept")
            self.assertEqual([path.name for path in into.parent.iterdir()], ["one"])

    def test_nothing_under_a_prefix_is_an_error_and_leaves_no_folder(self) -> None:
        with tempfile.TemporaryDirectory() as name, self.assertRaises(Unavailable):
            storage.folder_get("models/none", Path(name) / "none")
