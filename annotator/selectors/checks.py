"""Reads over what measured annotators."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import mean
from typing import Any

from django.db.models import QuerySet

from annotator.models import Check, Dataset, Image, Kind

_MEANS = ("ap50", "pq", "type_agreement", "count_error")

Figures = dict[str, Any]


def gold_images(dataset: Dataset) -> QuerySet[Image]:
    """Those whose head revision is the truth, by name."""
    return Image.objects.filter(dataset=dataset, gold=True).order_by("name")


def agreement_of(dataset: Dataset) -> list[dict[str, Any]]:
    """[{"annotator", "gold": figures, "repeat": figures}] of all who were measured, by name."""
    rows: dict[str, dict[str, list[Figures]]] = defaultdict(lambda: defaultdict(list))
    checks = Check.objects.filter(item__image__dataset=dataset).order_by("annotator__username")
    for name, kind, figures in checks.values_list("annotator__username", "item__kind", "figures"):
        rows[name][kind].append(figures)
    return [
        {
            "annotator": name,
            "gold": _means(kinds.get(Kind.GOLD, ())),
            "repeat": _means(kinds.get(Kind.REPEAT, ())),
        }
        for name, kinds in rows.items()
    ]


def _means(figures: Sequence[Figures]) -> Figures:
    found: Figures = {"images": len(figures), "cells": sum(each["cells"] for each in figures)}
    for key in _MEANS:
        known = [each[key] for each in figures if each.get(key) is not None]
        found[key] = mean(known) if known else None
    return found
