"""Files that appear whole or not at all, also when the disk is full or the power fails."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import struct
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from inference.errors import InferenceError

_FULL = (errno.ENOSPC, errno.EDQUOT)
# How libraries that are not written in Python tell the same.
_SAID = re.compile(rf"os error ({errno.ENOSPC}|{errno.EDQUOT})\b|No space left|quota exceeded")
_NOTHING = 1 << 20  # bytes: what failed to write with less than this left, failed for lack of it
_LONGEST_HEAD = 100_000_000  # bytes, as safetensors has it


class DiskFull(InferenceError):
    """A disk or a quota is used up."""


@contextmanager
def whole(target: Path, durable: bool = True) -> Iterator[Path]:
    """A path beside ``target`` to write to; afterwards it takes the place of ``target``.

    Its name is its own, so that two processes may do this at once. ``durable`` also outlives a
    power cut; without it a file may be found cut short after one. Raises ``DiskFull``.
    """
    fresh = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with told_when_full(target.parent):
            yield fresh
            if durable:
                synced(fresh)
            os.replace(fresh, target)
            if durable:
                synced(target.parent)
    finally:
        fresh.unlink(missing_ok=True)


def file_sha256(file: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def linked_or_copied(source: Path, target: Path, durable: bool = True) -> None:
    """One more name for a file that nobody writes to, or a copy where there are no hard links.

    Raises ``FileNotFoundError`` without ``source``, and ``DiskFull``.
    """
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        with whole(target, durable) as fresh:
            shutil.copyfile(source, fresh)


def synced(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if path.is_dir():
            with suppress(OSError):  # some network file systems have no such thing for folders
                os.fsync(descriptor)
        else:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def told_when_full(folder: Path) -> Iterator[None]:
    """Say so in one sentence when what fails inside failed for want of space in ``folder``."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not is_full(error, folder):
            raise
        if isinstance(error, OSError) and isinstance(error.filename, str | Path):
            folder = Path(error.filename).parent
        raise DiskFull(
            f"The disk is full where {folder} lies ({_free(folder) / 1e6:.0f} MB free): make space"
            " there, then resume."
        ) from error


def is_full(error: BaseException, folder: Path | None = None) -> bool:
    """Whether ``error`` means a full disk; ``folder`` is where something was to be written."""
    seen: BaseException | None = error
    while seen is not None:
        if (isinstance(seen, OSError) and seen.errno in _FULL) or _SAID.search(str(seen)):
            return True
        seen = seen.__cause__ or seen.__context__
    # PyTorch and numpy do not say why they could not write.
    vague = isinstance(error, RuntimeError) or (isinstance(error, OSError) and error.errno is None)
    return folder is not None and vague and _free(folder) < _NOTHING


def _free(folder: Path) -> int:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def tensors_are_whole(file: Path) -> bool:
    """Whether a safetensors file is as long as its head says, which costs next to nothing."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(size, _LONGEST_HEAD):
                return False
            head = json.loads(stream.read(length))
        ends = [each["data_offsets"][1] for key, each in head.items() if key != "__metadata__"]
        return size == 8 + length + max(ends, default=0)
    except (OSError, struct.error, ValueError, RecursionError):
        return False
    except (TypeError, KeyError, IndexError, AttributeError):
        return False  # JSON, but not the head of tensors
