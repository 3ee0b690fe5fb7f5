"""Storing what a pair of models says about an image, and what went wrong when it could not."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from annotator import storage
from annotator.exceptions import NotHere
from annotator.models import (
    CellQuestion,
    CellType,
    Draft,
    Image,
    ModelVersion,
    PlaceQuestion,
    PredictedCell,
    Prediction,
    PredictionAttempt,
    QueueItem,
    Revision,
)
from annotator.selectors.predictions import of_pair
from annotator.selectors.versions import Pair

if TYPE_CHECKING:  # the class is plain, but its module loads torch, which the web must not
    from inference.predictor import ImagePrediction

# How long one image, or one window of a large one, may take. A worker that is told to stop ends it
# first and one that fails says so; only an image whose worker was killed waits this long.
CLAIM = timedelta(minutes=15)
_FIRST_RETRY = timedelta(minutes=1)
_LAST_RETRY = timedelta(days=1)


@dataclass(frozen=True)
class PredictionObjects:
    """Where a prediction's arrays lie in storage."""

    labels_key: str
    flows_key: str


def prediction_put(result: ImagePrediction) -> PredictionObjects:
    """Put the arrays of ``result`` in storage: slow, without the database, and harmless when
    nothing refers to them in the end. Raises ``Unavailable``.
    """
    return PredictionObjects(storage.labels_put(result.labels), _flows_put(result.flows))


def prediction_store(
    *,
    image: Image,
    segmenter: ModelVersion,
    detector: ModelVersion | None,
    result: ImagePrediction,
    objects: PredictionObjects | None = None,
) -> Prediction:
    """Keep ``result`` as the prediction of ``image`` by this pair of models.

    ``objects`` is what ``prediction_put`` gave for it, if that was asked before.

    When another worker was first, its prediction stays and is returned. Older predictions that
    nobody refers to are dropped. Raises ``NotHere`` when the image was deleted meanwhile.
    """
    objects = objects or prediction_put(result)
    try:
        with transaction.atomic():
            # Held against a renaming of types until the cells are stored.
            current = detector and _locked(detector)
            prediction = Prediction.objects.create(
                image=image,
                segmenter=segmenter,
                detector=detector,
                labels_key=objects.labels_key,
                flows_key=objects.flows_key,
                cell_count=len(result.cells),
                summary=_summary(result),
                missed=result.missing,
                missed_at=[list(spot) for spot in result.missed],
                style=result.style or None,
                uncertainty=result.uncertainty,
                reasons=list(result.reasons),
                diameter=result.diameter,
                seconds=result.seconds,
            )
            _store_cells(prediction, result, _renamed_types(current, result))
            PredictionAttempt.objects.filter(image=image).delete()
    except IntegrityError:
        found = Prediction.objects.filter(
            image=image, segmenter=segmenter, detector=detector
        ).first()
        if found is None:
            raise NotHere(f"{image.name} or its models were deleted meanwhile.") from None
        PredictionAttempt.objects.filter(image=image).delete()
        return found
    except DatabaseError:
        with suppress(DatabaseError):  # else the image waits until the claim has run out
            prediction_failed(image=image, message="The database failed to keep its prediction.")
        raise
    predictions_prune(image=image)
    return prediction


def _summary(result: ImagePrediction) -> dict[str, Any]:
    """What choosing images needs of the cells, lest it read millions of them."""
    cells = result.cells
    types: dict[str, float] = {}
    for cell in cells:
        for name, p in cell.probabilities.items():
            types[name] = types.get(name, 0.0) + float(p)
    count = max(1, len(cells))
    apart = sum(max(c.terms.get("border", 0.0), c.terms.get("alone", 0.0)) for c in cells)
    return {
        "wrong": float(sum(c.uncertainty for c in cells)),
        "committee": float(apart / count),
        "views": float(sum(c.terms.get("views", 0.0) for c in cells) / count),
        "types": types,
    }


def _flows_put(raw: bytes) -> str:
    """Keep a segmenter's packed flows under their content; "" when there are none."""
    if not raw:
        return ""
    digest = storage.sha256_of(raw)
    return storage.put(f"flows/{digest[:2]}/{digest}", raw)


def _locked(version: ModelVersion) -> ModelVersion | None:
    return ModelVersion.objects.select_for_update(no_key=True).filter(pk=version.pk).first()


def _renamed_types(detector: ModelVersion | None, result: ImagePrediction) -> dict[str, str]:
    """{a type's name in the model's file: its name today}.

    Files never change. The version's row has today's names, in the order of the file's, which is
    the order of each cell's probabilities.
    """
    in_file = next((list(cell.probabilities) for cell in result.cells if cell.probabilities), [])
    today = detector.meta.get("types", []) if detector else []
    return dict(zip(in_file, today, strict=True)) if len(in_file) == len(today) else {}


