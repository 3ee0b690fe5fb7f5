"""cellpose's label files: ``<image stem>_masks.tif``, uint16 or, past 65,535 labels, uint32.

cellpose knows no cell types, so they lie beside it as ``<image stem>_types.csv`` (label, type),
which ``images_import`` reads again.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tifffile

from annotator.formats.labelled import LabelledImage


def write_cellpose(images: Iterable[LabelledImage], out: Path) -> None:
    """Write one label file per image into the folder ``out``; an empty image gets zeros."""
    out.mkdir(parents=True, exist_ok=True)
    for image in images:
        large = int(image.labels.max(initial=0)) > np.iinfo(np.uint16).max
        labels = image.labels.astype(np.uint32 if large else np.uint16, copy=False)
        tifffile.imwrite(out / f"{image.stem}_masks.tif", labels, compression="zlib")
        typed = [(cell.label, cell.type) for cell in image.cells if cell.type]
        if typed:
            with (out / f"{image.stem}_types.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([("label", "type"), *typed])
