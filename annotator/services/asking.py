"""What is worth asking about, and how long it should take: scores, reasons and regions of items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from annotator.models import Asking, Dataset, Image, PredictedCell, Prediction, Split
from annotator.selectors.asking import complete_regions, effort_of
from inference import acquisition, embeddings
from inference.acquisition import Candidate
from inference.effort import Effort
from inference.regions import Doubts, Region, best_region

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
    "diverse": "looks unlike what was asked before",
    "uncertain-diverse": "uncertain, and unlike what was asked before",
    "balanced": "rare types, or a batch that was asked little",
    "mixed-quota": "mixed and single-type cultures take turns",
}
_REGION_REASON = "a window of about {minutes} min, with {wrong} of {cells} cells likely wrong"

Reason = dict[str, Any]


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
    prospects = _prospects(dataset, teaching, effort)
    scores = _scores(dataset, prospects)
    found = [_measuring(prediction, effort) for prediction in measuring]
    return found + [
        Ask(
            prospect.prediction,
            score,
            _reasons(dataset, prospect),
            list(prospect.region.box) if prospect.region.box else None,
            prospect.region.minutes,
        )
        for prospect, score in zip(prospects, scores, strict=True)
    ]


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
    name = dataset.strategy if dataset.strategy in acquisition.STRATEGIES else "uncertainty"
    scores = acquisition.score(name, candidates)
    order = np.argsort(-scores, kind="stable")
    waiting = acquisition.near_duplicates([candidates[row] for row in order])
    scores[order[waiting]] -= 1.0
    return [float(score) for score in scores]


def _candidates(prospects: Sequence[Prospect]) -> list[Candidate]:
    found = []
    for prospect in prospects:
        prediction, region = prospect.prediction, prospect.region
        summary = prediction.summary
        whole = region.box is None
        share = region.wrong / max(1.0, region.cells + prediction.missed)
        found.append(
            Candidate(
                id=prediction.pk,
                uncertainty=prediction.uncertainty if whole else min(1.0, share),
                cells=region.cells,
                wrong=region.wrong,
                minutes=region.minutes,
                committee=summary.get("committee", 0.0),
                views=summary.get("views", 0.0),
                features=embeddings.unpack(prediction.style) if prediction.style else None,
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
            minutes=max(1, round(region.minutes)), wrong=round(region.wrong), cells=region.cells
        )
        found.append({"code": "region", "text": text, "value": round(region.wrong)})
    if dataset.strategy in _WHY:
        found.append({"code": dataset.strategy, "text": _WHY[dataset.strategy], "value": None})
    return found + (prediction.reasons or [_little_doubt(prediction)])


def _little_doubt(prediction: Prediction) -> Reason:
    return {
        "code": "uncertainty",
        "text": "no doubt stands out: the next by overall uncertainty",
        "value": prediction.uncertainty,
    }


def _prospects(
    dataset: Dataset, predictions: Sequence[Prediction], effort: Effort
) -> list[Prospect]:
    if dataset.asking != Asking.REGION:
        return [Prospect(each, _whole(each, effort)) for each in predictions]
    done = complete_regions(each.image_id for each in predictions)
    doubts = _doubts(predictions)
    found = []
    for prediction in predictions:
        region = best_region(
            (prediction.image.height, prediction.image.width),
            doubts[prediction.pk],
            effort,
            dataset.region_minutes,
            done.get(prediction.image_id, ()),
            prediction.diameter,
        )
        if region is not None:
            found.append(Prospect(prediction, region))
    return found


def _whole(prediction: Prediction, effort: Effort) -> Region:
    cells = prediction.cell_count
    # Of predictions by older releases the share alone is known.
    wrong = prediction.summary.get("wrong", prediction.uncertainty * cells) + prediction.missed
    return Region(None, cells, wrong, effort.minutes(cells, wrong))


def _doubts(predictions: Iterable[Prediction]) -> dict[int, Doubts]:
    """Where each prediction's doubts lie, by its id."""
    by_id = {prediction.pk: prediction for prediction in predictions}
    places: dict[int, list[Any]] = defaultdict(list)
    wrong: dict[int, list[float]] = defaultdict(list)
    cells = PredictedCell.objects.filter(prediction__in=by_id).order_by()
    for pk, centroid, chance in cells.values_list("prediction", "centroid", "uncertainty"):
        places[pk].append(centroid)
        wrong[pk].append(chance)
    return {
        pk: Doubts.of(places[pk], wrong[pk], prediction.missed_at)
        for pk, prediction in by_id.items()
    }
