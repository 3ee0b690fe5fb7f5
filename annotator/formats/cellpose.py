"""cellpose's label files: ``<image stem>_masks.tif``, uint16 or, past 65,535 labels, uint32.

cellpose knows no cell types, so they lie beside it as ``<image stem>_types.csv`` (label, type),
which ``images_import`` reads again. Nor does it know images that are annotated in parts: whoever
trains on their masks would teach that nothing is in the rest. They lie in a folder of their own.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tifffile

from annotator.formats.labelled import LabelledImage

FOLDER_IN_PARTS = "in_parts"


def write_cellpose(images: Iterable[LabelledImage], out: Path) -> None:
    """Write one label file per image into the folder ``out``, or its ``in_parts`` for one that is
    complete in parts; an empty image gets zeros.
    """
    out.mkdir(parents=True, exist_ok=True)
    for image in images:
        folder, other = out, out / FOLDER_IN_PARTS
        if image.in_parts:
            folder, other = other, folder
        folder.mkdir(exist_ok=True)
        for kind in ("masks.tif", "types.csv"):  # of an export before, when it was otherwise
            (other / f"{image.stem}_{kind}").unlink(missing_ok=True)
        large = int(image.labels.max(initial=0)) > np.iinfo(np.uint16).max
        labels = image.labels.astype(np.uint32 if large else np.uint16, copy=False)
        tifffile.imwrite(folder / f"{image.stem}_masks.tif", labels, compression="zlib")
        typed = [(cell.label, cell.type) for cell in image.cells if cell.type]
        if typed:
            with (folder / f"{image.stem}_types.csv").open(
                "w", newline="", encoding="utf-8"
            ) as file:
                csv.writer(file).writerows([("label", "type"), *typed])
