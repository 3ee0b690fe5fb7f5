"""What is worth asking about, and how long it should take: scores, reasons and regions of items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from django.db.models import TextField
from django.db.models.functions import Cast

from annotator.models import (
    GALLERY,
    Asking,
    Dataset,
    Image,
    PredictedCell,
    Prediction,
    Revision,
    Split,
)
from annotator.selectors.asking import complete_regions, drawn_in, effort_of
from annotator.selectors.runs import telling_revisions
from inference import acquisition, embeddings
from inference.acquisition import Candidate
from inference.effort import Effort
from inference.regions import Doubts, Region, Window, best_region, region_of
from inference.strategies_novelty import EVERY, MOST_KNOWN, NOVELTY

MEASURING = {
    "code": "measuring",
    "text": "chosen at random to measure the models",
    "value": None,
}
# Said first, by strategy: why this one and not a more uncertain one.
_WHY = {
    "random": "chosen at random",
    "value": "many cells to put right per minute of work",
    "committee": "the two models disagree on it",
    "bald": "views of the same cells disagree on their types",
    "diverse": "looks unlike those that come before it",
    "uncertain-diverse": "uncertain, and unlike those that come before it",
    "balanced": "rare types, or the turn of its batch",
    "mixed-quota": "mixed and single-type cultures take turns",
    "novel": "looks unlike all that was annotated",
    "uncertain-novel": "uncertain, and unlike what was annotated",
    "value-novel": "many cells to put right per minute, unlike what was annotated",
    "representative": "stands for many others unlike what was annotated",
    "uncertain-representative": "stands for many uncertain others unlike what was annotated",
}
_REGION_REASON = "a window of about {time}, with {wrong} of {cells} cells likely wrong"
_AT_ONCE = 200  # predictions whose cells are in memory

Reason = dict[str, Any]
Boxes = Sequence[Sequence[int]]  # x0, y0, x1, y1 px


@dataclass(frozen=True)
class Ask:
    """An item to be, or to be changed: ``None`` region is the whole image."""

    prediction: Prediction
    score: float
    reasons: list[Reason]
    region: list[int] | None
    minutes: float

    def columns(self) -> dict[str, Any]:
        """As a ``QueueItem`` keeps them."""
        return {
            "prediction": self.prediction,
            "score": self.score,
            "reasons": self.reasons,
            "region": self.region,
            "minutes": self.minutes,
        }


@dataclass(frozen=True)
class Prospect:
    """What could be asked of an image: its prediction, and the part that is worth most."""

    prediction: Prediction
    region: Region


def asks(*, dataset: Dataset, predictions: Sequence[Prediction]) -> list[Ask]:
    """What to ask of the images of ``predictions``, each compared with all of them.

    Images in which nothing is left to ask are left out. Validation and test images are asked by
    lot and as a whole, lest they be only the hard ones.
    """
    effort = effort_of(dataset)
    measuring = [each for each in predictions if each.image.split != Split.TRAIN]
    teaching = [each for each in predictions if each.image.split == Split.TRAIN]
    asks_regions = dataset.asking == Asking.REGION
    done = complete_regions(each.image_id for each in teaching) if asks_regions else {}
    prospects = _prospects(dataset, teaching, effort, done)
    scores = _scores(dataset, prospects)
    found = [_measuring(prediction, effort) for prediction in measuring]
    return found + [
        _ask(dataset, prospect, score) for prospect, score in zip(prospects, scores, strict=True)
    ]


def _ask(dataset: Dataset, prospect: Prospect, score: float) -> Ask:
    return Ask(
        prospect.prediction,
        score,
        _reasons(dataset, prospect),
        list(prospect.region.box) if prospect.region.box else None,
        prospect.region.minutes,
    )


def ask_again(
    *, dataset: Dataset, prediction: Prediction, region: Sequence[int] | None = None
) -> Ask:
    """What a person would be asked of the image of ``prediction`` had nobody annotated it.

    With ``region`` that window of it. The score is the image's own, compared with no other.
    """
    effort = effort_of(dataset)
    if prediction.image.split != Split.TRAIN:
        return _measuring(prediction, effort)
    (prospect,) = _prospects(dataset, [prediction], effort, {})
    if region is not None:
        x0, y0, x1, y1 = region
        window = region_of((x0, y0, x1, y1), _doubts([prediction])[prediction.pk], effort)
        prospect = Prospect(prediction, window)
    return _ask(dataset, prospect, prediction.uncertainty)


def draw(image: Image) -> float:
    """A lot in [0, 1) that stays with the image, so that refreshing does not reshuffle."""
    return int(image.sha256[:12], 16) / 16**12


def _measuring(prediction: Prediction, effort: Effort) -> Ask:
    wrong = prediction.uncertainty * (prediction.cell_count + prediction.missed)
    minutes = effort.minutes(prediction.cell_count, wrong)
    return Ask(prediction, draw(prediction.image), [MEASURING], None, minutes)


def _scores(dataset: Dataset, prospects: Sequence[Prospect]) -> list[float]:
    """By the data set's strategy, near-duplicates of a better one after all others."""
    if not prospects:
        return []
    if dataset.strategy == "random":  # a lot that stays with the image
        return [draw(each.prediction.image) for each in prospects]
    candidates = _candidates(prospects)
    if dataset.strategy in NOVELTY:
        order_of_turns = NOVELTY[dataset.strategy](candidates, _answered(dataset, prospects))
        scores = acquisition.by_turn(order_of_turns)
    else:
        name = dataset.strategy if dataset.strategy in EVERY else "uncertainty"
        scores = acquisition.score(name, candidates)
    order = np.argsort(-scores, kind="stable")
    waiting = acquisition.near_duplicates([candidates[row] for row in order])
    scores[order[waiting]] -= 1.0
    return [float(score) for score in scores]


