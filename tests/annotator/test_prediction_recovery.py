"""Real workers die or hang while they predict: every image is predicted all the same."""

from __future__ import annotations

import signal
from pathlib import Path
from tempfile import TemporaryDirectory

from django.test import TransactionTestCase, tag
from django.utils import timezone

from annotator.models import Image, Prediction, PredictionAttempt
from annotator.selectors.versions import Pair, current_pair
from annotator.services.predictions import prediction_begin
from tests.annotator.trained import add_drawn, make_current, make_trainable
from tests.annotator.workers import Worker

IMAGES = 40  # seconds of predicting, so that there is a middle to die in


@tag("broker")
class PredictionRecoveryTest(TransactionTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(TemporaryDirectory()))
        self.dataset = make_trainable(train=2, test=1, retrain_after_cells=10**6)
        make_current(self.dataset, "segmenter")
        for number in range(IMAGES):
            add_drawn(self.dataset, 500 + number, "train", kind="HEK", masked=False)

    def pair(self) -> Pair:
        pair = current_pair(self.dataset)
        assert pair is not None
        return pair

    def waiting(self) -> set[int]:
        """Images without a prediction, whoever has taken them."""
        found = Image.objects.filter(dataset=self.dataset, predictions=None)
        return set(found.values_list("pk", flat=True))

    def test_a_killed_and_a_stuck_worker_lose_no_image(self) -> None:
        stuck = self.dataset.images.get(name="HEK_a_500.tif")
        self.assertTrue(prediction_begin(image=stuck, pair=self.pair()))  # and never an end
        with Worker(self.folder) as worker:
            worker.wait_for(lambda: Prediction.objects.count() >= 3)
            worker.end(signal.SIGKILL)
        held = set(PredictionAttempt.objects.values_list("image", flat=True)) & self.waiting()
        self.assertIn(stuck.pk, held)
        self.assertLess(len(held), len(self.waiting()), "it was killed too late to matter")

        with Worker(self.folder) as worker:
            # All but what the dead and the stuck one hold: they might yet come back.
            worker.wait_for(lambda: self.waiting() == held)
            PredictionAttempt.objects.update(retry_after=timezone.now())  # time goes by
            worker.wait_for(lambda: not self.waiting())
        self.assertFalse(PredictionAttempt.objects.exists())
