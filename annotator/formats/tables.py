"""CSV tables: one row per cell with its measurements, and one row per image with its counts.

Intensities are those of the original file, never normalised ones.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.formats.labelled import LabelledCell, LabelledImage
from inference.labels import cell_geometry

FACTS = ("split", "culture", "batch", "well", "field", "source", "complete")


@dataclass(frozen=True)
class Measured:
    """Per cell, in the order of ``labels``: shape in px and intensities per channel."""

    labels: NDArray[np.int64]
    areas: NDArray[np.int64]  # px²
    boxes: NDArray[np.int32]  # x0, y0, x1, y1, half-open
    centroids: NDArray[np.float64]  # x, y
    eccentricity: NDArray[np.float64]  # 0 = round … 1 = line
    sums: NDArray[np.float64]  # (n, C) integrated intensity


def write_tables(images: Iterable[LabelledImage], types: Sequence[str], out: Path) -> None:
    """Write cells.csv and images.csv into the folder ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    with (
        (out / "cells.csv").open("w", newline="", encoding="utf-8") as cells_file,
        (out / "images.csv").open("w", newline="", encoding="utf-8") as images_file,
    ):
        cells: csv.DictWriter[str] | None = None
        overview: csv.DictWriter[str] | None = None
        for image in images:
            measured = measure(image.labels, image.pixels())
            rows = list(_cell_rows(image, types, measured))
            if cells is None or overview is None:
                cells = _table(cells_file, _cell_columns(image.channels, types))
                overview = _table(images_file, _image_columns(types))
            cells.writerows(rows)
            overview.writerow(_image_row(image, types, measured))


def _table(file: Any, columns: list[str]) -> csv.DictWriter[str]:
    table = csv.DictWriter(file, columns, restval="")
    table.writeheader()
    return table


def measure(labels: NDArray[Any], pixels: NDArray[Any]) -> Measured:
    """Measure every cell of ``labels`` (H, W) on ``pixels`` (C, H, W)."""
    geometry = cell_geometry(labels)
    count = len(geometry.labels)
    ys, xs = np.nonzero(labels)
    index = np.searchsorted(geometry.labels, labels[ys, xs])
    intensities = pixels[:, ys, xs].astype(np.float64)
    sums = np.zeros((count, len(pixels)))
    for channel, values in enumerate(intensities):
        sums[:, channel] = np.bincount(index, values, count)
    return Measured(
        labels=geometry.labels,
        areas=geometry.areas,
        boxes=geometry.boxes,
        centroids=geometry.centroids,
        eccentricity=_eccentricity(geometry.centroids, (xs, ys, index)),
        sums=sums,
    )


def _eccentricity(
    centroids: NDArray[np.float64], points: tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
) -> NDArray[np.float64]:
    """Of the ellipse with each cell's second moments: √(1 − λ₂ / λ₁) of the covariance."""
    xs, ys, index = points
    count = len(centroids)
    if not count:
        return np.zeros(0)
    # About the cells' own middles: coordinates of a large image would cancel.
    sizes = np.bincount(index, minlength=count)
    middle_x = np.bincount(index, xs, count) / sizes
    middle_y = np.bincount(index, ys, count) / sizes
    dx, dy = xs - middle_x[index], ys - middle_y[index]
    # 1/12: a pixel is a square, not a point.
    xx = np.bincount(index, dx * dx, count) / sizes + 1 / 12
    yy = np.bincount(index, dy * dy, count) / sizes + 1 / 12
    xy = np.bincount(index, dx * dy, count) / sizes
    spread = np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    large, small = (xx + yy) / 2 + spread, (xx + yy) / 2 - spread
    return np.sqrt(np.clip(1 - small / large, 0, 1))


def _cell_columns(channels: Sequence[str], types: Sequence[str]) -> list[str]:
    return [
        "image",
        *FACTS,
        "label",
        "type",
        "type_source",
        "score",
        "uncertainty",
        *(f"probability_{name}" for name in types),
        "area_px",
        "area_um2",
        "centroid_x",
        "centroid_y",
        "bbox_x0",
        "bbox_y0",
        "bbox_x1",
        "bbox_y1",
        "eccentricity",
        *(f"{figure}_{channel}" for channel in channels for figure in ("mean", "integrated")),
    ]


def _cell_rows(
    image: LabelledImage, types: Sequence[str], measured: Measured
) -> Iterable[dict[str, Any]]:
    row_of = {label: row for row, label in enumerate(measured.labels.tolist())}
    for cell in image.cells:
        yield (
            {"image": image.name, **image.facts}
            | _cell_words(cell, types)
            | _cell_figures(image, measured, row_of[cell.label])
        )


def _cell_words(cell: LabelledCell, types: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "label": cell.label,
        "type": cell.type,
        "type_source": cell.type_source,
    }
    if cell.score is not None:
        row |= {"score": round(cell.score, 4), "uncertainty": round(cell.uncertainty or 0.0, 4)}
    for name in types:
        if name in cell.probabilities:
            row[f"probability_{name}"] = round(cell.probabilities[name], 4)
    return row


def _cell_figures(image: LabelledImage, measured: Measured, row: int) -> dict[str, Any]:
    area = int(measured.areas[row])
    found: dict[str, Any] = {"area_px": area}
    if image.pixel_size_um:
        found["area_um2"] = round(area * image.pixel_size_um**2, 4)
    found["centroid_x"], found["centroid_y"] = np.round(measured.centroids[row], 2).tolist()
    for edge, value in zip(("x0", "y0", "x1", "y1"), measured.boxes[row].tolist(), strict=True):
        found[f"bbox_{edge}"] = value
    found["eccentricity"] = round(float(measured.eccentricity[row]), 4)
    for channel, total in zip(image.channels, measured.sums[row].tolist(), strict=True):
        found[f"mean_{channel}"] = round(total / area, 4)
        found[f"integrated_{channel}"] = total
    return found


def _image_columns(types: Sequence[str]) -> list[str]:
    return [
        "image",
        *FACTS,
        "width",
        "height",
        "pixel_size_um",
        "cells",
        "untyped",
        *(f"{figure}_{name}" for name in types for figure in ("cells", "share")),
        "mean_area_px",
    ]


def _image_row(image: LabelledImage, types: Sequence[str], measured: Measured) -> dict[str, Any]:
    """Shares are of the typed cells and left empty when there is none."""
    counts = Counter(cell.type for cell in image.cells)
    typed = sum(counts[name] for name in types)
    height, width = image.labels.shape
    row: dict[str, Any] = {
        "image": image.name,
        **image.facts,
        "width": width,
        "height": height,
        "pixel_size_um": image.pixel_size_um or "",
        "cells": len(image.cells),
        "untyped": len(image.cells) - typed,
    }
    for name in types:
        row[f"cells_{name}"] = counts[name]
        row[f"share_{name}"] = round(counts[name] / typed, 4) if typed else ""
    if len(measured.areas):
        row["mean_area_px"] = round(float(measured.areas.mean()), 2)
    return row
