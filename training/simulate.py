"""One simulated annotation loop: the same start for all, then rounds of choosing, answering and
training, each judged on the same test images.

A round trains anew from the model of the start, on all answers so far, in the same number of
steps: what it reaches says what the answers are worth, and neither a longer training nor a luckier
earlier round can. Rounds end at given numbers of cells, the same for every strategy.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from inference.doubt import USUAL
from inference.labels import cell_ids
from training.annotation_cost import MODELLED, AnnotationCost, Edits
from training.doubt_fit import Doubted, at_spots, fit_doubt, pixel_of
from training.metrics import TypedCells, average_precision, match, type_metrics
from training.oracle import (
    Answer,
    Shown,
    answer_cell,
    answer_point,
    answer_region,
    nothing_shown,
)
from training.study_images import Known, StudyImage, StudySet, write_round
from training.study_model import Budget, Look, Looks, Model, taught
from training.study_questions import Question, View, in_order, random_windows
from training.study_types import KnownCells, taught_typist

_REACH = 0.4  # cell diameters around a point within which a missed cell is meant

Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """One run: what is asked, how it is chosen, and after how many cells each round ends.

    ``ends[0]`` cells are the start's, in random windows of as many images as it takes.
    """

    asking: str  # "image", "region" or "cell"
    strategy: str
    seed: int
    ends: tuple[int, ...]
    budget: Budget = field(default_factory=Budget)

    @property
    def key(self) -> str:
        """Unique within a study."""
        return f"{self.asking} {self.strategy} {self.seed}"


def round_ends(start: int, most: int, rounds: int) -> tuple[int, ...]:
    """Numbers of cells after the start and each of ``rounds``, growing by equal factors."""
    return tuple(round(n) for n in np.geomspace(start, max(start, most), rounds + 1))


class Loop:
    """The state of one run."""

    def __init__(self, study: StudySet, plan: Plan, work: Path) -> None:
        self.study = study
        self.plan = plan
        self.work = work
        self.known = [Known() for _ in study.pool]
        self.cells = 0
        self.questions = 0
        self.edits = Edits()
        self.doubted: list[Doubted] = []

    def begin(self) -> None:
        """Answer the start's windows, for which there is no prediction."""
        diameter = self.plan.budget.diameter
        for question in random_windows(self.study.pool, diameter, self.plan.seed):
            if self.cells >= self.plan.ends[0]:
                break
            self._answer(question, None)

    def ask(self, looks: Looks, cells: int) -> None:
        """Ask the best questions until ``cells`` are known, or nothing is left to ask."""
        rule = fit_doubt(self.doubted) if self.doubted else USUAL
        view = View(self.study, looks, self.known, rule, self.plan.budget.diameter)
        seed = 1000 * self.plan.seed + self.questions
        for question in in_order(self.plan.asking, self.plan.strategy, view, seed):
            if self.cells >= cells:
                return
            self._answer(question, looks[question.image])

    def _answer(self, question: Question, look: Look | None) -> None:
        image = self.study.pool[question.image]
        state = self.known[question.image]
        shown = nothing_shown(image.shape)
        if look is not None:
            shown = Shown(look.labels, look.by_label)
        known = sorted(state.ids)
        if question.label:
            answer = answer_cell(image.truth, shown, question.label, known)
        elif question.point:
            reach = _REACH * self.plan.budget.diameter
            answer = answer_point(image.truth, question.point, reach, known)
        else:
            if look is not None:
                self.doubted.append(judged(image, look, question, state))
            answer = answer_region(image.truth, shown, question.region, known)
        self._learn(question, state, answer)

    def _learn(self, question: Question, state: Known, answer: Answer) -> None:
        state.ids.update(answer.ids)
        state.regions += answer.regions
        if question.region:
            state.windows.append(question.region)
        if not (question.region or question.label or question.point):
            state.whole = True
        self.cells += answer.cells
        self.questions += 1
        self.edits = self.edits + answer.edits

    def teach(self, base: Path | None, run: Path, *, everything: bool = False) -> Model:
        """Train on all answers (``everything``: on the whole truth), from ``base`` or scratch."""
        budget, seed = self.plan.budget, self.plan.seed
        snapshot = write_round(self.work / f"{run.name}-known", self.study, self.known, everything)
        steps = budget.start_steps if base is None else budget.steps
        prepared = self.work.parent / "prepared"
        taught(snapshot, run, budget.config(steps, seed, prepared), base)
        shutil.rmtree(snapshot, ignore_errors=True)
        typist = None
        if self.study.types:
            cells = known_cells(self.study, self.known, everything)
            count = len(self.study.types)
            typist = taught_typist(cells, count, budget.diameter, budget.type_steps, seed)
        return Model(run, self.study, budget.diameter, typist)

    def row(self, number: int, reached: Row, cost: AnnotationCost = MODELLED) -> Row:
        """Where the loop stands after round ``number``, in which its model ``reached`` this."""
        return {
            "round": number,
            "cells": self.cells,
            "minutes": cost.minutes(self.edits),
            "questions": self.questions,
            "images": sum(bool(state.regions) for state in self.known),
            "edits": asdict(self.edits),
            **reached,
        }


