"""Files that travel: a zip whose manifest names each of its files with size and sha256.

Two kinds: the training bundle that leaves a server, and the trained model that comes back. Both
are read without torch, and what comes back is believed in nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from inference.files import file_sha256, told_when_full, whole
from inference.strict import strict_json
from training.errors import TrainingError

MANIFEST = "manifest.json"
BUNDLE = "cytoloop-bundle"
MODEL = "cytoloop-model"
RELEASE = 1  # of both formats; raised when an older reader would misread a newer file
# What a trained model consists of, and the most bytes that any real one has of each.
MODEL_FILES = {
    "weights.safetensors": 8 * 2**30,
    "meta.json": 16 * 2**20,
    "metrics.jsonl": 256 * 2**20,  # a line an epoch, which tells the progress of each step
}
_LARGEST_MANIFEST = 1 << 20  # bytes
_LARGEST_DIRECTORY = 1 << 16  # bytes of a model's list of files: three names take 300
_CHUNK = 1 << 20
_END, _END64 = b"PK\x05\x06", b"PK\x06\x07"
_END_BYTES = 22  # of a zip's end record without a comment
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # packed by a method that this Python does not know
    RuntimeError,  # packed with a password
    OSError,
    ValueError,
    struct.error,
)


def seal(
    out: Path,
    kind: str,
    files: Mapping[str, Path | bytes],
    facts: Mapping[str, Any],
    check: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Write the zip ``out`` of ``files`` by name with a manifest that holds ``facts`` too.

    The file appears whole or not at all. ``check`` is called again and again and may raise to
    stop. Returns the manifest; raises ``DiskFull``.
    """
    named: dict[str, dict[str, Any]] = {}
    # Level 1: label images shrink to a tenth, and weights do not shrink at any level.
    with (
        whole(out) as fresh,
        zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, content in sorted(files.items()):
            check()
            named[name] = _added(archive, name, content, check)
        manifest = {**facts, "format": kind, "release": RELEASE, "files": named}
        archive.writestr(_member(MANIFEST), json.dumps(manifest, indent=1))
    return manifest


def _member(name: str) -> zipfile.ZipInfo:
    """A plain file that anybody may read, of no date: equal content gives an equal zip."""
    member = zipfile.ZipInfo(name)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    return member


class _Checked:
    """A stream that asks before each piece whether to go on."""

    def __init__(self, stream: IO[bytes], check: Callable[[], None]) -> None:
        self._stream = stream
        self._check = check

    def read(self, size: int = -1) -> bytes:
        self._check()
        return self._stream.read(size)


def _added(
    archive: zipfile.ZipFile, name: str, content: Path | bytes, check: Callable[[], None]
) -> dict[str, Any]:
    if isinstance(content, bytes):
        archive.writestr(_member(name), content)
        return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    with content.open("rb") as source, archive.open(_member(name), "w", force_zip64=True) as out:
        shutil.copyfileobj(_Checked(source, check), out, _CHUNK)
    return {"sha256": file_sha256(content), "bytes": content.stat().st_size}


def kind_of(file: Path) -> str | None:
    """``BUNDLE`` or ``MODEL`` by the manifest of a zip; None for any other file."""
    try:
        with zipfile.ZipFile(file) as archive:
            return str(_read_manifest(archive).get("format"))
    except (*_DAMAGED, KeyError, RecursionError, AttributeError):
        return None


def check_folder(folder: Path) -> dict[str, Any]:
    """The manifest of an unzipped bundle; ``TrainingError`` names a file that is not as packed."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        files = dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{folder} is no training bundle: its {MANIFEST} is missing or damaged; unzip the"
            " bundle again."
        ) from error
    for name, said in files.items():
        file = folder / name
        if not file.is_file():
            raise TrainingError(f"The bundle lacks {name}; unzip it again.")
        if file_sha256(file) != said["sha256"]:
            raise TrainingError(
                f"{name} is not what was packed (its sha256 differs); unzip the bundle again."
            )
    return dict(manifest)


def open_model(file: Path, into: Path) -> dict[str, Any]:
    """Unpack the trained model in ``file`` to the folder ``into``; its manifest.

    Raises ``TrainingError`` saying what is wrong with the file and what to do: cut off, changed
    since it was packed, other or more files than a model has, or more bytes. Raises ``DiskFull``
    when there is no room for it.
    """
    name = file.name
    with _opened(file) as archive:
        manifest = _checked_manifest(archive, name)
        _check_names(archive, manifest, name)
        for member, most in MODEL_FILES.items():
            if archive.getinfo(member).file_size > most:
                raise TrainingError(f"{name}: {member} unpacks to more than any model has.")
        for member in MODEL_FILES:
            with told_when_full(into):
                into.mkdir(parents=True, exist_ok=True)
                _extract(archive, member, into / member)
            if file_sha256(into / member) != manifest["files"][member]["sha256"]:
                raise TrainingError(
                    f"{name}: {member} is not what was packed (its sha256 differs). Run train.py"
                    " again, which packs the model anew, and send that file."
                )
    return manifest


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    """The zip, its damage told as a sentence."""
    try:
        if not zipfile.is_zipfile(file):
            raise TrainingError(
                f"{file.name} is no whole zip: it was cut off, or is another file. Copy or"
                " download it again."
            )
        if _directory_bytes(file) > _LARGEST_DIRECTORY:
            raise TrainingError(f"{file.name} lists far more files than a trained model has.")
        with zipfile.ZipFile(file) as archive:
            yield archive
    except _DAMAGED as error:
        raise TrainingError(
            f"{file.name} is damaged ({error}). Copy or download it again."
        ) from error


def _directory_bytes(file: Path) -> int:
    """Size of a zip's list of files, as its end tells it; Python reads that list into memory."""
    with file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - (1 << 16) - 42))
        tail = stream.read()
    # Found as Python finds it, or the record that it believes would not be the one that is checked.
    at = len(tail) - _END_BYTES
    if not (tail[at:].startswith(_END) and tail.endswith(b"\0\0")):
        at = tail.rfind(_END)
    if any(struct.unpack_from("<HH", tail, at + len(_END))):
        raise TrainingError(
            f"{file.name} is one part of a zip that was split; send the file as train.py wrote it."
        )
    if _END64 in tail[max(0, at - 20) : at]:  # for 65,536 files, or more than 4 GB
        return 2**32
    return int(struct.unpack_from("<I", tail, at + 12)[0])


