"""Pictures of single cells: made when somebody looks at them, kept in object storage.

A sheet holds the pictures of some neighbouring labels, so that a list of cells from everywhere
reads little of each image, and an image is decoded once for many cells.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from annotator import storage
from annotator.exceptions import Unavailable
from annotator.models import Image, Prediction, Revision
from annotator.services.images import composite, contrast, crops_folder, image_array
from inference.grown import Grown
from inference.labels import CellGeometry, cell_geometry
from inference.outlines import outline

PICTURE_PX = 64  # side of a picture
SHEET = 32  # labels in a row whose pictures lie in one object
# What a picture shows, in sides of the image's median cell and of the cell itself.
_ROOM_USUAL = 1.6
_ROOM_OWN = 1.3
_ROOM_PLACE = 2.5  # of a place without a cell: whether it is one, its surroundings tell
_LEAST_SIDE = 24  # px of the image
_MOST_SIDE = 512  # px that are read for a side: of a larger window every second, every third, …
_QUALITY = 90  # of JPEG
_FORMAT = 1  # of the sheets: raised when they are made otherwise

Crop = dict[str, Any]  # {"picture": base64 of a JPEG, "outline": SVG path, "side": px}
Sheet = dict[str, Crop]  # by label


def crops_of(*, image: Image, labels_key: str, labels: Sequence[int]) -> dict[int, Crop]:
    """Pictures of the cells ``labels`` of the label image under ``labels_key``.

    Each is ``PICTURE_PX`` square around the cell's box, in the colours of the thumbnails, with the
    cell's outline in units of ``inference.outlines.SIDE`` and the px of the image that its side
    shows. Labels without pixels are left out. Raises Unavailable.
    """
    wanted = sorted({label // SHEET for label in labels})
    keys = {number: _sheet_key(image, labels_key, number) for number in wanted}
    sheets = {number: _stored(key) for number, key in keys.items()}
    absent = [number for number, sheet in sheets.items() if sheet is None]
    if absent:
        made = _made(image, labels_key, absent)
        for number in absent:
            storage.put(keys[number], json.dumps(made[number]).encode())
        sheets |= made
        _drop_outdated(image)
    found = {label: (sheets[label // SHEET] or {}).get(str(label)) for label in labels}
    return {label: crop for label, crop in found.items() if crop is not None}


def crop_at(
    shown: NDArray[Any],
    roles: list[str],
    limits: NDArray[np.float64],
    drawn: Grown,
    diameter: float,
) -> Crop:
    """A picture of ``shown`` (C, H, W) around ``drawn``, with its outline; nothing is kept.

    ``limits`` as ``contrast`` tells them, ``diameter`` px the usual one of the image's cells.
    """
    height, width = drawn.mask.shape
    side = int(np.ceil(max(_ROOM_OWN * max(height, width), _ROOM_PLACE * diameter, _LEAST_SIDE)))
    x0, y0 = drawn.x0 + (width - side) // 2, drawn.y0 + (height - side) // 2
    pixels = composite(_cut(shown, (x0, y0, side)), roles, limits)
    mask = _cut(drawn.mask, (x0 - drawn.x0, y0 - drawn.y0, side))
    return {"picture": _picture(pixels), "outline": outline(mask), "side": side}


def _sheet_key(image: Image, labels_key: str, number: int) -> str:
    return f"{crops_folder(image)}/{_state(image, labels_key)}-{number}.json"


def _state(image: Image, labels_key: str) -> str:
    """Names the colours and the label image that pictures were made with."""
    seen = f"{_FORMAT} {','.join(image.dataset.channels)} {labels_key}"
    return hashlib.sha256(seen.encode()).hexdigest()[:20]


def _stored(key: str) -> Sheet | None:
    """The sheet under ``key``; None when it was never made, or lost."""
    try:
        sheet: Sheet = json.loads(storage.get(key))
    except (Unavailable, ValueError):
        return None
    return sheet


def _drop_outdated(image: Image) -> None:
    """Remove sheets of label images that nobody is shown any more."""
    keys = {
        *Prediction.objects.filter(image=image).values_list("labels_key", flat=True),
        *Revision.objects.filter(image=image)
        .order_by("-number")
        .values_list("labels_key", flat=True)[:2],
    }
    kept = {_state(image, key) for key in keys}
    for key in storage.keys_under(crops_folder(image)):
        if key.rsplit("/", 1)[1].rsplit("-", 1)[0] not in kept:
            storage.delete(key)


def _made(image: Image, labels_key: str, numbers: Sequence[int]) -> dict[int, Sheet | None]:
    """The sheets with these ``numbers``, from the original and the label image."""
    shown = image_array(image)
    labels = storage.labels_get(labels_key)
    geometry = cell_geometry(labels)
    windows = _windows(geometry)
    limits = contrast(shown)
    sheets: dict[int, Sheet | None] = {number: {} for number in numbers}
    for label, window in zip(geometry.labels.tolist(), windows.tolist(), strict=True):
        sheet = sheets.get(label // SHEET)
        if sheet is None:
            continue
        pixels = composite(_cut(shown, window), image.dataset.channels, limits)
        sheet[str(label)] = {
            "picture": _picture(pixels),
            "outline": outline(_cut(labels, window) == label),
            "side": window[2],
        }
    return sheets


def _windows(geometry: CellGeometry) -> NDArray[np.int64]:
    """The square around each cell: x0, y0, side (n, 3), px; it may reach over the image's edges.

    Most have the same side, so that sizes can be compared.
    """
    boxes = geometry.boxes.astype(np.int64)
    own = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    usual = float(np.median(own)) if len(own) else 0.0
    sides = np.ceil(np.maximum(_ROOM_OWN * own, max(_ROOM_USUAL * usual, _LEAST_SIDE)))
    corners = np.round((boxes[:, :2] + boxes[:, 2:] - sides[:, None]) / 2)
    return np.concatenate([corners, sides[:, None]], axis=1).astype(np.int64)


def _cut(array: NDArray[Any], window: Sequence[int]) -> NDArray[Any]:
    """The window x0, y0, side of (…, H, W), thinned where it is large; 0 beyond the edges."""
    x0, y0, side = window
    rows, beyond_rows = _stretch(y0, side, array.shape[-2])
    columns, beyond_columns = _stretch(x0, side, array.shape[-1])
    around = [(0, 0)] * (array.ndim - 2)
    return np.pad(array[..., rows, columns], [*around, beyond_rows, beyond_columns])


def _stretch(start: int, side: int, length: int) -> tuple[slice, tuple[int, int]]:
    """Which of ``length`` lines a window shows, and how many of its lines lie before and after."""
    step = -(-side // _MOST_SIDE)
    wanted = range(start, start + side, step)
    before = max(0, -(start // step))
    there = range(start + before * step, min(start + side, length), step)
    return slice(there.start, there.stop, step), (before, len(wanted) - before - len(there))


def _picture(pixels: NDArray[np.uint8]) -> str:
    """A JPEG of ``PICTURE_PX`` in base64, its colours as sharp as its lights."""
    small = Pillow.fromarray(pixels).resize((PICTURE_PX, PICTURE_PX), Pillow.Resampling.BICUBIC)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return base64.b64encode(buffer.getvalue()).decode()
