"""Predict the images that lack a prediction of the current models."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from annotator.dispatch import Job, enqueue
from annotator.exceptions import Conflict, NotReady
from annotator.management.base import DatasetCommand
from annotator.models import Dataset, Split
from annotator.selectors.predictions import pending_images
from annotator.selectors.versions import current_pair


class Command(DatasetCommand):
    """``manage.py images_predict NAME [--split …] [--wait] --json``"""

    help = __doc__ or ""

    def add_more(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--split",
            choices=Split.values,
            default="",
            help="with --wait: predict this split only; without: count its images only, since"
            " workers predict those of every split",
        )
        parser.add_argument(
            "--wait", action="store_true", help="predict in this process; needs no worker"
        )

    def run(self, dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
        if not options["wait"]:
            return self._asked(dataset, options["split"])
        from annotator.work.prediction import predict_pending  # loads torch

        done = predict_pending(
            dataset=dataset,
            split=options["split"],
            retry=True,
            on_image=lambda image: self.tell(image.name) if options["verbosity"] > 0 else None,
        )
        if done.failed and not done.images:
            raise Conflict(f"None of {done.failed} images could be predicted; see above for why.")
        return {
            "images": done.images,
            "cells": done.cells,
            "failed": done.failed,
            "seconds": round(done.seconds, 2),
        }

    def _asked(self, dataset: Dataset, split: str) -> dict[str, Any]:
        """Leave the work to a worker; how many images there are for it."""
        pair = current_pair(dataset)
        if pair is None:
            raise NotReady(f"{dataset.name} has no segmenter yet: train or import one.")
        pending = pending_images(dataset, pair, timezone.now())
        if split:
            self.tell(f"Workers predict every split; give --wait to predict {split} alone.")
            pending = pending.filter(split=split)
        enqueue(Job.PREDICT_IMAGES, dataset.pk)
        return {"images": pending.count(), "cells": 0, "seconds": 0.0, "asked": True}

    def lines(self, result: dict[str, Any]) -> list[str]:
        if "asked" in result:
            return [f"A worker will predict {result['images']} images."]
        failed = f", {result['failed']} failed (see above)" if result["failed"] else ""
        return [
            f"{result['images']} images, {result['cells']} cells, {result['seconds']} s{failed}"
        ]
