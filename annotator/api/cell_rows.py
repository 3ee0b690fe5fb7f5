"""A revision's cells as they are told, from its rows or from a label image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray
from rest_framework import serializers

from annotator.models import Image, TypeSource
from inference.labels import cell_geometry


# DRF has attributes called label, parent and source, which mypy takes these fields for.
class CellOutput(serializers.Serializer[Any]):
    label = serializers.IntegerField()  # type: ignore[assignment]
    type = serializers.CharField(allow_null=True)
    type_source = serializers.CharField(allow_blank=True)
    bbox = serializers.ListField(child=serializers.IntegerField())
    area = serializers.IntegerField()
    centroid = serializers.ListField(child=serializers.FloatField())


def told_cells(
    image: Image, labels: NDArray[Any], types: Mapping[int, str | None], sources: Mapping[int, str]
) -> list[dict[str, Any]]:
    """The cells of a label image (H, W) as those of its revision would be told."""
    culture = image.culture_type.name if image.culture_type else None
    geometry = cell_geometry(labels)
    return [
        {
            "label": label,
            **_told_type(types.get(label), sources.get(label), culture),
            "bbox": geometry.boxes[row].tolist(),
            "area": int(geometry.areas[row]),
            "centroid": geometry.centroids[row].round(2).tolist(),
        }
        for row, label in enumerate(geometry.labels.tolist())
    ]


def _told_type(name: str | None, source: str | None, culture: str | None) -> dict[str, Any]:
    if name is None and culture is not None:
        return {"type": culture, "type_source": TypeSource.FILE_NAME.value}
    return {"type": name, "type_source": (source or TypeSource.HUMAN.value) if name else ""}
