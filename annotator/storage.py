"""The only object-storage code: bytes, label images and folders under keys.

Runs on Django's default storage (a local folder or S3, by settings). Objects are written once:
keys of images and label images contain the sha256 of their content, so a put that is repeated
changes nothing. Whatever the vendor raises becomes :class:`annotator.exceptions.Unavailable`.
Calls are slow: make them outside database transactions.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import shutil
import tempfile
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files import File
from django.core.files.storage import FileSystemStorage, default_storage
from numpy.typing import NDArray

from annotator.exceptions import Unavailable, UnusableLabels
from inference.files import is_full, synced, told_when_full

Labels = NDArray[Any]
CHUNK = 1 << 20  # bytes
_PART = 1 << 22  # px of a label image that are copied at a time


@contextmanager
def _ours(doing: str, key: str) -> Iterator[None]:
    """Turn the vendor's errors into ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise Unavailable(
            f"The stored file {key} is missing from object storage. Whoever runs this server may"
            " have it in a backup."
        ) from error
    except (OSError, BotoCoreError, ClientError) as error:
        if is_full(error):
            raise Unavailable(
                f"The disk of object storage is full (No space left for {doing} {key}): ask whoever"
                " runs this server to make space there, then try again."
            ) from error
        # An OSError also names the path on this server, which is nobody's business.
        why = (isinstance(error, OSError) and error.strerror) or error
        raise Unavailable(
            f"Object storage failed while {doing} {key}: {why}. Try again, or ask whoever runs "
            "this server."
        ) from error


def sha256_of(content: bytes | Path) -> str:
    """The hex sha256 of bytes or of a file, read in chunks."""
    digest = hashlib.sha256()
    with _opened(content) as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _opened(content: bytes | Path) -> IO[bytes]:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")


def _size(content: bytes | Path) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def put(key: str, content: bytes | Path) -> str:
    """Write ``content`` under ``key``, whole or not at all; returns ``key``.

    An object that is there already with the same size is left alone when its key names its
    content (see :func:`image_key`); others are replaced. The size is read back afterwards.

    Raises:
        Unavailable: the storage failed or kept another number of bytes.
    """
    size = _size(content)
    with _ours("writing", key):
        if key.startswith(("images/", "labels/", "flows/")) and _stored_size(key) == size:
            return key
        if isinstance(default_storage, FileSystemStorage):
            _put_file(Path(default_storage.path(key)), content)
        else:
            with _opened(content) as stream:
                saved = default_storage.save(key, File(stream, name=key))
            if saved != key:  # the backend would not overwrite and chose another name
                default_storage.delete(saved)
                raise OSError(f"the storage would not write to {key}")
        stored = _stored_size(key)
    if stored != size:
        raise Unavailable(f"Object storage kept {stored} of {size} bytes of {key}. Try again.")
    return key


def _stored_size(key: str) -> int | None:
    return default_storage.size(key) if default_storage.exists(key) else None


def _put_file(target: Path, content: bytes | Path) -> None:
    """Write beside ``target``, then rename: a reader never sees half a file."""
    new = [folder for folder in (target.parent, *target.parent.parents) if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with fresh.open("wb") as out, _opened(content) as stream:
            shutil.copyfileobj(stream, out, CHUNK)
            out.flush()
            os.fsync(out.fileno())
        os.replace(fresh, target)
    finally:
        fresh.unlink(missing_ok=True)
    # A row will say that it is there: after a power cut too.
    for folder in (target.parent, *(each.parent for each in new)):
        synced(folder)


def get(key: str) -> bytes:
    """All bytes under ``key``. Raises Unavailable when it is missing or cannot be read."""
    with _ours("reading", key), default_storage.open(key) as stream:
        return bytes(stream.read())


def open_stream(key: str) -> IO[bytes]:
    """A readable stream of ``key``, for large downloads; the caller closes it."""
    with _ours("opening", key):
        stream: IO[bytes] = default_storage.open(key)
        return stream


def check() -> None:
    """Raise Unavailable unless objects can be stored: the health check's question."""
    if not isinstance(default_storage, FileSystemStorage):
        # Not a look for some object: in a bucket that is missing it would only be absent.
        if not _bucket_exists():
            raise Unavailable(
                f"The bucket {_bucket()} does not exist. Run `manage.py storage_prepare`."
            )
        return
    folder = Path(default_storage.location)
    with _ours("opening", folder.name):
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "this process may not write to the folder")


def delete(key: str) -> None:
    """Remove ``key``; nothing happens when it is not there."""
    with _ours("deleting", key):
        default_storage.delete(key)


def image_key(sha256: str) -> str:
    """Where an original with this sha256 lies."""
    return f"images/{sha256[:2]}/{sha256}"


