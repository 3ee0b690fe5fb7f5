"""cellpose's label files: ``<image stem>_masks.tif``, uint16 or, past 65,535 labels, uint32."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tifffile

from annotator.formats.labelled import LabelledImage


def write_cellpose(images: Iterable[LabelledImage], out: Path) -> Path:
    """Write one label file per image into the folder ``out``; an empty image gets zeros."""
    out.mkdir(parents=True, exist_ok=True)
    for image in images:
        large = int(image.labels.max(initial=0)) > np.iinfo(np.uint16).max
        labels = image.labels.astype(np.uint32 if large else np.uint16, copy=False)
        tifffile.imwrite(out / f"{image.stem}_masks.tif", labels, compression="zlib")
    return out
