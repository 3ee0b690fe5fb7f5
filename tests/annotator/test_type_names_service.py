"""Renaming a cell type: what detectors said and will say of it stays right."""

from __future__ import annotations

from django.test import TestCase

from annotator.exceptions import Conflict
from annotator.models import CellType, Prediction, RunStatus, TrainingRun
from annotator.services.datasets import dataset_update
from annotator.services.predictions import prediction_store
from tests.annotator.factories import make_dataset, make_image, make_version
from tests.annotator.test_predictions_service import result

# What a model's file calls its types never changes; "N2a" is the second.
META = {"channels": ["cytoplasm", "nucleus"], "types": ["HEK", "N2a"]}


class Renaming(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.segmenter = make_version(self.dataset)
        self.detector = make_version(self.dataset, "detector", meta=META)
        self.kinds = {kind.name: kind for kind in CellType.objects.all()}

    def predict(self) -> Prediction:
        """The file's HEK at 0.7, N2a at 0.3; the versions as a worker has read them long ago."""
        return prediction_store(
            image=make_image(self.dataset),
            segmenter=self.segmenter,
            detector=self.detector,
            result=result(),
        )

    def rename(self, kind: str, name: str) -> None:
        change = {"id": self.kinds[kind].pk, "name": name}
        dataset_update(dataset=self.dataset, changes={}, types=[change])

    def test_cells_predicted_later_get_the_type_by_its_new_name(self) -> None:
        self.rename("HEK", "HEK293T")
        cell = self.predict().cells.get()
        self.assertEqual(cell.type, self.kinds["HEK"])
        self.assertEqual(cell.probabilities, {"HEK293T": 0.7, "N2a": 0.3})

    def test_a_name_given_to_another_type_leads_no_cell_astray(self) -> None:
        for kind, name in (("HEK", "CHO"), ("N2a", "HEK"), ("HEK", "N2a")):
            self.rename(kind, name)
        cell = self.predict().cells.get()
        self.assertEqual(cell.type, self.kinds["HEK"])
        self.assertEqual(cell.probabilities, {"N2a": 0.7, "HEK": 0.3})

    def test_probabilities_that_are_stored_are_under_the_new_name(self) -> None:
        before = self.predict()
        elsewhere = make_dataset()
        other = make_version(elsewhere, "detector", meta=META)
        apart = prediction_store(
            image=make_image(elsewhere),
            segmenter=make_version(elsewhere),
            detector=other,
            result=result(),
        )
        name = 'α"b c'
        self.rename("HEK", name)
        self.assertEqual(before.cells.get().probabilities, {name: 0.7, "N2a": 0.3})
        self.assertEqual(apart.cells.get().probabilities, {"HEK": 0.7, "N2a": 0.3})
        self.detector.refresh_from_db()
        self.assertEqual(self.detector.meta, META | {"types": [name, "N2a"]})

    def test_cells_without_a_detector_stay_as_they_are(self) -> None:
        before = prediction_store(
            image=make_image(self.dataset),
            segmenter=self.segmenter,
            detector=None,
            result=result(cells=()),
        )
        self.rename("HEK", "HEK293T")
        self.assertEqual(before.cells.count(), 0)

    def test_no_type_is_renamed_while_a_detector_learns_its_name(self) -> None:
        run = TrainingRun.objects.create(dataset=self.dataset, family="detector")
        with self.assertRaisesMessage(Conflict, f"run {run.pk} trains a detector"):
            self.rename("HEK", "HEK293T")
        self.assertTrue(CellType.objects.filter(name="HEK").exists())
        TrainingRun.objects.update(status=RunStatus.DONE)
        self.rename("HEK", "HEK293T")