def begun(study: StudySet, plan: Plan, work: Path) -> Loop:
    """A loop whose start is answered."""
    loop = Loop(study, plan, work)
    loop.begin()
    return loop


def start_folder(work: Path, seed: int) -> Path:
    """Where the model that all runs of ``seed`` start from lies."""
    return work / f"start-{seed}"


def teach_start(study: StudySet, plan: Plan, work: Path) -> Model:
    """The model of the start, taught anew or found."""
    loop = begun(study, plan, work)
    folder = start_folder(work, plan.seed)
    if not folder.exists():
        fresh = work / f".start-{plan.seed}"
        shutil.rmtree(fresh, ignore_errors=True)
        loop.teach(None, fresh)
        fresh.rename(folder)
    return _start_model(loop, folder)


def _start_model(loop: Loop, folder: Path) -> Model:
    budget, typist = loop.plan.budget, None
    if loop.study.types:
        cells = known_cells(loop.study, loop.known)
        count = len(loop.study.types)
        typist = taught_typist(cells, count, budget.diameter, budget.type_steps, loop.plan.seed)
    return Model(folder, loop.study, budget.diameter, typist)


def full_data(study: StudySet, plan: Plan, work: Path) -> Row:
    """What a training of the same budget reaches when the whole pool is known."""
    began = time.perf_counter()
    loop = begun(study, plan, work)
    teach_start(study, plan, work)
    run = work / f"full-{plan.seed}"
    shutil.rmtree(run, ignore_errors=True)
    model = loop.teach(start_folder(work, plan.seed), run, everything=True)
    found = figures(model, study)
    shutil.rmtree(run, ignore_errors=True)
    cells = sum(cell_ids(image.truth.labels).size for image in study.pool)
    return {"cells": cells, **found, "seconds": round(time.perf_counter() - began, 1)}


@dataclass(frozen=True)
class Start:
    """What all runs of a seed begin with: the start's model at the pool, and its figures."""

    looks: Looks
    reached: Row


def start_of(study: StudySet, plan: Plan, work: Path) -> Start:
    """The start of ``plan``'s seed."""
    model = teach_start(study, plan, work)
    return Start(Looks(model, study.pool), figures(model, study))


def simulated(
    study: StudySet,
    plan: Plan,
    work: Path,
    start: Start | None = None,
    on_round: Callable[[Row], None] | None = None,
) -> list[Row]:
    """The run of ``plan``: a row for the start and for each round."""
    began = time.perf_counter()
    start = start or start_of(study, plan, work)
    base = start_folder(work, plan.seed)
    loop = begun(study, plan, work)
    run = work / f"run-{plan.key.replace(' ', '-')}"
    looks, rows = start.looks, [loop.row(0, start.reached)]
    for number, end in enumerate(plan.ends[1:], 1):
        loop.ask(looks, end)
        shutil.rmtree(run, ignore_errors=True)
        model = loop.teach(base, run)
        looks = Looks(model, study.pool)
        row = loop.row(number, figures(model, study))
        row["seconds"] = round(time.perf_counter() - began, 1)
        rows.append(row)
        if on_round:
            on_round(row)
    shutil.rmtree(run, ignore_errors=True)
    return rows


