"""Masks beside images: ``X_masks.tif|png``, ``X_cp_masks.*``, ``X_seg.npy``, ``X_rois.zip``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator import readers
from annotator.exceptions import UnusableLabels
from annotator.formats import imagej_rois, seg_npy
from inference.labels import cell_geometry, cell_ids, fragments

LOOKED_AT = 2048  # px, the middle of large masks; enough to tell a picture by
SPECK = 3  # px²; no cell is smaller
FEW = 20  # numbers; fewer may well lie in pieces


@dataclass(frozen=True)
class LabelFile:
    """A label image (H, W), and types by label where the format carries them (ImageJ ROIs)."""

    labels: NDArray[Any]
    types: dict[int, str] = field(default_factory=dict)


def read_label_file(content: bytes, name: str, shape: tuple[int, int]) -> LabelFile:
    """Read the masks in a file called ``name`` for an image of ``shape`` (H, W).

    Raises:
        UnreadableImage: damaged, RGB, floats.
        UnusableLabels: another size than the image, a binary mask, or a picture.
    """
    if name.lower().endswith(".zip"):
        drawn = imagej_rois.read_rois(content, name, shape)
        found = LabelFile(drawn.labels, drawn.types)
    elif name.lower().endswith(".npy"):
        found = LabelFile(seg_npy.read_masks(content, name))
    else:
        found = LabelFile(readers.read_labels(content, name, shape))
    if found.labels.shape != shape:
        raise UnusableLabels(
            f"{name} is {found.labels.shape[1]}×{found.labels.shape[0]} px but its image is "
            f"{shape[1]}×{shape[0]} px; masks must have the image's size."
        )
    _refuse_binary(found.labels, name)
    _refuse_picture(found.labels, name)
    return found


def _refuse_binary(labels: NDArray[Any], name: str) -> None:
    """One number for all cells is foreground, not cells; learning from it would be useless."""
    ids = cell_ids(labels)
    if len(ids) == 1 and len(fragments(np.asarray(labels))) == 1:
        raise UnusableLabels(
            f"{name} holds one number only ({ids[0]}) in separate places: it looks like a binary "
            "mask. Give every cell its own number."
        )


def _refuse_picture(labels: NDArray[Any], name: str) -> None:
    """A picture that is called masks has thousands of numbers, each in specks here and there."""
    y, x = (max(0, (length - LOOKED_AT) // 2) for length in labels.shape)
    middle = labels[y : y + LOOKED_AT, x : x + LOOKED_AT]
    geometry = cell_geometry(middle)
    specks = geometry.labels[geometry.areas < SPECK]
    scattered = len(np.union1d(specks, fragments(middle)))
    if len(geometry.labels) >= FEW and scattered > len(geometry.labels) / 2:
        raise UnusableLabels(
            f"{name} holds {len(geometry.labels)} numbers, most of them in specks: it looks like "
            "a picture, not like masks. Give every cell its own number and the background 0."
        )