def labels_put(labels: Labels, apart: str = "") -> str:
    """Store a label image (integers (H, W), 0 = background) and return its key.

    Stored as gzipped ``.npy`` in the smallest of uint16 and uint32, so equal label images have
    equal keys, unless ``apart`` begins a key that nothing else has. Raises UnusableLabels when
    the array is no label image.
    """
    if labels.ndim != 2 or labels.dtype.kind not in "ui":
        raise UnusableLabels("A label image holds whole numbers in two dimensions.")
    top = int(labels.max(initial=0))
    if int(labels.min(initial=0)) < 0 or top > np.iinfo(np.uint32).max:
        raise UnusableLabels("Labels go from 0 (background) to 4294967295.")
    hashed, packed = hashlib.sha256(), io.BytesIO()
    # Level 2: half the time of level 5 while somebody waits for their submit, a third more bytes.
    with gzip.GzipFile(filename="", mode="wb", compresslevel=2, fileobj=packed, mtime=0) as stream:
        for part in _npy_parts(labels, "<u2" if top <= np.iinfo(np.uint16).max else "<u4"):
            hashed.update(part)
            stream.write(part)
    digest = hashed.hexdigest()
    key = f"{apart}-{digest}" if apart else f"labels/{digest[:2]}/{digest}"
    return put(f"{key}.npy.gz", packed.getvalue())


def _npy_parts(labels: Labels, dtype: str) -> Iterator[bytes]:
    """What ``np.save`` would write, some rows at a time: never two copies of a large image."""
    header = io.BytesIO()
    document = {"descr": dtype, "fortran_order": False, "shape": labels.shape}
    np.lib.format.write_array_header_1_0(header, document)
    yield header.getvalue()
    rows = max(1, _PART // max(1, labels.shape[1]))
    for top in range(0, labels.shape[0], rows):
        yield np.ascontiguousarray(labels[top : top + rows], dtype=dtype).tobytes()


def labels_get(key: str) -> Labels:
    """The label image under ``key``: uint16 or uint32, (H, W).

    Raises:
        Unavailable: it is missing, cannot be read, or is not what its key says.
    """
    damaged = (
        f"The stored label image {key} is damaged. Whoever runs this server may have it in a"
        " backup."
    )
    try:
        raw = gzip.decompress(get(key))
    except (OSError, EOFError, zlib.error) as error:
        raise Unavailable(damaged) from error
    if hashlib.sha256(raw).hexdigest() not in key:
        raise Unavailable(damaged)
    labels: Labels = np.load(io.BytesIO(raw), allow_pickle=False)
    return labels


def folder_get(prefix: str, into: Path) -> Path:
    """Fetch everything under ``prefix/`` to the folder ``into`` and return it.

    A folder that is there already is used as it is: it appears by one rename, so it is whole.
    Raises Unavailable when nothing lies under the prefix or a read fails.
    """
    if into.is_dir():
        return into
    with told_when_full(into.parent):
        into.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{into.name}.", dir=into.parent))
    try:
        keys = keys_under(prefix)
        if not keys:
            raise Unavailable(f"Nothing is stored under {prefix}.")
        for key in keys:
            path = fresh / key.removeprefix(f"{prefix}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            with (
                _ours("reading", key),
                default_storage.open(key) as stream,
                path.open("wb") as out,
            ):
                shutil.copyfileobj(stream, out, CHUNK)
                out.flush()
                os.fsync(out.fileno())
        try:
            fresh.rename(into)
        except OSError:
            if not into.is_dir():  # else another process was first with the same bytes
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return into


def keys_under(prefix: str) -> list[str]:
    """All keys below ``prefix/``, in order; none where nothing is. Raises Unavailable."""
    with _ours("listing", prefix):
        try:
            folders, files = default_storage.listdir(prefix)
        except FileNotFoundError:
            return []
    keys = [f"{prefix}/{name}" for name in files if name and not name.startswith(".")]
    for name in folders:
        keys += keys_under(f"{prefix}/{name}")
    return sorted(keys)


def prepare() -> str:
    """Make the bucket when it is absent (a folder needs nothing); returns what was found or made.

    Raises Unavailable when the S3 server refuses or cannot be reached.
    """
    if isinstance(default_storage, FileSystemStorage):
        return f"Objects lie in the folder {default_storage.location}."
    name = _bucket()
    if _bucket_exists():
        return f"The bucket {name} is there."
    with _ours("making the bucket", name):
        client = _client()
        region = client.meta.region_name
        options: dict[str, Any] = {"Bucket": name}
        if region != "us-east-1":  # S3 refuses its first region by name, and wants any other said
            options["CreateBucketConfiguration"] = {"LocationConstraint": region}
        client.create_bucket(**options)
    return f"The bucket {name} was made."


def _bucket() -> str:
    storage: Any = default_storage
    return str(storage.bucket_name)


def _client() -> Any:
    storage: Any = default_storage
    return storage.connection.meta.client


def _bucket_exists() -> bool:
    """Asked by HeadBucket, which needs no right to list all buckets."""
    name = _bucket()
    with _ours("looking for the bucket", name):
        try:
            _client().head_bucket(Bucket=name)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise
    return True
