"""Storing what a pair of models says about an image, and what went wrong when it could not."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.utils import timezone

from annotator import storage
from annotator.exceptions import NotHere
from annotator.models import (
    CellType,
    Image,
    ModelVersion,
    PredictedCell,
    Prediction,
    PredictionAttempt,
    QueueItem,
    Revision,
)
from annotator.selectors.versions import Pair

if TYPE_CHECKING:  # the class is plain, but its module loads torch, which the web must not
    from inference.predictor import ImagePrediction

_FIRST_RETRY = timedelta(minutes=1)
_LAST_RETRY = timedelta(days=1)


def prediction_store(
    *,
    image: Image,
    segmenter: ModelVersion,
    detector: ModelVersion | None,
    result: ImagePrediction,
) -> Prediction:
    """Keep ``result`` as the prediction of ``image`` by this pair of models.

    When another worker was first, its prediction stays and is returned. Older predictions that
    nobody refers to are dropped. Raises ``NotHere`` when the image was deleted meanwhile.
    """
    key = storage.labels_put(result.labels)  # slow, and harmless when the rest fails
    try:
        with transaction.atomic():
            prediction = Prediction.objects.create(
                image=image,
                segmenter=segmenter,
                detector=detector,
                labels_key=key,
                cell_count=len(result.cells),
                uncertainty=result.uncertainty,
                reasons=list(result.reasons),
                diameter=result.diameter,
                seconds=result.seconds,
            )
            _store_cells(prediction, result)
            PredictionAttempt.objects.filter(image=image).delete()
    except IntegrityError:
        found = Prediction.objects.filter(
            image=image, segmenter=segmenter, detector=detector
        ).first()
        if found is None:
            raise NotHere(f"{image.name} or its models were deleted meanwhile.") from None
        return found
    predictions_prune(image=image)
    return prediction


def _store_cells(prediction: Prediction, result: ImagePrediction) -> None:
    types = {
        kind.name: kind for kind in CellType.objects.filter(dataset_id=prediction.image.dataset_id)
    }
    PredictedCell.objects.bulk_create(
        (
            PredictedCell(
                prediction=prediction,
                label=int(cell.label),
                type=types.get(cell.type or ""),
                score=float(cell.score),
                probabilities={name: float(p) for name, p in cell.probabilities.items()},
                uncertainty=float(cell.uncertainty),
                terms={name: float(value) for name, value in cell.terms.items()},
                seen_by=cell.seen_by,
                bbox=[int(edge) for edge in cell.bbox],
                area=int(cell.area),
                centroid=[float(value) for value in cell.centroid],
            )
            for cell in result.cells
        ),
        batch_size=1000,
    )


def predictions_prune(*, image: Image) -> int:
    """Delete the image's predictions but the newest and those that work still refers to.

    Label images stay in storage: they are addressed by content, and snapshots write them again.
    """
    newest = Prediction.objects.filter(image=image).order_by("-id").values_list("id", flat=True)
    kept = set(newest[:1])
    kept |= set(
        Revision.objects.filter(image=image, prediction__isnull=False).values_list(
            "prediction_id", flat=True
        )
    )
    kept |= set(
        QueueItem.objects.filter(
            image=image, closed_at__isnull=True, annotator__isnull=False, prediction__isnull=False
        ).values_list("prediction_id", flat=True)
    )
    deleted, _ = Prediction.objects.filter(image=image).exclude(pk__in=kept).delete()
    return deleted


def prediction_begin(*, image: Image, pair: Pair, retry: bool = False) -> bool:
    """Take ``image`` to predict it; False when another worker has it or it must wait.

    ``retry`` does not wait after a failure.
    """
    now = timezone.now()
    attempt = PredictionAttempt.objects.filter(image=image).first()
    if attempt is None:
        fresh = PredictionAttempt(
            image=image,
            segmenter=pair.segmenter,
            detector=pair.detector,
            retry_after=now + _wait(1),
        )
        return _inserted(fresh)
    if (attempt.segmenter, attempt.detector) != (pair.segmenter, pair.detector):
        tries, message = 1, ""
    elif attempt.retry_after > now and not retry:
        return False
    else:
        tries = attempt.tries + 1
        message = attempt.message or "A worker died while predicting it."
    unchanged = PredictionAttempt.objects.filter(
        pk=attempt.pk, retry_after=attempt.retry_after, segmenter=attempt.segmenter
    )
    taken = unchanged.update(
        segmenter=pair.segmenter,
        detector=pair.detector,
        retry_after=now + _wait(tries),
        tries=tries,
        message=message,
    )
    return taken == 1


def _inserted(attempt: PredictionAttempt) -> bool:
    try:
        with transaction.atomic():
            attempt.save(force_insert=True)
    except IntegrityError:
        return False  # another worker took it, or the image is gone
    return True


def _wait(tries: int) -> timedelta:
    return min(_FIRST_RETRY * 4 ** min(tries - 1, 8), _LAST_RETRY)


def prediction_failed(*, image: Image, message: str) -> None:
    """Keep why ``image`` could not be predicted; its page shows it and the queue says it."""
    PredictionAttempt.objects.filter(image=image).update(message=message)
