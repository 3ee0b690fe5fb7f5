"""The rule by which a pair's cells are fused, learnt from corrected validation images."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from django.db import DatabaseError

from annotator import storage
from annotator.models import Dataset, Family, Fusion, Image, Snapshot, Split
from annotator.selectors.runs import telling_revisions
from annotator.selectors.versions import Pair, fusion_of
from annotator.services.fusions import fusion_store
from annotator.services.snapshots import (
    MEASURED,
    snapshot_create,
    snapshot_folders_prune,
    snapshot_write,
)
from annotator.work.shutdown import leaving
from inference.fusion_rule import UNFITTED, FusionRule
from inference.predictor import Predictor
from inference.windows import LARGE
from training.dataset import SnapshotImage, open_snapshot
from training.errors import Cancelled
from training.fusion_fit import fit_rule, measure_rule

log = logging.getLogger(__name__)

MOST = 60  # images of each split: rules from 24 are good half as often
_PIXELS = 60 * 1024**2  # of all of them, some minutes' work, for predictions wait for the rule
_AGAIN = 600.0  # s after which a fit that went wrong is tried again

# When this process fitted no rule, by pair: not tried again for every few images.
_failed: dict[tuple[int, int], float] = {}


def pair_rule(pair: Pair, predictor: Predictor) -> FusionRule:
    """The pair's rule, fitted now if it has none yet.

    Without a detector or a corrected validation image nothing is fitted. Raises ``Cancelled``
    when the worker is told to leave and ``Unavailable`` when storage is down.
    """
    if pair.detector is None:
        return UNFITTED
    fusion = fusion_of(pair)
    key = pair.segmenter.pk, pair.detector.pk
    waits = time.monotonic() - _failed.get(key, -_AGAIN) < _AGAIN
    if fusion is None and not waits and _can_fit(pair.segmenter.dataset):
        try:
            fusion = _fitted(pair, predictor)
            if fusion is None:
                _failed[key] = time.monotonic()
        except (Cancelled, DatabaseError):
            raise
        except Exception as error:  # torch, OpenCV and numba raise anything
            storage.check()  # raises when storage is down, which is no fault of these images
            # It must not stop all predictions.
            log.warning(
                "%s: cells are fused by default; no rule was fitted: %s", pair, error, exc_info=True
            )
            _failed[key] = time.monotonic()
    return _read(fusion) if fusion is not None else UNFITTED


def _read(fusion: Fusion) -> FusionRule:
    """Its rule; the default where another hand or version wrote what cannot be read."""
    try:
        return FusionRule.from_dict(fusion.rule)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        log.warning(
            "fusion %d: cells are fused by default; its rule cannot be read (%s: %s). Delete its "
            "row (manage.py shell: Fusion.objects.filter(pk=…).delete()) to have it fitted anew.",
            fusion.pk,
            type(error).__name__,
            error,
        )
        return UNFITTED


def _can_fit(dataset: Dataset) -> bool:
    """Whether a corrected validation image is small enough; asked before a snapshot is taken, as
    each correction makes that another row.
    """
    revisions = telling_revisions(dataset, Split.VALIDATION)
    sizes = revisions.values_list("image__width", "image__height")
    return any(width * height <= LARGE for width, height in sizes)


def _fitted(pair: Pair, predictor: Predictor) -> Fusion | None:
    snapshot = snapshot_create(dataset=pair.segmenter.dataset, family=Family.DETECTOR)
    place = Path(settings.SNAPSHOTS_DIR) / MEASURED
    place.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place) as folder:
        known = _images(snapshot, Split.VALIDATION, Path(folder))
        if not known:
            return None
        rule = fit_rule(predictor, known, leaving)
        # Without a corrected test image the validation images must do, as for the models.
        tested = _images(snapshot, Split.TEST, Path(folder))
        split, judges = (Split.TEST, tested) if tested else (Split.VALIDATION, known)
        figures = measure_rule(predictor, rule, judges, leaving)
    snapshot_folders_prune()
    return fusion_store(
        pair=pair, rule=rule.to_dict(), images=len(known), split=split, figures=figures
    )


def _images(snapshot: Snapshot, split: str, folder: Path) -> tuple[SnapshotImage, ...]:
    """Some corrected images of the split, always the same; none that only windows could show."""
    corrected = [e for e in snapshot.entries if e["split"] == split and "revision" in e]
    sizes = Image.objects.in_bulk([entry["image"] for entry in corrected])
    chosen: set[int] = set()
    room = _PIXELS
    for entry in sorted(corrected, key=lambda entry: entry["sha256"]):
        image = sizes.get(entry["image"])
        if image is None or len(chosen) >= MOST or image.width * image.height > LARGE:
            continue
        pixels = image.width * image.height
        if not chosen or pixels <= room:
            chosen.add(image.pk)
            room -= pixels
    written = snapshot_write(snapshot=snapshot, folder=folder / split, only=chosen)
    return open_snapshot(written).split(split)