def _read_manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    with archive.open(MANIFEST) as stream:
        text = stream.read(_LARGEST_MANIFEST + 1)
    if len(text) > _LARGEST_MANIFEST:
        raise ValueError(f"{MANIFEST} is too long")
    return dict(strict_json(text.decode()))


def _checked_manifest(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    try:
        manifest = _read_manifest(archive)
        hashes = {key: str(said["sha256"]) for key, said in manifest["files"].items()}
        release = int(manifest["release"])
    except KeyError as error:
        raise TrainingError(
            f"{name} has no {MANIFEST} that names its files: it is no file that a training"
            " bundle's train.py wrote."
        ) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise TrainingError(f"The {MANIFEST} in {name} is damaged. Copy the file again.") from error
    if manifest.get("format") == BUNDLE:
        raise TrainingError(
            f"{name} is a training bundle and no model yet: unzip it, run train.py, and send the"
            " file that this writes."
        )
    if manifest.get("format") != MODEL:
        raise TrainingError(f"{name} is no file that a training bundle's train.py wrote.")
    if release > RELEASE:
        raise TrainingError(f"{name} comes from a newer release; update this server first.")
    missing = [member for member in MODEL_FILES if member not in hashes]
    if missing:
        raise TrainingError(f"The {MANIFEST} in {name} does not name {missing[0]}.")
    return manifest


def _check_names(archive: zipfile.ZipFile, manifest: dict[str, Any], name: str) -> None:
    there = archive.namelist()
    known = {MANIFEST, *MODEL_FILES}
    foreign = sorted({*there, *manifest["files"]} - known)
    if foreign:
        raise TrainingError(
            f"{name} holds {foreign[0][:80]!r}, which no trained model has; send the file as"
            " train.py wrote it."
        )
    for member in known:
        if there.count(member) != 1:
            raise TrainingError(
                f"{name} holds {there.count(member)} files {member} instead of one."
            )


def _extract(archive: zipfile.ZipFile, member: str, target: Path) -> None:
    with archive.open(member) as source, target.open("wb") as out:
        shutil.copyfileobj(source, out, _CHUNK)
