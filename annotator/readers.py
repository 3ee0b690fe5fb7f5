"""Image files → arrays: CYX, original depth, pixel size. Nothing is decoded before it is measured.

PNG (8 and 16 bit, gray, RGB, RGBA, palette), JPEG and TIFF (plain, ImageJ, OME). What a file is,
is told by its first bytes; its extension must be a known one all the same. Every refusal is an
:class:`annotator.exceptions.UnreadableImage` naming the file and what to do.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import imagecodecs
import numpy as np
from django.conf import settings
from numpy.typing import NDArray
from PIL import Image as Pillow

from annotator.exceptions import UnreadableImage
from annotator.tiff import TiffRefused, read_tiff

EXTENSIONS = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
MAX_CHANNELS = 4
MODEL_ROLES = ("cytoplasm", "nucleus")  # in the order in which the models see them
IGNORED = "-"
CHECKED_WHEN_DECODED = 1 << 20  # samples: masks this small are decoded, to say what is wrong
Array = NDArray[Any]
SizeCheck = Callable[[Sequence[int], int], None]  # (shape, bytes per sample); raises TiffRefused
# Sizes are checked here, by a limit of ours; Pillow's own would stop at a quarter of it.
Pillow.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class ReadImage:
    """A decoded file: ``array`` (C, H, W) uint8, uint16 or float32; pixel size in µm or None."""

    array: Array
    pixel_size_um: float | None = None


@dataclass(frozen=True)
class Decoded:
    """Planes as they lie in the file: (C, H, W), and whether the last is an alpha sample."""

    array: Array
    alpha: bool = False
    pixel_size_um: float | None = None


def read_image(content: bytes | Path, name: str) -> ReadImage:
    """Decode an image file called ``name``.

    An opaque alpha plane is dropped.

    Raises:
        UnreadableImage: no such image, damaged, too large, more than 4 channels, a stack.
    """
    raw = content if isinstance(content, bytes) else content.read_bytes()
    with _refusing(name):
        decoded = _reader_of(raw, name)(raw, check_size)
        array = _without_alpha(decoded)
        if not 1 <= array.shape[0] <= MAX_CHANNELS:
            raise TiffRefused(
                f"has {array.shape[0]} channels; an image has 1 to {MAX_CHANNELS}. "
                "Save the channels you need and import that file"
            )
        return ReadImage(_usable_dtype(array), decoded.pixel_size_um)


def read_labels(content: bytes | Path, name: str, shape: tuple[int, int] | None = None) -> Array:
    """Decode a label image (TIFF or PNG): integers (H, W), 0 = background, uint16 or uint32.

    With the ``shape`` (H, W) of its image, a file many times as large is not even decoded.

    Raises:
        UnreadableImage: damaged, a JPEG or RGB picture, floats, negative numbers or a stack.
    """
    raw = content if isinstance(content, bytes) else content.read_bytes()
    with _refusing(name):
        if _is_jpeg(raw):
            raise TiffRefused("is a JPEG, which blurs numbers; save the masks as TIFF or PNG")
        if _is_png(raw) and raw[25] == 3:  # a palette: the indices are the labels
            _png_header(raw, _check_of(shape))
            planes = np.asarray(Pillow.open(io.BytesIO(raw)))[np.newaxis]
        else:
            planes = _reader_of(raw, name)(raw, _check_of(shape)).array
        if planes.shape[0] != 1:
            raise TiffRefused(
                f"has {planes.shape[0]} planes; masks are one plane of whole numbers, 0 for the "
                "background and one number per cell"
            )
        labels: Array = planes[0]
        if labels.dtype.kind not in "uib":
            raise TiffRefused(f"holds {labels.dtype} values; masks are whole numbers per cell")
        if labels.dtype.kind == "i" and int(labels.min(initial=0)) < 0:
            raise TiffRefused("holds negative numbers; masks are 0 or more")
        top = int(labels.max(initial=0))
        if top > np.iinfo(np.uint32).max:
            raise TiffRefused("holds numbers beyond 4294967295")
        return labels.astype(np.uint16 if top <= 0xFFFF else np.uint32)


def model_channels(roles: Sequence[str]) -> tuple[str, ...]:
    """The roles of a data set's channels in the models' order: cytoplasm, then nucleus."""
    return tuple(role for role in MODEL_ROLES if role in roles)


def with_roles(array: Array, roles: Sequence[str], name: str) -> Array:
    """Pick and order the planes of ``array`` (C, H, W): :func:`model_channels` of ``roles``.

    In a data set of one channel, a file with three equal planes (gray saved as RGB) has one too.
    Raises UnreadableImage when the file has another number of channels than the data set.
    """
    # Not where three are expected: a field without cells may be black in all of them.
    if len(roles) != array.shape[0] == 3 and (array[1:] == array[0]).all():
        array = array[:1]
    count = array.shape[0]
    if count != len(roles):
        wanted = ", ".join(roles)
        if count == 1:
            advice = (
                "It is gray: put it in a data set with one channel, or save both channels in "
                "one file"
            )
        else:
            advice = (
                "Make a data set that names all its channels, with - for one to ignore (such as "
                "-,cytoplasm,nucleus for RGB)"
            )
        raise UnreadableImage(
            f"{name} has {count} channel{'s' * (count != 1)} but the data set expects "
            f"{len(roles)} ({wanted}). {advice}."
        )
    return np.ascontiguousarray(array[[roles.index(role) for role in model_channels(roles)]])


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Whatever a decoder raises becomes one sentence about ``name``."""
    try:
        yield
    except TiffRefused as refusal:
        raise UnreadableImage(f"{name} {refusal}.") from refusal
    except MemoryError as error:
        raise UnreadableImage(f"{name} does not fit into this server's memory.") from error
    except UnreadableImage:
        raise
    except Exception as error:  # decoders raise anything on damaged input: struct, value, codec
        raise UnreadableImage(
            f"{name} is damaged or incomplete and cannot be read. Export or copy it again."
        ) from error