def _store_cells(prediction: Prediction, result: ImagePrediction, renamed: dict[str, str]) -> None:
    types = {
        kind.name: kind for kind in CellType.objects.filter(dataset_id=prediction.image.dataset_id)
    }
    PredictedCell.objects.bulk_create(
        (
            PredictedCell(
                prediction=prediction,
                label=int(cell.label),
                type=types.get(renamed.get(cell.type or "", cell.type or "")),
                score=float(cell.score),
                probabilities={
                    renamed.get(name, name): float(p) for name, p in cell.probabilities.items()
                },
                uncertainty=float(cell.uncertainty),
                terms={name: float(value) for name, value in cell.terms.items()},
                embedding=cell.embedding or None,
                seen_by=cell.seen_by,
                bbox=[int(edge) for edge in cell.bbox],
                area=int(cell.area),
                centroid=[float(value) for value in cell.centroid],
                inner_x=cell.inner[0],
                inner_y=cell.inner[1],
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
        Draft.objects.filter(image=image, prediction__isnull=False).values_list(
            "prediction_id", flat=True
        )
    )
    kept |= set(
        QueueItem.objects.filter(
            image=image, closed_at__isnull=True, annotator__isnull=False, prediction__isnull=False
        ).values_list("prediction_id", flat=True)
    )
    kept |= set(
        CellQuestion.objects.filter(
            cell__prediction__image=image, answered_at=None, leased_until__gt=timezone.now()
        ).values_list("cell__prediction", flat=True)
    )
    kept |= set(
        PlaceQuestion.objects.filter(
            prediction__image=image, answered_at=None, leased_until__gt=timezone.now()
        ).values_list("prediction", flat=True)
    )
    dropped = Prediction.objects.filter(image=image).exclude(pk__in=kept)
    keys = set(dropped.exclude(flows_key="").values_list("flows_key", flat=True))
    deleted, _ = dropped.delete()
    for key in keys:
        # Flows are megabytes and follow from the image and the model: they go with the prediction.
        if not Prediction.objects.filter(flows_key=key).exists():
            storage.delete(key)
    return deleted


def prediction_begin(*, image: Image, pair: Pair, retry: bool = False) -> bool:
    """Take ``image`` to predict it, for a while; False when another has it or it must wait.

    ``retry`` does not wait, neither after a failure nor for a worker that may be dead.
    """
    now = timezone.now()
    attempt = PredictionAttempt.objects.filter(image=image).first()
    if attempt is None:
        fresh = PredictionAttempt(
            image=image,
            segmenter=pair.segmenter,
            detector=pair.detector,
            retry_after=now + CLAIM,
        )
        return _inserted(fresh) and not _done_meanwhile(image, pair)
    if (attempt.segmenter, attempt.detector) != (pair.segmenter, pair.detector):
        tries, message = 1, ""
    elif attempt.retry_after > now and not retry:
        return False
    else:
        tries = attempt.tries + 1
        message = attempt.message
        if attempt.retry_after <= now and not message:
            message = "A worker died while predicting it."
    unchanged = PredictionAttempt.objects.filter(
        pk=attempt.pk, retry_after=attempt.retry_after, segmenter=attempt.segmenter
    )
    taken = unchanged.update(
        segmenter=pair.segmenter,
        detector=pair.detector,
        retry_after=now + max(CLAIM, _wait(tries)),
        tries=tries,
        message=message,
    )
    return taken == 1 and not _done_meanwhile(image, pair)


def _done_meanwhile(image: Image, pair: Pair) -> bool:
    """Whether another worker has predicted the image since it was seen pending."""
    done = Prediction.objects.filter(of_pair(pair), image=image).exists()
    if done:
        PredictionAttempt.objects.filter(image=image).delete()
    return done


def _inserted(attempt: PredictionAttempt) -> bool:
    try:
        with transaction.atomic():
            attempt.save(force_insert=True)
    except IntegrityError:
        return False  # another worker took it, or the image is gone
    return True


def _wait(tries: int) -> timedelta:
    return min(_FIRST_RETRY * 4 ** min(tries - 1, 8), _LAST_RETRY)


def prediction_go_on(*, image: Image) -> None:
    """Keep ``image`` for another ``CLAIM``: its worker is alive, and it is large."""
    PredictionAttempt.objects.filter(image=image).update(retry_after=timezone.now() + CLAIM)


def prediction_failed(*, image: Image, message: str) -> None:
    """Keep why ``image`` could not be predicted; its page shows it and the queue says it.

    Others may try it again after a while that grows with each failure.
    """
    attempts = PredictionAttempt.objects.filter(image=image)
    tries = attempts.values_list("tries", flat=True).first()
    if tries is not None:
        attempts.update(message=message, retry_after=timezone.now() + _wait(tries))


def prediction_give_back(*, image: Image) -> None:
    """Let another worker predict ``image`` at once: this one was stopped, or storage is down."""
    attempt = PredictionAttempt.objects.filter(image=image)
    attempt.filter(message="").delete()
    attempt.update(retry_after=timezone.now())
