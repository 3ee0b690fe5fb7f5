"""Predict the images that lack a prediction of the current models."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from annotator.dispatch import Job, enqueue
from annotator.exceptions import Conflict, NotReady
from annotator.management.base import DatasetCommand
from annotator.models import Dataset, Split
from annotator.selectors.versions import current_pair


class Command(DatasetCommand):
    """``manage.py images_predict NAME [--split …] [--wait] --json``"""

    help = __doc__ or ""

    def add_more(self, parser: CommandParser) -> None:
        parser.add_argument("--split", choices=Split.values, default="")
        parser.add_argument(
            "--wait", action="store_true", help="predict in this process; needs no worker"
        )

    def run(self, dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
        if not options["wait"]:
            if current_pair(dataset) is None:
                raise NotReady(f"{dataset.name} has no segmenter yet: train or import one.")
            enqueue(Job.PREDICT_IMAGES, dataset.pk)
            return {"asked": True}
        from annotator.work.prediction import predict_pending  # loads torch

        done = predict_pending(
            dataset=dataset,
            split=options["split"],
            retry=True,
            on_image=lambda image: self.tell(image.name) if options["verbosity"] > 1 else None,
        )
        if done.failed and not done.images:
            raise Conflict(f"None of {done.failed} images could be predicted; see above for why.")
        return {
            "images": done.images,
            "cells": done.cells,
            "failed": done.failed,
            "seconds": round(done.seconds, 2),
        }

    def lines(self, result: dict[str, Any]) -> list[str]:
        if "asked" in result:
            return ["A worker will predict them."]
        failed = f", {result['failed']} failed (see above)" if result["failed"] else ""
        return [
            f"{result['images']} images, {result['cells']} cells, {result['seconds']} s{failed}"
        ]
