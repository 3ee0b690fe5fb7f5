"""ImageJ ROI sets (``X_rois.zip``) → a label image. Pixel-edge outlines, holes by even-odd."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import roifile
from numpy.typing import NDArray

from annotator.exceptions import CytoloopError, UnreadableImage, UnusableLabels

MOST_ROIS = 200_000
LARGEST_ROI = 4 * 2**20  # bytes
LARGEST_SET = 256 * 2**20  # bytes, unpacked
MOST_CROSSINGS = 4_000_000  # of one outline with the image's rows; a cell's has thousands
OVERLAP = 16  # boxes of all ROIs together, in areas of the image
AREAS = {
    roifile.ROI_TYPE.POLYGON,
    roifile.ROI_TYPE.RECT,
    roifile.ROI_TYPE.OVAL,
    roifile.ROI_TYPE.FREEHAND,
    roifile.ROI_TYPE.TRACED,
}
Points = NDArray[np.float64]


@dataclass(frozen=True)
class DrawnRois:
    """Labels uint32 (H, W); types by label, where the ROIs' names give them."""

    labels: NDArray[Any]
    types: dict[int, str]


def read_rois(content: bytes, name: str, shape: tuple[int, int]) -> DrawnRois:
    """Draw the area ROIs of a zip into a label image of ``shape`` (H, W).

    A ROI called ``12 HEK`` becomes label 12 of type HEK when all are named so with different
    numbers; otherwise labels count from 1 in the order of the file. Where ROIs overlap, the
    later one wins. A pixel belongs to a ROI when its centre lies inside.

    Raises:
        UnreadableImage: no ROI zip, or damaged.
        UnusableLabels: no area in it, or a ROI outside the image.
    """
    try:
        rois = _rois_of(content, name)
        names = _named(rois)
        labels = np.zeros(shape, np.uint32)
        types = {}
        left = OVERLAP * labels.size + 2**26  # pixels to look at; a few bytes can ask for all
        for number, roi in enumerate(rois, start=1):
            label, kind = names[number - 1] if names else (number, "")
            drawn, cost = _draw(labels, roi, label)
            left -= cost
            if left < 0:
                raise UnusableLabels(f"{name}: the ROIs cover the image many times over.")
            if not drawn:
                raise UnusableLabels(
                    f"{name}: the ROI {roi.name or number} has no pixel inside the image of "
                    f"{shape[1]}×{shape[0]} px; was it drawn on another image?"
                )
            if kind:
                types[label] = kind
    except CytoloopError:
        raise
    except Exception as error:  # zip and ROI decoders raise anything on damaged input
        raise UnreadableImage(f"{name} is damaged or no zip of ImageJ ROIs.") from error
    if not rois:
        raise UnusableLabels(f"{name} holds no area ROI (polygon, freehand, oval, rectangle).")
    return DrawnRois(labels, types)


def _rois_of(content: bytes, name: str) -> list[roifile.ImagejRoi]:
    rois = []
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [each for each in archive.infolist() if each.filename.lower().endswith(".roi")]
        if len(members) > MOST_ROIS:
            raise UnusableLabels(f"{name} holds more than {MOST_ROIS} ROIs.")
        if sum(member.file_size for member in members) > LARGEST_SET:
            raise UnusableLabels(f"{name} unpacks to more than {LARGEST_SET // 2**20} MB.")
        for member in members:
            if member.file_size > LARGEST_ROI:
                raise UnusableLabels(f"{name}: {member.filename} is larger than any outline.")
            roi = roifile.ImagejRoi.frombytes(archive.read(member))
            if roi.roitype in AREAS or roi.composite:
                roi.name = roi.name or PurePosixPath(member.filename).stem
                rois.append(roi)
    return rois


def _named(rois: list[roifile.ImagejRoi]) -> list[tuple[int, str]]:
    """(label, type) of every ROI, or nothing unless all names are numbers, each once."""
    found = [re.fullmatch(r"0*([1-9]\d{0,8})(?: (.+))?", roi.name.strip()) for roi in rois]
    pairs = [(int(match[1]), match[2] or "") for match in found if match]
    distinct = len({label for label, _ in pairs}) == len(rois)
    return pairs if len(pairs) == len(rois) and distinct else []


def _draw(labels: NDArray[Any], roi: roifile.ImagejRoi, label: int) -> tuple[bool, int]:
    """Write ``label`` inside ``roi``: whether any pixel lies there, and how many were looked at."""
    height, width = labels.shape
    subpixel = roi.subpixel_coordinates is not None
    if roi.roitype == roifile.ROI_TYPE.OVAL and not subpixel:
        loops = [_ellipse(roi.left, roi.top, roi.right, roi.bottom)]
    else:
        loops = [np.asarray(loop, np.float64) for loop in roi.coordinates(multi=True)]
    points = np.concatenate(loops)
    if not np.isfinite(points).all() or not len(points):
        raise ValueError("an outline without numbers")
    x0, y0 = np.clip(np.floor(points.min(axis=0)), 0, (width, height)).astype(int)
    x1, y1 = np.clip(np.ceil(points.max(axis=0)), 0, (width, height)).astype(int)
    if x1 <= x0 or y1 <= y0:
        return False, 0
    inside = inside_even_odd([loop - (x0, y0) for loop in loops], (y1 - y0, x1 - x0))
    labels[y0:y1, x0:x1][inside] = label
    return bool(inside.any()), inside.size


def _ellipse(left: float, top: float, right: float, bottom: float) -> Points:
    """An oval's outline, fine enough that no pixel's centre falls between chord and curve."""
    count = max(32, int(8 * max(right - left, bottom - top)))
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    x = (left + right) / 2 + (right - left) / 2 * np.cos(angle)
    y = (top + bottom) / 2 + (bottom - top) / 2 * np.sin(angle)
    return np.stack([x, y], axis=1)


def inside_even_odd(loops: list[Points], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels of (H, W) whose centres lie inside an odd number of closed ``loops`` ((n, 2) x, y).

    Every edge flips, on each row whose centre it crosses, all pixels to its right.
    """
    height, width = shape
    flips = np.zeros((height, width + 1), np.int32)
    for loop in loops:
        start, end = loop, np.roll(loop, -1, axis=0)
        low, high = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
        first = np.clip(np.ceil(low - 0.5), 0, height).astype(int)  # rows with low <= y + .5 < high
        count = np.maximum(np.clip(np.ceil(high - 0.5), 0, height).astype(int) - first, 0)
        if int(count.sum()) > MOST_CROSSINGS:
            raise UnusableLabels("A ROI's outline is more tangled than any cell's.")
        edge = np.repeat(np.arange(len(loop)), count)
        within = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
        row = first[edge] + within
        along = (row + 0.5 - start[edge, 1]) / (end[edge, 1] - start[edge, 1])
        x = start[edge, 0] + along * (end[edge, 0] - start[edge, 0])
        column = np.clip(np.ceil(x - 0.5), 0, width).astype(int)
        np.add.at(flips, (row, column), 1)
    return (np.cumsum(flips, axis=1)[:, :width] % 2).astype(np.bool_)
