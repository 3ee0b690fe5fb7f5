"""TIFF files (plain, ImageJ, OME) → planes. Axes are read, never guessed past doubt."""

from __future__ import annotations

import io
import logging
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

# tifffile logs what it works around; here a file is either whole or refused in a sentence.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

MICROMETRES = {
    "m": 1e6,
    "meter": 1e6,
    "cm": 1e4,
    "centimeter": 1e4,
    "mm": 1e3,
    "millimeter": 1e3,
    "um": 1.0,
    "µm": 1.0,
    "μm": 1.0,
    "\\u00b5m": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "inch": 25400.0,
    "in": 25400.0,
}
# A resolution tag coarser than this is the printer's 72 or 300 dpi, not a microscope's.
COARSEST_UM = 20.0
MOST_CHANNELS = 4
MOST_PLANES = 10_000  # directories in a file; following millions takes minutes
# Codecs that unpack into a buffer of the size the directory tells. An embedded JPEG or JPEG 2000
# brings a header of its own, and a few bytes of it can claim gigabytes.
CODECS = {1, 5, 8, 32773, 32946, 34925, 34926, 50000}  # none, LZW, deflate, PackBits, LZMA, Zstd


class TiffRefused(Exception):
    """Why a file cannot be used, as the rest of a sentence that begins with its name."""


@dataclass(frozen=True)
class TiffPlanes:
    """``array`` (C, H, W) as stored; whether the last plane is alpha; µm per px or None."""

    array: NDArray[Any]
    alpha: bool
    pixel_size_um: float | None


def read_tiff(raw: bytes, check_size: Callable[[Sequence[int], int], None]) -> TiffPlanes:
    """Decode the one image in ``raw``.

    ``check_size(shape, itemsize)`` is asked before any pixel is decoded.

    Raises:
        TiffRefused: truncated, several images, a z-stack, a time series, ambiguous axes.
    """
    _check_whole(raw)
    # _multifile=False: an OME header must not make us open other files of this server.
    with tifffile.TiffFile(io.BytesIO(raw), _multifile=False) as file:
        series = file.series
        if len(series) != 1:
            raise TiffRefused(
                f"holds {len(series)} separate images; save the one you need on its own"
            )
        first = series[0]
        if first.dtype is None or first.dtype.kind == "V":
            raise TiffRefused("holds pixels of mixed types")
        check_size(first.shape, first.dtype.itemsize)
        _check_packing(first.keyframe, check_size)
        _check_strips(first, len(raw))
        order = _plane_order(dict(_long_axes(first)), first.shape)
        array = first.asarray().reshape([length for _, length in _long_axes(first)] or [1, 1])
        array = array[np.newaxis] if not order else array
        array = np.moveaxis(array, -1, 0) if order == "last" else array
        alpha = "S" in first.axes and any(
            int(sample) in (1, 2) for sample in file.pages.first.extrasamples
        )
        return TiffPlanes(array, alpha, _pixel_size(file))


def _check_whole(raw: bytes) -> None:
    """Follow the chain of directories; tifffile silently stops where a cut file ends."""
    order = "<" if raw[:2] == b"II" else ">"
    big = struct.unpack(order + "H", raw[2:4])[0] == 43
    count_format, entry, offset_format = ("Q", 20, "Q") if big else ("H", 12, "I")
    offset = struct.unpack_from(order + offset_format, raw, 8 if big else 4)[0]
    seen: set[int] = set()
    while offset:
        if len(seen) == MOST_PLANES:
            raise TiffRefused(f"holds more than {MOST_PLANES} planes; import them one by one")
        if offset in seen or offset >= len(raw):
            raise TiffRefused("is a truncated TIFF: part of the file is missing. Copy it again")
        seen.add(offset)
        try:
            count = struct.unpack_from(order + count_format, raw, offset)[0]
            after = offset + struct.calcsize(order + count_format) + entry * count
            offset = struct.unpack_from(order + offset_format, raw, after)[0]
        except struct.error as error:
            raise TiffRefused("is a truncated TIFF: part of the file is missing") from error
    if not seen:
        raise TiffRefused("is a TIFF without any image")


def _check_packing(page: Any, check_size: Callable[[Sequence[int], int], None]) -> None:
    """Refuse codecs that size their own output, and tiles larger than any image."""
    if int(page.compression) not in CODECS:
        raise TiffRefused(
            f"is compressed as {getattr(page.compression, 'name', page.compression)}; save it "
            "uncompressed, or with LZW, deflate or Zstd"
        )
    if page.is_tiled:
        check_size((*page.tile, page.samplesperpixel), page.dtype.itemsize)


