"""COCO instance annotations: compressed column-major RLE, ids from 1, boxes as x, y, w, h."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from annotator.formats.labelled import LabelledImage
from inference.labels import cell_geometry

UNTYPED = "cell"


def write_coco(images: Iterable[LabelledImage], types: Sequence[str], out: Path) -> None:
    """Write one JSON file that pycocotools loads: ``out`` itself, or annotations.json in it.

    Cells of unknown type get the category "cell", which is there only when it is needed.
    """
    file = out if out.suffix.lower() == ".json" else out / "annotations.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    category = {name: number for number, name in enumerate(types, start=1)}
    untyped = len(category) + 1
    document: dict[str, Any] = {
        "info": {"description": "Exported by Cytoloop", "version": "1"},
        "licenses": [],
        "images": [],
        "annotations": [],
        "categories": [],
    }
    for number, image in enumerate(images, start=1):
        document["images"].append(_image(number, image))
        for annotation in _annotations(image, category, untyped):
            annotation |= {"id": len(document["annotations"]) + 1, "image_id": number}
            document["annotations"].append(annotation)
    used = {annotation["category_id"] for annotation in document["annotations"]}
    if untyped in used or not category:
        category[UNTYPED] = untyped
    document["categories"] = [
        {"id": number, "name": name, "supercategory": "cell"} for name, number in category.items()
    ]
    file.write_text(json.dumps(document))


def _image(number: int, image: LabelledImage) -> dict[str, Any]:
    height, width = image.labels.shape
    suffix = Path(image.name).suffix
    return {
        "id": number,
        "file_name": f"{image.stem}{suffix}",
        "width": width,
        "height": height,
        **image.facts,
    }


def _annotations(
    image: LabelledImage, category: dict[str, int], untyped: int
) -> Iterable[dict[str, Any]]:
    geometry = cell_geometry(image.labels)
    boxes = dict(zip(geometry.labels.tolist(), geometry.boxes.tolist(), strict=True))
    areas = dict(zip(geometry.labels.tolist(), geometry.areas.tolist(), strict=True))
    for cell in image.cells:
        x0, y0, x1, y1 = boxes[cell.label]
        inside = image.labels[y0:y1, x0:x1] == cell.label
        found = {
            "category_id": category.get(cell.type, untyped),
            "segmentation": encode_rle(inside, (x0, y0), image.labels.shape),
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": areas[cell.label],
            "iscrowd": 0,
            "label": cell.label,
        }
        if cell.score is not None:
            found["score"] = cell.score
        yield found


def encode_rle(
    mask: NDArray[np.bool_], origin: tuple[int, int], shape: Sequence[int]
) -> dict[str, Any]:
    """COCO's compressed RLE of a mask lying at ``origin`` (x, y) in an image of ``shape`` (H, W).

    Only the mask's box is looked at, so the cost of an image does not grow with cells × pixels.
    """
    height, width = int(shape[0]), int(shape[1])
    columns = np.zeros((mask.shape[1], mask.shape[0] + 2), np.int8)
    columns[:, 1:-1] = mask.T
    edges = np.diff(columns, axis=1)
    starts = _positions(edges == 1, origin, height)
    ends = _positions(edges == -1, origin, height)
    # A run that reaches the bottom goes on at the top of the next column.
    joined = starts[1:] == ends[:-1]
    starts = starts[np.concatenate(([True], ~joined))]
    ends = ends[np.concatenate((~joined, [True]))]
    changes = np.stack([starts, ends], axis=1).ravel()
    counts = np.diff(changes, prepend=0, append=height * width).tolist()
    if not counts[-1]:
        counts.pop()
    rle = coco_mask.frPyObjects({"counts": counts, "size": [height, width]}, height, width)
    return {"size": [height, width], "counts": rle["counts"].decode("ascii")}


def _positions(where: NDArray[np.bool_], origin: tuple[int, int], height: int) -> NDArray[np.int64]:
    """Column-major pixel numbers of run edges in the whole image."""
    columns, rows = np.nonzero(where)
    return (columns + origin[0]).astype(np.int64) * height + rows + origin[1]
