"""Cells to ask about while others work on their images."""

from __future__ import annotations

from datetime import timedelta
from unittest.mock import DEFAULT, patch

from django.db import IntegrityError
from django.utils import timezone

from annotator.models import CellQuestion, PredictedCell, QueueItem
from tests.annotator import test_questions_service as questions


class Rivals(questions.Asking):
    def test_cells_of_an_image_that_somebody_has_in_the_editor_wait(self) -> None:
        held, free = self.predicted(), self.predicted(uncertainty=0.1)
        until = timezone.now() + timedelta(minutes=9)
        item = QueueItem.objects.create(
            image=held.image, score=1.0, annotator=self.eve, leased_until=until
        )
        asked = {question.cell.prediction for question in self.ask()}
        self.assertEqual(asked, {free})
        CellQuestion.objects.all().delete()
        item.leased_until = timezone.now()
        item.save()
        self.assertIn(held, {question.cell.prediction for question in self.ask()})

    def test_cells_that_go_while_they_are_leased_are_left_out(self) -> None:
        self.predicted()
        create = CellQuestion.objects.bulk_create
        with patch.object(CellQuestion.objects, "bulk_create") as inserted:
            inserted.side_effect = [IntegrityError, DEFAULT]
            inserted.return_value = None
            create([CellQuestion(cell=cell) for cell in PredictedCell.objects.all()])
            self.assertEqual(len(self.ask()), 3)
