"""Which cells are asked about: each of the most worth it, and its nearest neighbour."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext

from annotator.models import Prediction
from annotator.selectors import askable
from annotator.selectors.askable import cells_to_ask
from inference import embeddings
from tests.annotator.factories import (
    make_cells,
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
    square_labels,
)


def look(seed: int) -> bytes:
    """What a cell looks like, one seed unlike another."""
    rows = np.random.default_rng(seed).normal(size=(1, embeddings.SIZE))
    return embeddings.pack(embeddings.unit(rows))[0]


class Askable(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.version = make_version(self.dataset)

    def predicted(
        self, doubts: dict[int, float], labels: np.ndarray | None = None, **said: Any
    ) -> Prediction:
        """A training image of squares in rows of six; all but those of ``doubts`` are sure."""
        image = make_image(self.dataset, split="train")
        drawn = square_labels(12) if labels is None else labels
        prediction = make_prediction(image, self.version, drawn)
        looks = {label: look(100 * prediction.pk + label) for label in range(1, 13)}
        each: dict[int, dict[str, Any]] = {
            label: {"uncertainty": doubts.get(label, 0.01 - label / 1e4), "embedding": looks[label]}
            for label in np.unique(drawn[drawn > 0]).tolist()
        }
        for label, more in said.get("more", {}).items():
            each[label] |= more
        make_cells(prediction, each, type="HEK")
        return prediction

    def test_cells_where_an_image_is_complete_do_not_use_up_what_is_looked_at(self) -> None:
        doubtful = self.predicted(dict.fromkeys(range(1, 13), 0.9))
        make_revision(
            doubtful.image,
            labels=square_labels(12),
            complete_regions=[[0, 0, 64, 48]],
            prediction=doubtful,
        )
        other = self.predicted({2: 0.3})
        with mock.patch.object(askable, "_AT_A_TIME", 2):
            self.assertEqual(self.asked(1), [(other.pk, 2)])

    def test_few_cells_of_one_image_are_compared(self) -> None:
        many, other = self.predicted(dict.fromkeys(range(1, 13), 0.9)), self.predicted({})
        with (
            mock.patch.object(askable, "_AT_A_TIME", 4),
            mock.patch.object(askable, "_COMPARED", 5),
            mock.patch.object(askable, "choose", side_effect=askable.choose) as compared,
        ):
            asked = self.asked(8)
        self.assertEqual({prediction for prediction, _ in asked}, {many.pk, other.pk})
        self.assertEqual(len(asked), 8)
        last = compared.call_args.args[0]
        self.assertLessEqual(max(np.bincount(last.images)), 5)

    def asked(self, count: int) -> list[tuple[int, int]]:
        """(prediction, label) of the cells."""
        found = []
        for pk in cells_to_ask(self.dataset, count):
            cell = askable.PredictedCell.objects.get(pk=pk)
            found.append((cell.prediction_id, cell.label))
        return found

    def test_each_comes_with_its_nearest_neighbour(self) -> None:
        one, other = self.predicted({5: 0.9}), self.predicted({8: 0.8})
        first, second = [(one.pk, 5), (one.pk, 4)], [(other.pk, 8), (other.pk, 2)]
        self.assertEqual(self.asked(4), first + second)
        self.assertEqual(self.asked(3), [*first, second[0]])

    def test_a_neighbour_that_is_too_sure_to_be_looked_at_comes_too(self) -> None:
        one = self.predicted({5: 0.9})
        self.predicted(dict.fromkeys(range(1, 13), 0.5))
        with mock.patch.object(askable, "_AT_A_TIME", 3):
            self.assertEqual(self.asked(2), [(one.pk, 5), (one.pk, 4)])

    def test_what_lies_far_away_is_no_neighbour(self) -> None:
        labels = np.zeros((48, 64), np.uint16)
        labels[:8, :8], labels[40:48, 56:64] = 1, 2
        one, other = self.predicted({1: 0.9}, labels), self.predicted({1: 0.8}, labels)
        self.assertEqual(self.asked(2), [(one.pk, 1), (other.pk, 1)])

    def test_a_neighbour_that_was_answered_for_is_not_asked_about(self) -> None:
        one = self.predicted({5: 0.9})
        make_revision(one.image, labels=square_labels(12), complete_regions=[[29, 0, 39, 9]])
        self.assertEqual(self.asked(2), [(one.pk, 5), (one.pk, 6)])

    def test_no_two_of_a_batch_are_nearly_the_same_picture(self) -> None:
        twin = {"embedding": look(1)}
        one = self.predicted({5: 0.9}, more={5: twin, 4: twin})
        chosen = self.asked(4)
        self.assertIn((one.pk, 5), chosen)
        self.assertNotIn((one.pk, 4), chosen)
        self.assertEqual(len(set(chosen)), 4)

    def test_a_doubtful_cell_does_not_give_way_to_the_neighbour_of_another(self) -> None:
        one = self.predicted({5: 0.9}, more={4: {"embedding": look(1)}})
        other = self.predicted({8: 0.8}, more={8: {"embedding": look(1)}})
        # The neighbour is the next nearest: 4 looks like what is asked about anyhow.
        expected = [(one.pk, 5), (one.pk, 6), (other.pk, 8), (other.pk, 2)]
        self.assertEqual(self.asked(4), expected)

    def test_a_full_batch_asks_the_database_no_more(self) -> None:
        for number in range(8):
            self.predicted({5: 0.9 - number / 100})
        with CaptureQueriesContext(connection) as two:
            self.assertEqual(len(self.asked(2)), 2)
        with CaptureQueriesContext(connection) as four:
            self.assertEqual(len(self.asked(4)), 4)
        # Of another image: where its cells lie, the nearest of them, and what is known there;
        # ``asked`` itself reads two cells.
        self.assertLessEqual(len(four) - len(two), 3 + 2)

    def test_few_of_one_image(self) -> None:
        one = self.predicted(dict.fromkeys(range(1, 13), 0.9))
        self.assertEqual(len(self.asked(12)), askable.PER_IMAGE)
        other = self.predicted({3: 0.1})
        images = [prediction for prediction, _ in self.asked(12)]
        self.assertEqual(images.count(one.pk), askable.PER_IMAGE)
        self.assertEqual(images.count(other.pk), askable.PER_IMAGE)