def _answered(dataset: Dataset, prospects: Sequence[Prospect]) -> list[Candidate]:
    """Training images that were corrected, as a whole or a region, the newest last, as the same
    model sees them: styles of different ones cannot be compared. A cell or two answered for in the
    gallery do not tell what an image looks like.
    """
    segmenter = prospects[0].prediction.segmenter_id
    told = telling_revisions(dataset, Split.TRAIN).order_by().values("image")
    edited = Revision.objects.filter(image__dataset=dataset).exclude(source=GALLERY)
    seen = Prediction.objects.filter(
        segmenter=segmenter, image__in=told, style__isnull=False
    ).filter(image__in=edited.values("image"))
    rows = seen.order_by("-image").values_list("pk", "style")[:MOST_KNOWN]
    return [
        Candidate(pk, features=embeddings.unpacked(style)) for pk, style in reversed(list(rows))
    ]


def _candidates(prospects: Sequence[Prospect]) -> list[Candidate]:
    found = []
    for prospect in prospects:
        prediction, region = prospect.prediction, prospect.region
        summary = prediction.summary
        whole = region.box is None
        found.append(
            Candidate(
                id=prediction.pk,
                uncertainty=prediction.uncertainty if whole else region.share,
                cells=region.cells,
                wrong=region.wrong,
                minutes=region.minutes,
                committee=summary.get("committee", 0.0),
                views=summary.get("views", 0.0),
                features=embeddings.unpacked(prediction.style),
                types=summary.get("types", {}),
                batch=prediction.image.batch,
                mixed=prediction.image.culture_type_id is None,
            )
        )
    return found


def _reasons(dataset: Dataset, prospect: Prospect) -> list[Reason]:
    prediction, region = prospect.prediction, prospect.region
    found: list[Reason] = []
    if region.box is not None:
        text = _REGION_REASON.format(
            time=_time(region.minutes), wrong=round(region.wrong), cells=region.cells
        )
        found.append({"code": "region", "text": text, "value": round(region.wrong)})
    if dataset.strategy in _WHY:
        found.append({"code": dataset.strategy, "text": _WHY[dataset.strategy], "value": None})
    return found + (prediction.reasons or [_little_doubt(prediction)])


def _time(minutes: float) -> str:
    return f"{round(minutes)} min" if minutes >= 1 else f"{max(10, round(6 * minutes) * 10)} s"


def _little_doubt(prediction: Prediction) -> Reason:
    return {
        "code": "uncertainty",
        "text": "no doubt stands out: the next by overall uncertainty",
        "value": prediction.uncertainty,
    }


def _prospects(
    dataset: Dataset, predictions: Sequence[Prediction], effort: Effort, done: Mapping[int, Boxes]
) -> list[Prospect]:
    """``done``: what is complete already, by image."""
    if dataset.asking != Asking.REGION:
        return [Prospect(each, _whole(each, effort)) for each in predictions]
    found = []
    for start in range(0, len(predictions), _AT_ONCE):
        some = predictions[start : start + _AT_ONCE]
        doubts, opened = _doubts(some), drawn_in(set(done) & {each.image_id for each in some})
        for each in some:
            lot = draw(each.image) if dataset.strategy == "random" else None
            window = Window(dataset.region_minutes, each.diameter, lot)
            shape, complete = (each.image.height, each.image.width), done.get(each.image_id, ())
            region = best_region(shape, doubts[each.pk], effort, window, complete)
            if region is None and each.image_id not in opened:
                # A few answers in the gallery leave no less than in others without doubt.
                region = best_region(shape, doubts[each.pk], effort, window)
            if region is not None:
                found.append(Prospect(each, region))
    return found


def _whole(prediction: Prediction, effort: Effort) -> Region:
    cells = prediction.cell_count
    # Of predictions by older releases the share alone is known.
    wrong = prediction.summary.get("wrong", prediction.uncertainty * cells) + prediction.missed
    return Region(None, cells, wrong, effort.minutes(cells, wrong))


def _doubts(predictions: Iterable[Prediction]) -> dict[int, Doubts]:
    """Where each prediction's doubts lie, by its id.

    The centroids are read as text: decoding the JSON of each cell takes twenty times as long.
    """
    by_id = {prediction.pk: prediction for prediction in predictions}
    found = {pk: Doubts.of([], [], each.missed_at) for pk, each in by_id.items()}
    rows = (
        PredictedCell.objects.filter(prediction__in=by_id)
        .order_by("prediction_id")
        .values_list("prediction_id", Cast("centroid", TextField()), "uncertainty")
    )
    for pk, some in groupby(rows, key=itemgetter(0)):
        _, texts, wrong = zip(*some, strict=True)
        places = np.fromstring(",".join(text[1:-1] for text in texts), float, sep=",")
        found[pk] = Doubts.of(places, wrong, by_id[pk].missed_at)
    return found
