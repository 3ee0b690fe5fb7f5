"""Predicting with real, tiny networks."""

from __future__ import annotations

import io
import json
from unittest import mock

import numpy as np
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import TransactionTestCase

from annotator import storage
from annotator.exceptions import NotReady, Unavailable
from annotator.models import (
    Fusion,
    Prediction,
    PredictionAttempt,
    QueueItem,
    Snapshot,
)
from annotator.selectors.versions import current_pair, fusion_of
from annotator.services.flows import prediction_flows
from annotator.services.images import image_array
from annotator.services.versions import version_folder
from annotator.work.prediction import predict_pending
from inference.fusion_rule import FusionRule
from inference.predictor import load_predictor
from tests.annotator.factories import make_dataset
from tests.annotator.trained import add_drawn, make_current, make_trainable
from tests.people import client_of, make_people


class PredictTest(TransactionTestCase):
    def setUp(self) -> None:
        self.dataset = make_trainable(train=2, test=1)
        for number in range(3):
            add_drawn(self.dataset, 200 + number, "train", kind="HEK", masked=False)
        make_current(self.dataset, "segmenter")

    def test_every_image_gets_one_prediction_and_the_unlabelled_ones_are_queued(self) -> None:
        done = predict_pending(dataset=self.dataset)
        self.assertEqual((done.images, done.failed, done.more), (6, 0, False))
        self.assertEqual(Prediction.objects.count(), 6)
        self.assertEqual(QueueItem.objects.filter(closed_at=None).count(), 3)
        prediction = Prediction.objects.all()[0]
        labels = storage.labels_get(prediction.labels_key)
        self.assertEqual(labels.max(), prediction.cell_count)
        self.assertEqual(predict_pending(dataset=self.dataset).images, 0)

    def test_one_damaged_file_does_not_keep_the_others_waiting(self) -> None:
        damaged = self.dataset.images.get(name="HEK_a_200.tif")
        storage.delete(damaged.key)
        with self.assertLogs("annotator.work.prediction", "WARNING"):
            done = predict_pending(dataset=self.dataset)
        self.assertEqual((done.images, done.failed), (5, 1))
        attempt = PredictionAttempt.objects.get()
        self.assertIn("missing from object storage", attempt.message)
        self.assertIn(attempt.message[:20], QueueItem.objects.get(image=damaged).reasons[0]["text"])
        self.assertEqual(predict_pending(dataset=self.dataset).failed, 0, "not at once again")

    def test_when_storage_is_down_no_image_is_blamed_and_all_are_predicted_later(self) -> None:
        # Whatever the storage is, a folder or S3: nothing can be read from it, nor is it ready.
        down = Unavailable("Object storage cannot be reached.")
        with (
            mock.patch("annotator.storage.get", side_effect=down),
            mock.patch("annotator.storage.check", side_effect=down),
            self.assertRaises(Unavailable),
        ):
            predict_pending(dataset=self.dataset)
        self.assertFalse(PredictionAttempt.objects.exists())
        self.assertEqual(predict_pending(dataset=self.dataset).images, 6)

    def test_the_flows_are_kept_for_other_thresholds(self) -> None:
        predict_pending(dataset=self.dataset)
        prediction = Prediction.objects.select_related("image").first()
        assert prediction is not None
        flows = prediction_flows(prediction)
        self.assertEqual(flows.shape, (prediction.image.height, prediction.image.width))

    def test_whatever_a_library_raises_costs_one_image_only(self) -> None:
        class LibraryError(Exception):
            """Derived from nothing else, as OpenCV's is."""

        with (
            mock.patch(
                "annotator.work.prediction.image_array", side_effect=LibraryError("no memory")
            ),
            self.assertLogs("annotator.work.prediction", "WARNING"),
        ):
            self.assertEqual(predict_pending(dataset=self.dataset).failed, 6)
            with self.assertRaisesMessage(CommandError, "None of 6 images"):
                call_command("images_predict", self.dataset.name, wait=True, stderr=io.StringIO())
        self.assertIn("no memory", PredictionAttempt.objects.all()[0].message)

    def test_a_pairs_cells_are_fused_as_corrected_validation_images_ask_for(self) -> None:
        make_current(self.dataset, "detector")
        predict_pending(dataset=self.dataset)
        self.assertFalse(Fusion.objects.exists(), "nothing to learn a rule from")
        for number in range(2):
            add_drawn(self.dataset, 300 + number, "validation")
        predict_pending(dataset=self.dataset)
        fusion = Fusion.objects.get()
        pair = current_pair(self.dataset)
        assert pair is not None
        assert pair.detector is not None
        self.assertEqual(fusion_of(pair), fusion)
        self.assertEqual((fusion.images, fusion.split, fusion.figures["images"]), (2, "test", 1))
        self.assertGreater(fusion.figures["cells"], 0)
        client = client_of(make_people(self.dataset).vera)
        answer = client.get(f"/api/v1/model-versions/{pair.detector.pk}/").json()["fusions"][0]
        self.assertEqual(answer["segmenter"], "segmenter-1")
        self.assertEqual(answer["figures"], fusion.figures)
        # What it keeps of each image is what the rule says, and asking again changes nothing.
        image = self.dataset.images.get(name="HEK_a_200.tif")
        Prediction.objects.filter(image=image).delete()
        predict_pending(dataset=self.dataset)
        rule = FusionRule.from_dict(fusion.rule)
        loaded = load_predictor(version_folder(pair.segmenter), version_folder(pair.detector))
        expected = loaded.predict(image_array(image), rule)
        stored = storage.labels_get(Prediction.objects.get(image=image).labels_key)
        np.testing.assert_array_equal(stored, expected.labels)
        self.assertEqual(Fusion.objects.get().created_at, fusion.created_at)

    def test_images_too_large_to_learn_a_rule_from_leave_no_snapshots(self) -> None:
        make_current(self.dataset, "detector")
        add_drawn(self.dataset, 300, "validation")
        before = Snapshot.objects.count()
        with mock.patch("annotator.work.fusing.LARGE", 100):  # every image is large
            predict_pending(dataset=self.dataset)
        self.assertFalse(Fusion.objects.exists())
        self.assertEqual(Snapshot.objects.count(), before)
        # One that is small enough is learnt from at once.
        add_drawn(self.dataset, 301, "validation")
        predict_pending(dataset=self.dataset)
        self.assertEqual(Fusion.objects.get().images, 2)

    def test_of_many_large_images_as_few_are_learnt_from_as_there_is_time_for(self) -> None:
        make_current(self.dataset, "detector")
        for number in range(3):
            add_drawn(self.dataset, 300 + number, "validation")
        side = self.dataset.images.get(name="HEK_a_200.tif").width
        with mock.patch("annotator.work.fusing._PIXELS", 2 * side**2):
            predict_pending(dataset=self.dataset)
        self.assertEqual(Fusion.objects.get().images, 2)

    def test_a_damaged_rule_costs_the_rule_and_no_prediction(self) -> None:
        make_current(self.dataset, "detector")
        pair = current_pair(self.dataset)
        assert pair is not None
        assert pair.detector is not None
        Fusion.objects.create(
            segmenter=pair.segmenter,
            detector=pair.detector,
            rule={"segmenter": {"slope": 1.0}},
            images=1,
            split="test",
            figures={},
        )
        with self.assertLogs("annotator.work.fusing", "WARNING") as logs:
            done = predict_pending(dataset=self.dataset)
        self.assertEqual((done.images, done.failed), (6, 0))
        self.assertIn("its rule cannot be read", logs.output[0])

    def test_a_worker_told_to_leave_leaves_in_the_midst_of_a_fit_and_of_a_large_image(self) -> None:
        make_current(self.dataset, "detector")
        predict_pending(dataset=self.dataset)
        fresh = add_drawn(self.dataset, 300, "validation")
        with mock.patch("annotator.work.fusing.leaving", return_value=True):
            done = predict_pending(dataset=self.dataset)
        self.assertEqual((done.images, done.failed, done.more), (0, 0, True))
        with (
            mock.patch("inference.predictor.LARGE", 100),  # every image is large
            mock.patch("annotator.work.prediction.leaving", return_value=True),
        ):
            done = predict_pending(dataset=self.dataset)
        self.assertEqual((done.images, done.failed, done.more), (0, 0, True))
        self.assertFalse(PredictionAttempt.objects.exists(), "nobody has to wait for it")
        with mock.patch("inference.predictor.LARGE", 100):
            self.assertEqual(predict_pending(dataset=self.dataset).images, 1)
        self.assertEqual(Prediction.objects.get(image=fresh).flows_key, "")

    def test_a_validation_image_that_is_gone_stops_no_prediction(self) -> None:
        make_current(self.dataset, "detector")
        storage.delete(add_drawn(self.dataset, 777, "validation").key)
        with self.assertLogs("annotator.work", "WARNING") as logs:
            done = predict_pending(dataset=self.dataset)
        self.assertEqual((done.images, done.failed), (6, 1))
        self.assertIn("fused by default", "".join(logs.output))
        self.assertFalse(Fusion.objects.exists())

    def test_a_slice_of_time_leaves_the_rest_for_later(self) -> None:
        done = predict_pending(dataset=self.dataset, seconds=0)
        self.assertEqual((done.images, done.more), (1, True))

    def test_a_detector_joins_and_all_images_are_predicted_again(self) -> None:
        predict_pending(dataset=self.dataset)
        make_current(self.dataset, "detector")
        done = predict_pending(dataset=self.dataset)
        self.assertEqual(done.images, 6)
        self.assertTrue(all(row.detector for row in Prediction.objects.all()))
        self.assertEqual(Prediction.objects.count(), 6)

    def test_the_command_predicts_one_split(self) -> None:
        out = io.StringIO()
        name = self.dataset.name
        call_command("images_predict", name, split="test", wait=True, json=True, stdout=out)
        printed = json.loads(out.getvalue())
        self.assertEqual(printed["images"], 1)
        self.assertEqual(set(printed), {"images", "cells", "failed", "seconds"})


class NoModelTest(TransactionTestCase):
    def test_without_a_segmenter_it_says_how_to_get_one(self) -> None:
        dataset = make_dataset()
        with self.assertRaisesMessage(NotReady, "model_train"):
            predict_pending(dataset=dataset)
        with self.assertRaisesMessage(CommandError, "no segmenter"):
            call_command("images_predict", dataset.name, wait=True)
