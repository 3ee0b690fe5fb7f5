"""Once round the loop by the documented commands and REST, with real training of tiny networks."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from django.core.management import call_command
from django.test import TransactionTestCase
from pycocotools.coco import COCO

from annotator.models import Dataset, Evaluation, ModelVersion
from tests.people import client_of, make_people
from training.synthetic import Layout, write_folder

# Small enough to train in seconds, real in every other respect.
TRAINING = {
    "segmenter": {"width": 8, "crop": 96, "crops_per_epoch": 64, "learning_rate": 5e-3},
    "detector": {"crop": 128, "batch_size": 2, "crops_per_epoch": 16},
}
LAYOUT = Layout(kinds=("HEK", "N2a", "mixed"), batch_size=3, shape=(128, 128))


def run(name: str, *args: Any, **options: Any) -> dict[str, Any]:
    """The JSON object that a command prints on its last line."""
    out = io.StringIO()
    call_command(name, *args, json=True, stdout=out, **options)
    printed: dict[str, Any] = json.loads(out.getvalue().strip().splitlines()[-1])
    return printed


class LoopByCommands(TransactionTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        run("dataset_create", "lab", channels="cytoplasm,nucleus", types="HEK,N2a")
        self.dataset = Dataset.objects.get(name="lab")
        self.dataset.training = TRAINING
        self.dataset.save()
        self.people = make_people(self.dataset)

    def imported(self, part: str, count: int, split: str, masked: float) -> dict[str, Any]:
        seed = sum(part.encode())
        write_folder(self.folder / part, count, seed=seed, masked=masked, layout=LAYOUT)
        return run("images_import", "lab", self.folder / part, split=split, annotator="alice")

    def test_a_lab_goes_once_round_and_takes_its_results_home(self) -> None:
        report = self.imported("train", 12, "train", 0.5)
        self.assertEqual((report["imported"], report["revisions"]), (12, 6), report)
        self.assertEqual(self.imported("test", 3, "test", 1.0)["failed"], [])
        self.imported("validation", 3, "validation", 1.0)

        first = run("model_train", "lab", "segmenter", base="scratch", epochs=12, wait=True)
        self.assertEqual(first["version"], "segmenter-1")
        self.assertTrue(ModelVersion.objects.filter(family="segmenter", stage="current").exists())
        predicted = run("images_predict", "lab", wait=True)
        self.assertEqual(predicted["images"], 18)
        self.assertGreater(predicted["cells"], 18)

        # The detector learns from the segmenter's masks and the file names.
        run("model_train", "lab", "detector", base="scratch", epochs=2, wait=True)
        run("images_predict", "lab", wait=True)

        self._correct_one_image()
        again = run("model_train", "lab", "segmenter", base="segmenter-1", epochs=2, wait=True)
        self._both_versions_stand_in_the_table("segmenter-1", again["version"])
        self._export()

    def _correct_one_image(self) -> None:
        bob = client_of(self.people.bob)
        item = bob.post(f"/api/v1/datasets/{self.dataset.pk}/queue/next/").json()
        self.assertTrue(item["reasons"][0]["text"])
        image = item["image"]["id"]
        prediction = bob.get(f"/api/v1/images/{image}/prediction/").json()
        answer = bob.get(f"/api/v1/images/{image}/prediction/labels/")
        raw = gzip.decompress(answer.content)
        shape = tuple(int(side) for side in answer["X-Shape"].split(","))
        labels = np.frombuffer(raw, answer["X-Dtype"]).reshape(shape).copy()
        gone = prediction["cells"][0]["label"]
        labels[labels == gone] = 0
        document = {
            "shape": shape,
            "dtype": str(labels.dtype),
            "cells": [
                {"label": cell["label"], "type": "HEK"}
                for cell in prediction["cells"]
                if cell["label"] != gone
            ],
            "complete_regions": None,
        }

        def submit(etag: str) -> Any:
            return bob.post(
                f"/api/v1/queue/{item['id']}/submit/",
                {
                    "labels": io.BytesIO(gzip.compress(labels.tobytes())),
                    "document": json.dumps(document),
                },
                format="multipart",
                headers={"If-Match": etag},
            )

        self.assertEqual(submit('"7"').status_code, 412)
        done = submit(item["etag"])
        self.assertEqual(done.status_code, 201, done.content)
        stored = bob.get(f"/api/v1/images/{image}/annotation/").json()
        self.assertEqual(len(stored["cells"]), len(prediction["cells"]) - 1)
        self.assertEqual({cell["type"] for cell in stored["cells"]}, {"HEK"})

    def _both_versions_stand_in_the_table(self, *versions: str) -> None:
        seen = {
            row.version.version: row
            for row in Evaluation.objects.filter(split="test").select_related("version")
        }
        self.assertLessEqual(set(versions), set(seen))
        self.assertEqual(len({seen[name].frozen_hash for name in versions}), 1)
        figures = run("model_evaluate", "lab", versions[0])
        self.assertEqual(figures["images"], 3)
        self.assertAlmostEqual(figures["ap50"], seen[versions[0]].metrics["ap50"], places=6)

    def _export(self) -> None:
        coco = self.folder / "coco"
        printed = run("annotations_export", "lab", "coco", coco, source="predictions")
        self.assertEqual(printed["images"], 18)
        loaded = COCO(next(Path(printed["path"]).rglob("*.json")) if coco.is_dir() else coco)
        self.assertEqual(len(loaded.anns), printed["cells"])
        masks = self.folder / "masks"
        printed = run("annotations_export", "lab", "cellpose", masks, split="test")
        self.assertEqual(printed["images"], 3)
        source = tifffile.imread(self.folder / "test" / "HEK_b1_001_masks.tif")
        np.testing.assert_array_equal(tifffile.imread(masks / "HEK_b1_001_masks.tif"), source)
        printed = run("annotations_export", "lab", "csv", self.folder / "csv")
        self.assertGreater(printed["cells"], 0)
