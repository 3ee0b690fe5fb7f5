"""By what a detector's epochs are compared."""

from __future__ import annotations

import torch

from tests.training.drawn_snapshots import TemporaryFolder, drawn
from training.detector_learner import parts_of


class PartsTests(TemporaryFolder):
    def test_images_make_up_the_score_by_their_cells(self):
        parts = parts_of([90, 0, 1], [100, 10, 1])
        self.assertAlmostEqual(float(parts.mean()), 91 / 111)
        # One image of one cell moves the score by a hundredth, however wrong it is.
        worse = parts_of([90, 0, 0], [100, 10, 1])
        self.assertAlmostEqual(float((parts - worse).mean()), 1 / 111)
        self.assertEqual(parts_of([0, 0], [0, 0]).tolist(), [0.0, 0.0])

    def test_the_parts_of_a_validation_make_up_its_score(self):
        snapshot = self.snapshot(
            drawn("HEK", 1),
            drawn("mixed", 2, split="validation"),
            drawn("mixed", 3, split="validation"),
        )
        learner = self.learner(snapshot)
        learner.model.eval()
        with torch.no_grad():
            found = learner.validate(learner.model, 1)
        self.assertEqual(len(found.parts), 2)
        self.assertAlmostEqual(sum(found.parts) / 2, found.score)
        told = (found.metrics["ap50"] + found.metrics["type_accuracy"]) / 2
        self.assertAlmostEqual(found.score, told)
