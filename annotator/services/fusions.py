"""Keeping how a pair of models is fused."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError

from annotator.models import Fusion
from annotator.selectors.versions import Pair, fusion_of
from annotator.services.evaluations import without_nan


def fusion_store(
    *, pair: Pair, rule: dict[str, Any], images: int, split: str, figures: dict[str, Any]
) -> Fusion | None:
    """Keep what was fitted on ``images`` validation images, unless another worker was first.

    None when one of the models was deleted meanwhile.
    """
    try:
        fusion, _ = Fusion.objects.get_or_create(
            segmenter=pair.segmenter,
            detector=pair.detector,
            defaults={
                "rule": rule,
                "images": images,
                "split": split,
                "figures": without_nan(figures),
            },
        )
    except IntegrityError:
        return fusion_of(pair)
    return fusion
