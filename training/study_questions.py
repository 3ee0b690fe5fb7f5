"""What may be asked in a study: whole images, windows of them, or single cells, as candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inference import embeddings
from inference.acquisition import Candidate, rank
from inference.doubt import DoubtRule, Spot
from inference.effort import USUAL
from inference.likeness import REACH, TOGETHER, neighbours
from inference.strategies_novelty import EVERY, NOVELTY
from inference.uncertainty import image_uncertainty
from training.errors import TrainingError
from training.oracle import Rectangle
from training.study_images import Known, StudyImage, StudySet
from training.study_model import Look, Looks
from training.study_windows import lies_in, overlap, window_side, windows

ASKING = ("image", "region", "cell")
_KNOWN_SHARE = 0.25  # of a window that may be known already
_STYLE = 24  # numbers of an image's style in its features


@dataclass(frozen=True)
class Batch:
    """How many questions are asked together, and how many of them at most of one image."""

    size: int
    of_image: int


# As annotators get them: single cells by the batch (``annotator.services.questions``), and of an
# image that waits in the queue one window at a time.
_BATCHES = {"image": Batch(8, 1), "region": Batch(8, 1), "cell": Batch(24, 4)}


@dataclass(frozen=True)
class Question:
    """About an image of the pool: a region, a predicted cell, a point, or else all of it."""

    image: int
    candidate: Candidate
    region: Rectangle | None = None
    label: int = 0
    point: tuple[float, float] | None = None


@dataclass(frozen=True)
class Seen:
    """One image of the pool as strategies see it."""

    index: int
    image: StudyImage
    look: Look
    known: Known
    wrong: NDArray[np.float64]  # (n,) of each predicted cell, the chance that it is
    spots: tuple[Spot, ...]  # where cells seem to be that no mask shows
    vectors: NDArray[np.float32]  # (n + m, d), what cells and spots look like
    types: tuple[str, ...]
    area: NDArray[np.bool_]  # (h, w), where everything is complete

    @property
    def middles(self) -> NDArray[np.float64]:
        """x, y px of the cells, then of the spots (n + m, 2)."""
        spots = np.array([spot[:2] for spot in self.spots]).reshape(-1, 2)
        return np.concatenate([self.look.geometry.centroids.reshape(-1, 2), spots])

    @property
    def missed(self) -> NDArray[np.float64]:
        """(m,) cells at each of the spots."""
        return np.array([cells for _, _, cells in self.spots], np.float64)


@dataclass(frozen=True)
class View:
    """The pool in a round: what a model says of it, what is known, and how doubt is judged."""

    study: StudySet
    looks: Looks
    known: Sequence[Known]
    rule: DoubtRule
    diameter: float  # px of the cells

    def seen(self) -> list[Seen]:
        """All images; the model looks at those it has not looked at yet."""
        return [self._seen(index) for index in range(len(self.study.pool))]

    def _seen(self, index: int) -> Seen:
        image, look, state = self.study.pool[index], self.looks[index], self.known[index]
        spots, likely = self.rule.spots(look.missed, look.unseen)
        return Seen(
            index,
            image,
            look,
            state,
            np.array([self.rule.wrong(terms) for terms in look.terms]),
            tuple(spots),
            np.concatenate([look.embeddings, look.around[likely]]),
            self.study.types,
            state.area(image.shape),
        )


Asked = tuple[list[Question], list[Question]]  # open, answered


def image_questions(pool: Sequence[Seen], rng: np.random.Generator) -> Asked:
    """Every image that is not known as a whole."""
    every = [
        Question(each.index, replace(_candidate(each, None), features=_image_features(each)))
        for each in pool
    ]
    begun = [bool(each.known.whole or each.known.regions) for each in pool]
    whole = [each.known.whole for each in pool]
    return (
        [q for q, done in zip(every, whole, strict=True) if not done],
        [q for q, some in zip(every, begun, strict=True) if some],
    )


def region_questions(pool: Sequence[Seen], rng: np.random.Generator) -> Asked:
    """Windows of some cells a side, half of one apart, that are mostly unknown yet."""
    fresh: list[Question] = []
    answered: list[Question] = []
    for each in pool:
        boxes = _open_windows(each.image, each.area, window_side(each.look.diameter), rng)
        fresh += [_window_question(each, box) for box in boxes]
        answered += [_window_question(each, box) for box in each.known.windows]
    return fresh, answered


def cell_questions(pool: Sequence[Seen], rng: np.random.Generator) -> Asked:
    """Predicted cells and spots that look like missed ones, where nothing is known yet."""
    fresh: list[Question] = []
    answered: list[Question] = []
    for each in pool:
        style = _style(each)
        for row, (x, y) in enumerate(each.middles):
            features = np.concatenate([each.vectors[row], style])
            question = _cell_question(each, row, features)
            (answered if _is_known(each, x, y) else fresh).append(question)
    return fresh, answered


Questions = Callable[[Sequence[Seen], np.random.Generator], Asked]
QUESTIONS: dict[str, Questions] = {
    "image": image_questions,
    "region": region_questions,
    "cell": cell_questions,
}


def known_strategies() -> list[str]:
    """By name."""
    return sorted(EVERY)


def in_order(asking: str, strategy: str, view: View, seed: int) -> list[Question]:
    """What to ask, the most informative first; few questions of one image in a batch.

    Raises ``TrainingError`` when nobody knows the strategy.
    """
    if strategy not in known_strategies():
        raise TrainingError(
            f"There is no strategy {strategy}; use some of {', '.join(known_strategies())}."
        )
    rng = np.random.default_rng([seed, 5])
    if strategy == "random":
        # Of any image alike, however many windows or cells it has.
        fresh = _blindly(asking, view, rng)
        order = _one_by_one(fresh, rng)
    else:
        fresh, answered = QUESTIONS[asking](view.seen(), rng)
        candidates = [q.candidate for q in fresh]
        if strategy in NOVELTY:
            order = NOVELTY[strategy](candidates, [q.candidate for q in answered])
        else:
            numbered = [replace(each, id=row) for row, each in enumerate(candidates)]
            order = [row for row, _ in rank(strategy, numbered, seed)]
    asked = [fresh[row] for row in order]
    if asking == "cell":
        asked = _with_neighbours(asked, view)
    return list(_spread(asked, _BATCHES[asking]))


def _with_neighbours(questions: Sequence[Question], view: View) -> list[Question]:
    """Each followed by those about its nearest neighbours, as annotators get them; those have no
    two that look the same in a batch, and spots by themselves.
    """
    at = np.array([_place(each, view.looks) for each in questions]).reshape(-1, 2)
    rows: dict[int, list[int]] = {}
    for row, question in enumerate(questions):
        rows.setdefault(question.image, []).append(row)
    left = np.ones(len(questions), bool)
    found: list[Question] = []
    for row, question in enumerate(questions):
        if not left[row]:
            continue
        here = np.array([other for other in rows[question.image] if left[other]], np.intp)
        group = here[neighbours(at[here], at[row], REACH * view.diameter, TOGETHER)]
        left[group] = False
        found += [questions[other] for other in group.tolist()]
    return found


def _place(question: Question, looks: Looks) -> tuple[float, float]:
    """x, y px of what a question about a cell or a spot is about."""
    if question.point is not None:
        return question.point
    x, y = looks[question.image].geometry.centroids[question.label - 1].tolist()
    return x, y


def _blindly(asking: str, view: View, rng: np.random.Generator) -> list[Question]:
    """What may be asked, without a look at it where none is needed."""
    if asking == "cell":
        return cell_questions(view.seen(), rng)[0]
    found: list[Question] = []
    for index, (image, state) in enumerate(zip(view.study.pool, view.known, strict=True)):
        if asking == "image":
            found += [] if state.whole else [Question(index, Candidate(index))]
        else:
            boxes = _open_windows(image, state.area(image.shape), window_side(view.diameter), rng)
            found += [Question(index, Candidate(index), region=box) for box in boxes]
    return found


def _open_windows(
    image: StudyImage, area: NDArray[np.bool_], side: int, rng: np.random.Generator
) -> Iterator[Rectangle]:
    """Windows that are mostly not in ``area`` (h, w), what is known."""
    for box in windows(image.shape, side, rng.integers(0, side // 2, 2)):
        x0, y0, x1, y1 = box
        if area[y0:y1, x0:x1].mean() <= _KNOWN_SHARE:
            yield box


def _one_by_one(questions: Sequence[Question], rng: np.random.Generator) -> list[int]:
    """Rows at random, the images taking turns."""
    shuffled = rng.permutation(len(questions)).tolist()
    place = {image: n for n, image in enumerate(rng.permutation(1 + _last(questions)).tolist())}
    turn: dict[int, int] = {}
    keyed = []
    for row in shuffled:
        image = questions[row].image
        turn[image] = turn.get(image, 0) + 1
        keyed.append((turn[image], place[image], row))
    return [row for _, _, row in sorted(keyed)]


def _last(questions: Sequence[Question]) -> int:
    return max((question.image for question in questions), default=0)


def _spread(questions: Sequence[Question], batch: Batch) -> Iterator[Question]:
    """``questions`` in batches, few of one image in each, without windows that overlap earlier
    ones.
    """
    left = list(questions)
    boxes: dict[int, list[Rectangle]] = {}
    while left:
        count: dict[int, int] = {}
        later: list[Question] = []
        taken = 0
        for question in left:
            if taken == batch.size or count.get(question.image, 0) == batch.of_image:
                later.append(question)
                continue
            mine = boxes.setdefault(question.image, [])
            if question.region:
                if any(overlap(question.region, box) for box in mine):
                    continue
                mine.append(question.region)
            count[question.image] = count.get(question.image, 0) + 1
            taken += 1
            yield question
        left = later


def random_windows(pool: Sequence[StudyImage], diameter: float, seed: int) -> Iterator[Question]:
    """A window of each image, in random order: what everyone begins with."""
    rng = np.random.default_rng([seed, 11])
    side = window_side(diameter)
    for index in rng.permutation(len(pool)).tolist():
        boxes = list(windows(pool[index].shape, side, rng.integers(0, side // 2, 2)))
        box = boxes[int(rng.integers(len(boxes)))]
        yield Question(index, Candidate(index), region=box)


def _window_question(seen: Seen, box: Rectangle) -> Question:
    return Question(seen.index, _candidate(seen, box), region=box)


def _is_known(seen: Seen, x: float, y: float) -> bool:
    height, width = seen.area.shape
    return bool(seen.area[min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)])


def _candidate(seen: Seen, box: Rectangle | None) -> Candidate:
    """Of a window, or of the whole image: what is likely wrong in it, and how it looks."""
    count = len(seen.wrong)
    middles = seen.middles
    inside = np.ones(len(middles), bool) if box is None else lies_in(middles, box)
    if seen.known.regions:
        inside &= ~np.array([_is_known(seen, x, y) for x, y in middles], bool)
    cells, spots = inside[:count], inside[count:]
    wrong, missed = seen.wrong[cells], float(seen.missed[spots].sum())
    terms = [seen.look.terms[row] for row in np.flatnonzero(cells)]
    changed = float(wrong.sum()) + missed
    if box is None:
        doubt = image_uncertainty(wrong.tolist(), missed)
    else:  # an empty window is nothing strange
        doubt = changed / max(len(wrong) + missed, 1.0)
    shares = seen.look.shares[cells].sum(axis=0)
    return Candidate(
        id=seen.index,
        uncertainty=doubt,
        cells=round(len(wrong) + missed),
        wrong=changed,
        minutes=USUAL.minutes(len(wrong), changed),
        committee=_mean([max(each["border"], each["alone"]) for each in terms]),
        views=_mean([each["views"] for each in terms]),
        features=None if box is None else _window_features(seen, box, cells),
        types=dict(zip(seen.types, shares.tolist(), strict=False)),
    )


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def _cell_question(seen: Seen, row: int, features: NDArray[np.float32]) -> Question:
    """Of a predicted cell, or of a spot, which come after the cells."""
    count = len(seen.wrong)
    x, y = seen.middles[row].tolist()
    if row >= count:
        wrong = min(1.0, float(seen.missed[row - count]))
        candidate = Candidate(seen.index, wrong, 1, wrong, features=features)
        return Question(seen.index, candidate, point=(x, y))
    terms, wrong = seen.look.terms[row], float(seen.wrong[row])
    shares = seen.look.shares[row].tolist()
    candidate = Candidate(
        id=seen.index,
        uncertainty=wrong,
        cells=1,
        wrong=wrong,
        minutes=(USUAL.looking + USUAL.changing * wrong) / 60,
        committee=max(terms["border"], terms["alone"]),
        views=terms["views"],
        features=features,
        types=dict(zip(seen.types, shares, strict=False)),
    )
    return Question(seen.index, candidate, label=row + 1)


def _style(seen: Seen) -> NDArray[np.float32]:
    style = embeddings.unit(seen.look.style[None])
    return embeddings.projected(style, _STYLE)[0]


def _image_features(seen: Seen) -> NDArray[np.float32]:
    height, width = seen.image.shape
    every = np.ones(len(seen.wrong), bool)
    return _window_features(seen, (0, 0, width, height), every)


def _window_features(seen: Seen, box: Rectangle, cells: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How a window looks: the image's style, its light, and its cells on average."""
    x0, y0, x1, y1 = box
    light: list[float] = []
    for plane in seen.image.planes[:, y0:y1, x0:x1]:
        edges = np.abs(np.diff(plane, axis=0)).mean() if plane.shape[0] > 1 else 0.0
        light += [float(plane.mean()), float(plane.std()), float(edges)]
        light += np.percentile(plane, (10, 50, 90)).tolist()
    looks = seen.look.embeddings[cells]
    mean = looks.mean(axis=0) if len(looks) else np.zeros(seen.look.embeddings.shape[1])
    density = float(cells.sum()) / max(1, (x1 - x0) * (y1 - y0)) * 256
    return np.concatenate([_style(seen), light, mean[:16], [density]]).astype(np.float32)