def _check_strips(series: Any, size: int) -> None:
    for page in series.pages:
        if page is None:
            raise TiffRefused("refers to planes in other files; save it as a single file")
        ends = (
            offset + count
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)
        )
        if max(ends, default=0) > size:
            raise TiffRefused("is a truncated TIFF: pixels are missing. Copy it again")
    if series.dataoffset is not None and series.dataoffset + series.nbytes > size:
        raise TiffRefused("is a truncated TIFF: pixels are missing. Copy it again")


def _long_axes(series: Any) -> list[tuple[str, int]]:
    """Axes with more than one element, but never without Y and X."""
    return [
        (axis, length)
        for axis, length in zip(series.axes, series.shape, strict=True)
        if length > 1 or axis in "YX"
    ]


def _plane_order(axes: dict[str, int], shape: tuple[int, ...]) -> str:
    """Where the channels lie: "" (one plane), "first" or "last". Refuses stacks and doubt."""
    if axes.get("T", 1) > 1:
        raise TiffRefused(f"is a time series of {axes['T']} frames; import the frames one by one")
    if axes.get("Z", 1) > 1:
        raise TiffRefused(
            f"is a z-stack of {axes['Z']} slices; project it or import single slices (if they "
            "are channels, save it with channels instead of slices)"
        )
    planes = [axis for axis in axes if axis not in "YX"]
    if not planes and "".join(axes) == "YX":
        return ""
    if len(planes) != 1 or len(axes) != 3:
        raise TiffRefused(f"has the shape {_times(shape)}, which is no image of 1 to 4 channels")
    if planes[0] in "CS":
        where = "".join(axes)
        if where not in ("CYX", "SYX", "YXC", "YXS"):
            raise TiffRefused(f"has its axes in the order {where}; save it as CYX or YXC")
        return "first" if where.endswith("YX") else "last"
    return _guess(list(axes.values()), shape)


def _guess(lengths: list[int], shape: tuple[int, ...]) -> str:
    """Three axes without names: the short one, at either end, holds the channels."""
    first, last = lengths[0] <= MOST_CHANNELS, lengths[2] <= MOST_CHANNELS
    if first and last:
        raise TiffRefused(
            f"has the shape {_times(shape)} and does not say which axis holds the channels; save "
            "it as an ImageJ or OME TIFF with named axes"
        )
    if not first and not last:
        raise TiffRefused(
            f"holds {min(lengths[0], lengths[2])} channels or planes; an image has 1 to "
            f"{MOST_CHANNELS} channels, and z-stacks and time series are imported plane by plane"
        )
    return "first" if first else "last"


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(str(length) for length in shape)


def _pixel_size(file: tifffile.TiffFile) -> float | None:
    """µm per px from OME, ImageJ or resolution tags; None when absent, absurd or not square."""
    if file.is_ome and file.ome_metadata:
        return _ome_pixel_size(file.ome_metadata)
    tags = file.pages.first.tags
    unit = ""
    if file.is_imagej and file.imagej_metadata:
        unit = str(file.imagej_metadata.get("unit", "")).strip().lower()
    if not unit:
        named = {2: "inch", 3: "cm"}
        unit = named.get(int(tags.valueof("ResolutionUnit", default=1)), "")
    x, y = tags.valueof("XResolution"), tags.valueof("YResolution")
    if unit not in MICROMETRES or not x or not y or not (x[0] and x[1] and y[0] and y[1]):
        return None
    return _sane(MICROMETRES[unit] * x[1] / x[0], MICROMETRES[unit] * y[1] / y[0])


def _ome_pixel_size(xml: str) -> float | None:
    try:
        pixels = ElementTree.fromstring(xml).find(".//{*}Pixels")
        if pixels is None:
            return None
        sizes = [
            float(pixels.attrib[f"PhysicalSize{axis}"])
            * MICROMETRES[pixels.attrib.get(f"PhysicalSize{axis}Unit", "µm").lower()]
            for axis in "XY"
        ]
    except (ElementTree.ParseError, KeyError, ValueError):
        return None
    return _sane(*sizes)


def _sane(x: float, y: float) -> float | None:
    square = math.isclose(x, y, rel_tol=0.01)
    return round(x, 6) if square and 0.001 <= x <= COARSEST_UM else None