def judged(image: StudyImage, look: Look, question: Question, state: Known) -> Doubted:
    """What turned out to be wrong in a window (or image) that was just answered."""
    height, width = image.shape
    x0, y0, x1, y1 = question.region or (0, 0, width, height)
    fresh = ~state.area(image.shape)
    inside = np.zeros(image.shape, bool)
    inside[y0:y1, x0:x1] = fresh[y0:y1, x0:x1]
    middles = look.geometry.centroids.astype(int).reshape(-1, 2)
    rows = [row for row, (x, y) in enumerate(middles) if inside[y, x]]
    ids = np.array(rows, np.int64) + 1
    predicted = np.where(np.isin(look.labels, ids), look.labels, 0)
    found = match(image.truth.labels, predicted)
    pairs = dict(zip(found.predicted.tolist(), found.true.tolist(), strict=True))
    kinds: list[bool | None] = []
    for n in ids.tolist():
        kind = image.truth.types.get(pairs.get(n, 0))
        kinds.append(look.types[n - 1] != kind if kind and look.types[n - 1] else None)
    hit = match(image.truth.labels, look.labels)
    missed = [
        label for label in hit.missed.tolist() if inside[image.truth.labels == label].mean() > 0.5
    ]
    spots, unseen = (
        [spot for spot in found if inside[pixel_of(spot, image.shape)]]
        for found in (look.missed, look.unseen)
    )
    return Doubted(
        terms=[look.terms[row] for row in rows],
        wrong_mask=[n not in pairs for n in ids.tolist()],
        wrong_type=kinds,
        missed=len(missed),
        suspected=sum(cells for _, _, cells in spots),
        found=len(at_spots(image.truth.labels, unseen) & set(missed)),
        unseen=sum(cells for _, _, cells in unseen),
    )


def known_cells(
    study: StudySet, known: Sequence[Known], everything: bool = False
) -> list[KnownCells]:
    """The cells whose types were told, image by image."""
    index = {name: n for n, name in enumerate(study.types)}
    found = []
    for image, state in zip(study.pool, known, strict=True):
        typed = {
            label: index[name]
            for label, name in image.truth.types.items()
            if name in index and (everything or label in state.ids)
        }
        ids = np.array(sorted(typed), np.int64)
        types = np.array([typed[label] for label in ids.tolist()], np.int64)
        if image.fine is not None:
            found.append(KnownCells(image.fine, image.truth.labels, ids, types))
    return found


def figures(model: Model, study: StudySet) -> Row:
    """Mean AP at IoU 0.5 of the test images, by kind too; with types, the mean over types of the
    AP of cells of that type ("typed_ap50"), and their accuracy.
    """
    by_kind: dict[str, list[float]] = {}
    true, predicted = [], []
    for image in study.test:
        labels, types = model.answer(image)
        value = float(average_precision([image.truth.labels], [labels], [0.5])[0, 0])
        by_kind.setdefault(image.kind, []).append(value)
        true.append(TypedCells(image.truth.labels, image.truth.types))
        predicted.append(TypedCells(labels, types))
    row: Row = {"ap50": float(np.mean([v for values in by_kind.values() for v in values]))}
    if len(by_kind) > 1:
        row["by_kind"] = {kind: float(np.mean(values)) for kind, values in by_kind.items()}
    if study.types:
        named = type_metrics(true, predicted, study.types)
        each = [figure["ap50"] or 0.0 for figure in named["per_type"].values()]
        row |= {"typed_ap50": float(np.mean(each)), "type_accuracy": named["type_accuracy"]}
    return row