def _is_png(raw: bytes) -> bool:
    return raw.startswith(b"\x89PNG\r\n\x1a\n")


def _is_jpeg(raw: bytes) -> bool:
    return raw.startswith(b"\xff\xd8\xff")


def _reader_of(raw: bytes, name: str) -> Callable[[bytes, SizeCheck], Decoded]:
    extension = PurePath(name).suffix.lower()
    if extension not in EXTENSIONS:
        raise TiffRefused(f"is not one of {', '.join(EXTENSIONS)}")
    if not raw:
        raise TiffRefused("is empty")
    if _is_png(raw):
        return _read_png
    if _is_jpeg(raw):
        return _read_jpeg
    if raw[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _read_tiff
    raise TiffRefused(f"is no image, though its name ends in {extension}")


def check_size(shape: Sequence[int], itemsize: int) -> None:
    """Refuse what would not fit, before decoding. ``shape``: all axes, the two largest are Y, X."""
    if not all(shape):
        raise TiffRefused("has no pixels")
    megapixels = settings.IMAGE_MAX_PIXELS // 10**6
    height, width = sorted(shape)[-2:] if len(shape) > 1 else (1, shape[0])
    total = math.prod(map(int, shape)) * itemsize
    if height * width > settings.IMAGE_MAX_PIXELS or total > 4 * settings.IMAGE_MAX_PIXELS:
        raise TiffRefused(
            f"is {width}×{height} px ({total / 1e9:.1f} GB decoded), larger than this server "
            f"opens (IMAGE_MAX_MEGAPIXELS={megapixels}). Cut it into fields"
        )


def _check_of(shape: tuple[int, int] | None) -> SizeCheck:
    """The check for masks of an image of ``shape``: a small file may unpack to gigabytes."""
    if shape is None:
        return check_size

    def check(found: Sequence[int], itemsize: int) -> None:
        check_size(found, itemsize)
        if math.prod(found) > 16 * math.prod(shape) + CHECKED_WHEN_DECODED:
            raise TiffRefused(
                f"is much larger than its image of {shape[1]}×{shape[0]} px; masks must have the "
                "image's size"
            )

    return check


def _png_header(raw: bytes, check: SizeCheck) -> tuple[int, int, int, int]:
    """(width, height, bit depth, colour type), checked against the limits."""
    if len(raw) < 33 or raw[12:16] != b"IHDR":
        raise TiffRefused("is a damaged PNG without a header")
    width, height, depth, colour = struct.unpack(">IIBB", raw[16:26])
    samples = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}.get(colour)
    if samples is None or not width or not height:
        raise TiffRefused("is a damaged PNG: its header makes no sense")
    check((height, width, samples), 2 if depth == 16 else 1)
    return width, height, depth, colour


def _read_png(raw: bytes, check: SizeCheck) -> Decoded:
    _, _, _, colour = _png_header(raw, check)
    planes = imagecodecs.png_decode(raw)  # keeps 16 bits in RGB too, which Pillow does not
    planes = planes[..., np.newaxis] if planes.ndim == 2 else planes
    return Decoded(np.moveaxis(planes, -1, 0), alpha=colour in (4, 6) or planes.shape[-1] == 4)


def _read_jpeg(raw: bytes, check: SizeCheck) -> Decoded:
    # Pillow reads the size lazily; decoding starts at load().
    picture = Pillow.open(io.BytesIO(raw), formats=["JPEG"])
    check((picture.height, picture.width, len(picture.getbands())), 1)
    if picture.mode not in ("L", "RGB"):
        raise TiffRefused(f"is a JPEG in {picture.mode} colours; save it as gray or RGB")
    planes = np.asarray(picture)
    return Decoded(np.moveaxis(planes[..., np.newaxis] if planes.ndim == 2 else planes, -1, 0))


def _read_tiff(raw: bytes, check: SizeCheck) -> Decoded:
    found = read_tiff(raw, check)
    return Decoded(found.array, found.alpha, found.pixel_size_um)


def _without_alpha(decoded: Decoded) -> Array:
    array = decoded.array
    if decoded.alpha and array.shape[0] in (2, 4):
        opaque = np.iinfo(array.dtype).max if array.dtype.kind == "u" else 1
        if (array[-1] == opaque).all():
            return array[:-1]
    return array


def _usable_dtype(array: Array) -> Array:
    """uint8 and uint16 as they are; other integers as uint16 if they fit, else float32."""
    if array.dtype.kind == "c":
        raise TiffRefused("holds complex numbers; save its magnitude")
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype in (np.uint8, np.uint16):
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind in "ui":
        fits = int(array.min(initial=0)) >= 0 and int(array.max(initial=0)) <= 0xFFFF
        return array.astype(np.uint16 if fits else np.float32)
    if array.dtype.kind != "f":
        raise TiffRefused(f"holds {array.dtype} values, which are no pixels")
    with np.errstate(over="ignore"):  # doubles beyond float32 become infinite
        return _finite(array.astype(np.float32))


def _finite(array: Array) -> Array:
    """NaN and −∞ become their channel's smallest value, ∞ (a saturated pixel) its largest."""
    good = np.isfinite(array)
    if good.all():
        return array
    for plane, usable in zip(array, good, strict=True):
        if not usable.any():
            raise TiffRefused("has a channel without a single number (all NaN or infinite)")
        low, high = plane[usable].min(), plane[usable].max()
        plane[:] = np.nan_to_num(plane, nan=low, posinf=high, neginf=low)
    return array
