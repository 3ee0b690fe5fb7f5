"""What was taken back counts nowhere as work, and an image of it is as it was."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.apps import apps
from django.test import TestCase

from annotator.models import Image, Prediction, Revision, Split
from annotator.selectors.annotated import Times
from annotator.selectors.datasets import dataset_counts
from annotator.selectors.effort import effort
from annotator.selectors.images import images_of
from annotator.selectors.runs import corrected_since
from annotator.services.cells import Answer, Wanted, cells_change, cells_undo
from tests.annotator.factories import (
    make_cells,
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
)
from tests.annotator.test_questions_service import ACCEPT, REJECT
from tests.people import make_people

MIGRATION = import_module("annotator.migrations.0016_work")


class UndoneWork(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.version = make_version(self.dataset)

    def predicted(self, name: str = "mixed_b1_1.tif") -> Prediction:
        """A training image of three predicted cells."""
        image = make_image(self.dataset, name, split="train", culture="mixed")
        prediction = make_prediction(image, self.version)
        make_cells(prediction, type="HEK")
        return prediction

    def change(self, prediction: Prediction, answers: dict[int, Answer]) -> Revision:
        image = prediction.image
        number = image.revisions.count()
        wanted = Wanted(image, number, None if number else prediction.pk, answers)
        (made,) = cells_change(author=self.people.bob, wanted=[wanted], seconds=6.0).revisions
        return made

    def undo(self, revision: Revision) -> Revision:
        (made,) = cells_undo(author=self.people.bob, revisions=[revision]).revisions
        return made

    def states(self) -> dict[str, str]:
        found: Any = images_of(self.dataset)
        return {image.name: image.status for image in found}

    def told(self) -> dict[str, Any]:
        """All that tells of work and of the image's state."""
        counts = dataset_counts([self.dataset.pk])[self.dataset.pk]
        names = ("annotated", "in_parts", "corrected_cells")
        return {
            "counts": {name: counts[name] for name in names},
            "states": self.states(),
            "since": corrected_since(self.dataset, None),
            "work": effort(self.dataset),
        }

    def test_after_undo_everything_is_told_as_before_but_the_time(self) -> None:
        prediction = self.predicted()
        before = self.told()
        made = self.change(prediction, {1: REJECT, 2: ACCEPT})
        changed = self.told()
        self.assertEqual(changed["counts"], {"annotated": 0, "in_parts": 1, "corrected_cells": 1})
        self.assertEqual(changed["since"], (1, 1))
        self.assertEqual(changed["work"][0]["cells"], 1)
        self.undo(made)
        self.assertEqual(self.told(), before)
        self.assertEqual(before["states"], {"mixed_b1_1.tif": "predicted"})
        spent = Times(self.dataset).until()
        self.assertEqual((spent.minutes, spent.revisions, spent.untimed), (0.1, 1, 0))

    def test_what_is_brought_back_counts_again_once(self) -> None:
        prediction = self.predicted()
        made = self.change(prediction, {1: REJECT})
        once = self.told()
        undone = self.undo(made)
        again = self.undo(undone)
        self.assertEqual(self.told(), once)
        self.undo(again)
        self.assertEqual(self.told()["counts"]["corrected_cells"], 0)
        self.undo(again)  # the request is repeated
        self.assertEqual(self.told()["counts"]["corrected_cells"], 0)

    def test_undoing_the_second_change_leaves_the_first(self) -> None:
        prediction = self.predicted()
        self.change(prediction, {1: REJECT})
        first = self.told()
        self.undo(self.change(prediction, {2: REJECT}))
        self.assertEqual(self.told(), first)

    def test_an_image_is_annotated_when_all_of_it_is(self) -> None:
        whole, part, nothing = (self.predicted(f"mixed_b1_{k}.tif").image for k in range(3))
        make_image(self.dataset, "new.tif", split="train")
        make_revision(whole)
        make_revision(part, complete_regions=[[0, 0, 20, 20]])
        make_revision(nothing, complete_regions=[])  # somebody drew, and calls none of it complete
        self.assertEqual(
            self.told()["states"],
            {
                whole.name: "annotated",
                part.name: "in_parts",
                nothing.name: "predicted",
                "new.tif": "new",
            },
        )
        found = [image.name for image in images_of(self.dataset, status="in_parts")]
        self.assertEqual(found, [part.name])

    def test_the_migration_tells_what_was_undone_before(self) -> None:
        one, other = self.predicted(), self.predicted("mixed_b1_2.tif")
        self.undo(self.undo(self.undo(self.change(one, {1: REJECT}))))
        kept = self.change(other, {1: REJECT})
        self.undo(self.undo(kept))
        wanted = dict(Revision.objects.values_list("pk", "is_work"))
        Revision.objects.update(is_work=True)
        MIGRATION.mark(apps, None)
        self.assertEqual(dict(Revision.objects.values_list("pk", "is_work")), wanted)
        self.assertEqual([pk for pk, stands in wanted.items() if stands], [kept.pk])
        self.assertEqual(Image.objects.filter(split=Split.TRAIN).count(), 2)
