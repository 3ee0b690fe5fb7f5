"""Versions: numbers, promotion, the way back, and the gate."""

from __future__ import annotations

from typing import Any

from django.test import TestCase

from annotator.exceptions import BadInput, Conflict, NotHere
from annotator.models import Dataset, Evaluation, ModelVersion, Snapshot, Stage
from annotator.selectors.versions import current_pair, version_by_name
from annotator.services.evaluations import FrozenSplit, candidate_settle, evaluation_store
from annotator.services.versions import version_promote
from tests.annotator.factories import make_dataset, make_version

META = {"channels": ["cytoplasm", "nucleus"]}


class PromotionTest(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.first = make_version(self.dataset, meta=META)
        self.second = make_version(self.dataset, stage="candidate", meta=META)

    def stages(self) -> list[str]:
        return list(
            ModelVersion.objects.order_by("family", "number").values_list("stage", flat=True)
        )

    def test_a_promoted_version_retires_the_current_one(self) -> None:
        version_promote(version=self.second)
        self.assertEqual(self.stages(), [Stage.RETIRED, Stage.CURRENT])
        self.second.refresh_from_db()
        self.assertIsNotNone(self.second.promoted_at)

    def test_a_retired_version_can_be_rolled_back_to(self) -> None:
        version_promote(version=self.second)
        version_promote(version=self.first)
        self.assertEqual(self.stages(), [Stage.CURRENT, Stage.RETIRED])

    def test_promoting_twice_changes_nothing(self) -> None:
        version_promote(version=self.second)
        version_promote(version=self.second)
        self.assertEqual(self.stages(), [Stage.RETIRED, Stage.CURRENT])

    def test_the_families_do_not_meet(self) -> None:
        detector = make_version(self.dataset, "detector", "candidate", meta=META)
        version_promote(version=detector)
        pair = current_pair(self.dataset)
        assert pair is not None
        self.assertEqual((pair.segmenter, pair.detector), (self.first, detector))

    def test_a_model_of_other_channels_cannot_predict(self) -> None:
        one = make_version(self.dataset, stage="candidate", meta={"channels": ["nucleus"]})
        with self.assertRaisesMessage(Conflict, "sees nucleus"):
            version_promote(version=one)

    def test_a_version_is_found_by_its_name(self) -> None:
        self.assertEqual(version_by_name(self.dataset, "segmenter-2"), self.second)
        with self.assertRaisesMessage(NotHere, "segmenter-2, segmenter-1"):
            version_by_name(self.dataset, "segmenter-9")
        with self.assertRaises(BadInput):
            version_by_name(self.dataset, "best")


class GateTest(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset(auto_promote=True)
        snapshot = Snapshot.objects.create(
            dataset=self.dataset, family="segmenter", hash="a" * 64, entries=[]
        )
        self.frozen = FrozenSplit(snapshot, "test", "b" * 64, 4)

    def measured(self, stage: str, frozen: FrozenSplit | None = None, **metrics: Any) -> Evaluation:
        version = make_version(self.dataset, stage=stage, meta=META)
        return evaluation_store(
            version=version, frozen=frozen or self.frozen, metrics={"images": 4, **metrics}
        )

    def settle(self, candidate: Evaluation, current: Evaluation | None, **changes: Any) -> str:
        options = {"frozen": self.frozen, **changes}
        message = candidate_settle(candidate=candidate, current=current, **options)
        assert message is not None
        return message

    def stage(self, evaluation: Evaluation) -> str:
        return ModelVersion.objects.get(pk=evaluation.version_id).stage

    def test_a_first_version_that_finds_cells_is_promoted(self) -> None:
        first = self.measured("candidate", ap50=0.3)
        self.assertIn("was promoted", self.settle(first, None))
        self.assertEqual(self.stage(first), Stage.CURRENT)

    def test_a_first_version_that_finds_none_is_not(self) -> None:
        first = self.measured("candidate", ap50=0.0)
        self.assertIn("finds none of the known cells", self.settle(first, None))
        self.assertEqual(self.stage(first), Stage.CANDIDATE)

    def test_one_that_fails_its_smoke_test_is_not_promoted_whatever_its_figures(self) -> None:
        current = self.measured("current", ap50=0.7)
        candidate = self.measured("candidate", ap50=0.8)
        message = self.settle(candidate, current, suspect="it finds 3 cells where 400 are")
        self.assertIn("finds 3 cells where 400 are", message)
        self.assertEqual(self.stage(candidate), Stage.CANDIDATE)
        candidate.version.refresh_from_db()
        self.assertIs(candidate.version.passed_gate, False)

    def test_a_worse_candidate_stays_one_and_the_message_says_by_how_much(self) -> None:
        current = self.measured("current", ap50=0.8)
        candidate = self.measured("candidate", ap50=0.7)
        message = self.settle(candidate, current)
        self.assertIn("0.800 → 0.700", message)
        self.assertIn("4 test images", message)
        self.assertEqual(self.stage(candidate), Stage.CANDIDATE)
        self.assertEqual(self.stage(current), Stage.CURRENT)

    def test_a_better_candidate_takes_over(self) -> None:
        current = self.measured("current", ap50=0.7)
        candidate = self.measured("candidate", ap50=0.8)
        self.settle(candidate, current)
        self.assertEqual(self.stage(candidate), Stage.CURRENT)
        self.assertEqual(self.stage(current), Stage.RETIRED)

    def test_a_version_promoted_meanwhile_is_not_replaced_unseen(self) -> None:
        compared = self.measured("current", ap50=0.5)
        candidate = self.measured("candidate", ap50=0.6)
        best = self.measured("candidate", ap50=0.9)
        version_promote(version=best.version)
        self.assertIsNone(
            candidate_settle(candidate=candidate, current=compared, frozen=self.frozen)
        )
        self.assertEqual(self.stage(candidate), Stage.CANDIDATE)
        self.assertEqual(self.stage(best), Stage.CURRENT)

    def test_promotion_is_left_to_people_unless_a_data_set_says_otherwise(self) -> None:
        Dataset.objects.update(auto_promote=Dataset().auto_promote)
        current = self.measured("current", ap50=0.7)
        candidate = self.measured("candidate", ap50=0.9)
        self.assertIn("promoted by hand", self.settle(candidate, current))
        self.assertEqual(self.stage(candidate), Stage.CANDIDATE)
        self.assertEqual(self.stage(current), Stage.CURRENT)

    def test_a_first_version_is_promoted_in_any_data_set(self) -> None:
        Dataset.objects.update(auto_promote=False)
        first = self.measured("candidate", ap50=0.9)
        self.assertIn("was promoted", self.settle(first, None))
        self.assertEqual(self.stage(first), Stage.CURRENT)

    def test_winning_on_training_images_promotes_nobody(self) -> None:
        frozen = FrozenSplit(self.frozen.snapshot, "train", "c" * 64, 4)
        current = self.measured("current", frozen, ap50=0.5)
        candidate = self.measured("candidate", frozen, ap50=0.9)
        message = self.settle(candidate, current, frozen=frozen)
        self.assertIn("no validation or test image has been corrected", message)
        self.assertEqual(self.stage(candidate), Stage.CANDIDATE)

    def test_a_figure_that_is_not_defined_is_kept_as_null(self) -> None:
        evaluation = self.measured("candidate", ap50=0.5, map=float("nan"))
        evaluation.refresh_from_db()
        self.assertIsNone(evaluation.metrics["map"])
