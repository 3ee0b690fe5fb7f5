"""Files that travel between machines, and what may have happened to them on the way."""

from __future__ import annotations

import errno
import json
import struct
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import TestCase, mock

from inference.files import DiskFull
from training import sealed
from training.errors import Cancelled, TrainingError

MEMBERS = [
    ("weights.safetensors", b"w" * 5000),
    ("meta.json", b"{}"),
    ("metrics.jsonl", b"{}\n"),
]
FILES: dict[str, Path | bytes] = dict(MEMBERS)


class SealedCase(TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(TemporaryDirectory()))
        self.file = self.folder / "lab.cytoloop-model.zip"

    def packed(self, kind: str = sealed.MODEL) -> Path:
        sealed.seal(self.file, kind, FILES, {"family": "segmenter"})
        return self.file

    def written(self, members: list[tuple[str, bytes]], **manifest: Any) -> Path:
        """A zip written by hand, its manifest as ``seal`` makes it but for ``manifest``."""
        self.packed()
        with zipfile.ZipFile(self.file) as archive:
            told = json.loads(archive.read(sealed.MANIFEST)) | manifest
        with zipfile.ZipFile(self.file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members:
                archive.writestr(name, content)
            archive.writestr(sealed.MANIFEST, json.dumps(told))
        return self.file

    def refused(self, file: Path, words: str) -> None:
        out = self.folder / "out"
        with self.assertRaisesRegex(TrainingError, words) as caught:
            sealed.open_model(file, out)
        self.assertIn(file.name, caught.exception.message)


class ModelFileTest(SealedCase):
    def test_what_was_packed_comes_out(self) -> None:
        manifest = sealed.open_model(self.packed(), self.folder / "out")
        self.assertEqual(manifest["family"], "segmenter")
        for name, content in FILES.items():
            self.assertEqual((self.folder / "out" / name).read_bytes(), content)

    def test_a_file_cut_off_anywhere_is_refused(self) -> None:
        whole = self.packed().read_bytes()
        for length in (0, 3, 30, len(whole) // 2, len(whole) - 1):
            self.file.write_bytes(whole[:length])
            with self.subTest(length):
                self.refused(self.file, "cut off.*again|damaged")

    def test_any_flipped_byte_is_noticed_or_harmless(self) -> None:
        whole = self.packed().read_bytes()
        for at in range(0, len(whole), 17):
            self.file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :])
            out = self.folder / f"out{at}"
            try:
                sealed.open_model(self.file, out)
            except TrainingError:
                continue
            for name, content in FILES.items():  # a byte of a date or the like
                self.assertEqual((out / name).read_bytes(), content)

    def test_a_changed_file_is_refused_by_its_hash(self) -> None:
        changed = [*MEMBERS[1:], ("weights.safetensors", b"v" * 5000)]
        self.refused(self.written(changed), "weights.safetensors is not what was packed.*train.py")

    def test_names_that_lead_elsewhere_are_refused_and_written_nowhere(self) -> None:
        for name in ("../evil", "/tmp/evil", "a/../../evil", "extra.bin", "C:\\evil"):
            with self.subTest(name):
                self.refused(self.written([*MEMBERS, (name, b"x")]), "no trained model has")
        named = {name: {"sha256": "0" * 64} for name in (*FILES, "../evil")}
        self.refused(self.written(MEMBERS, files=named), "no trained model has")
        self.assertEqual([*self.folder.parent.glob("evil")], [])

    def test_a_file_that_unpacks_to_gigabytes_is_refused_unread(self) -> None:
        bomb = [("meta.json", bytes(17 * 2**20)), MEMBERS[0], MEMBERS[2]]
        self.refused(self.written(bomb), "more than any model has")

    def test_a_zip_of_very_many_files_is_refused_before_its_list_is_read(self) -> None:
        with zipfile.ZipFile(self.file, "w") as archive:
            for number in range(2000):
                archive.writestr(f"{number}", b"")
        self.refused(self.file, "far more files")
        content = bytearray(self.packed().read_bytes())
        content[-22:-22] = b"PK\x06\x07" + bytes(16)  # claims a list that 32 bits cannot tell
        self.file.write_bytes(bytes(content))
        self.refused(self.file, "far more files")

    def test_the_end_of_a_zip_is_the_one_that_python_reads(self) -> None:
        with zipfile.ZipFile(self.file, "w") as archive:
            for number in range(2000):
                archive.writestr(f"{number}", b"")
        content = self.file.read_bytes()
        for at in (4, 8):  # as if a second end began in the numbers of disks, or those of files
            inner = bytearray(content)
            inner[at - 22 : at - 18] = b"PK\x05\x06"
            self.file.write_bytes(bytes(inner))
            self.assertTrue(zipfile.is_zipfile(self.file))
            with self.subTest(at):
                self.refused(self.file, "far more files" if at == 8 else "zip that was split")
        honest = bytearray(self.packed().read_bytes())
        honest[-14:-10] = b"PK\x05\x06"  # counts of files, which nobody reads
        self.file.write_bytes(bytes(honest))
        sealed.open_model(self.file, self.folder / "out")

    def test_a_long_trainings_curve_is_no_bomb(self) -> None:
        curve = b'{"epoch": 1}\n' * (20 * 2**20 // 13)
        sealed.seal(self.file, sealed.MODEL, FILES | {"metrics.jsonl": curve}, {})
        sealed.open_model(self.file, self.folder / "out")
        self.assertEqual((self.folder / "out/metrics.jsonl").stat().st_size, len(curve))

    def test_a_full_disk_is_no_damage_and_leaves_nothing_behind(self) -> None:
        full = OSError(errno.ENOSPC, "No space left on device")
        with (
            mock.patch("training.sealed.shutil.copyfileobj", side_effect=full),
            self.assertRaisesRegex(DiskFull, f"full where {self.folder}"),
        ):
            sealed.open_model(self.packed(), self.folder / "out")
        weights = self.folder / "weights"
        weights.write_bytes(b"w")
        with (
            mock.patch("training.sealed.shutil.copyfileobj", side_effect=full),
            self.assertRaises(DiskFull),
        ):
            sealed.seal(self.folder / "new.zip", sealed.MODEL, {"weights": weights}, {})
        self.assertEqual(
            sorted(each.name for each in self.folder.iterdir()), [self.file.name, "out", "weights"]
        )

    def test_packing_ends_within_a_file_when_it_is_asked_to_and_leaves_nothing_behind(self) -> None:
        weights = self.folder / "weights"
        weights.write_bytes(bytes(5 << 20))
        asked: list[int] = []

        def check() -> None:
            asked.append(1)
            if len(asked) == 4:  # of seven, once for the file and once for each megabyte
                raise Cancelled

        with self.assertRaises(Cancelled):
            sealed.seal(self.file, sealed.MODEL, {"weights": weights}, {}, check)
        self.assertEqual([each.name for each in self.folder.iterdir()], ["weights"])

    def test_the_same_name_twice_and_a_missing_one_are_refused(self) -> None:
        with self.assertWarns(UserWarning):
            twice = self.written([*MEMBERS, ("meta.json", b"[]")])
        self.refused(twice, "2 files meta.json")
        self.refused(self.written(MEMBERS[:2]), "0 files metrics.jsonl")

    def test_other_zips_say_what_they_are(self) -> None:
        self.refused(self.packed(sealed.BUNDLE), "training bundle and no model yet")
        self.refused(self.packed("zip"), "no file that a training bundle's train.py wrote")
        self.refused(self.written(MEMBERS, release=99), "newer release")
        broken: dict[str, Any]
        for broken in (
            {"files": []},
            {"files": {"a": 1}},
            {"release": "x"},
            {"release": 1e999},
            {"files": {}},
        ):
            with self.subTest(broken):
                self.refused(self.written(MEMBERS, **broken), "damaged|does not name")
        with zipfile.ZipFile(self.file, "w") as archive:
            archive.writestr("meta.json", "{}")
        self.refused(self.file, "no manifest.json")

    def test_a_password_is_no_crash(self) -> None:
        content = bytearray(self.packed().read_bytes())
        for sign in (b"PK\x03\x04", b"PK\x01\x02"):
            at = content.find(sign) + (6 if sign == b"PK\x03\x04" else 8)
            while at > 8:
                (flags,) = struct.unpack_from("<H", content, at)
                struct.pack_into("<H", content, at, flags | 1)
                found = content.find(sign, at)
                at = found + (6 if sign == b"PK\x03\x04" else 8) if found > 0 else 0
        self.file.write_bytes(bytes(content))
        self.refused(self.file, "damaged|no manifest")

    def test_the_kind_of_a_file_is_told_without_opening_it_all(self) -> None:
        self.assertEqual(sealed.kind_of(self.packed()), sealed.MODEL)
        self.assertEqual(sealed.kind_of(self.packed(sealed.BUNDLE)), sealed.BUNDLE)
        (self.folder / "text").write_text("text")
        self.assertIsNone(sealed.kind_of(self.folder / "text"))
        self.assertIsNone(sealed.kind_of(self.folder))
        self.assertIsNone(sealed.kind_of(self.folder / "absent"))


class FolderTest(SealedCase):
    def test_an_unzipped_bundle_is_checked_file_by_file(self) -> None:
        with zipfile.ZipFile(self.packed(sealed.BUNDLE)) as archive:
            archive.extractall(self.folder / "bundle")
        bundle = self.folder / "bundle"
        self.assertEqual(sealed.check_folder(bundle)["format"], sealed.BUNDLE)
        (bundle / "meta.json").write_text("[]")
        with self.assertRaisesRegex(TrainingError, "meta.json is not what was packed"):
            sealed.check_folder(bundle)
        (bundle / "meta.json").unlink()
        with self.assertRaisesRegex(TrainingError, "lacks meta.json"):
            sealed.check_folder(bundle)
        with self.assertRaisesRegex(TrainingError, "no training bundle"):
            sealed.check_folder(self.folder)
