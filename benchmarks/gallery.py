"""The gallery with a hundred thousand cells, in a real Chromium on a real server with SQLite.

    .venv/bin/python -m benchmarks.gallery [--images 500] [--cells 200] [--revised 100]

A data set of its own: small images with predicted cells that have embeddings, some of the images
revised. The last line is one JSON object, times in ms:

``list_ms``           by order: from the request to the last byte of the (zipped) list, median
``list_kb``           of one such list
``crops_ms_…``        pictures of 32 cells of 32 images, the first time and again, median
``open_ms``           from the address to the first picture, all cells listed
``end_ms``            from the End key to the picture of the last cell
``tiles``             that are in the page
``change_ms``         a type for 20 cells of 20 images, from the key to the answer
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from playwright.sync_api import APIRequestContext, Page

from benchmarks.browser import Server, manage, served, signed_in
from benchmarks.editor import drawn

SIDE = 224  # px of an image
REPEATS = 5
SORTS = ("image", "uncertainty", "type", "outliers", "nearest")
CROPS = 32


def main() -> None:
    """Run and print the figures."""
    parser = argparse.ArgumentParser(description="The gallery with a hundred thousand cells.")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--cells", type=int, default=200, help="of each image")
    parser.add_argument("--revised", type=int, default=100, help="images with a revision")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gallery-") as name:
        folder = Path(name)
        with served(folder) as server:
            images = folder / "images"
            images.mkdir()
            for number in range(given.images):
                image, _ = drawn(SIDE, given.cells, seed=number)
                tifffile.imwrite(images / f"field_{number}.tif", image, imagej=True)
            manage(server.environment, "images_import", "bench", str(images), "--split", "train")
            code = (
                "from benchmarks.gallery import store; "
                f"store({given.images}, {given.cells}, {given.revised})"
            )
            manage(server.environment, "shell", "-c", code)
            with signed_in(server, given.chromium) as page:
                figures = measured(page, server, given)
    print(json.dumps({"cells": given.images * given.cells, "images": given.images, **figures}))


def store(images: int, cells: int, revised: int) -> None:
    """Predictions and revisions in the server's own database; runs in ``manage.py shell``."""
    from annotator.models import Dataset, Family, Image, ModelVersion, Stage
    from annotator.services.annotations import revision_submit

    dataset = Dataset.objects.get(name="bench")
    version = ModelVersion.objects.create(
        dataset=dataset,
        family=Family.SEGMENTER,
        number=1,
        stage=Stage.CURRENT,
        key="none",
        sha256="0" * 64,
    )
    for number in range(images):
        image = Image.objects.get(name=f"field_{number}.tif")
        _, labels = drawn(SIDE, cells, seed=number)
        predict(image, version, labels, number)
        if number < revised:
            types: dict[int, str | None] = dict.fromkeys(np.unique(labels)[1:].tolist(), "HEK")
            revision_submit(
                image=image, author=None, labels=labels, cell_types=types, base_number=0
            )


def predict(image: Any, version: Any, labels: np.ndarray, seed: int) -> None:
    """A prediction of ``labels`` with made-up doubts and embeddings."""
    from annotator import storage
    from annotator.models import PredictedCell, Prediction
    from inference import embeddings
    from inference.labels import cell_geometry

    geometry = cell_geometry(labels)
    count = len(geometry.labels)
    prediction = Prediction.objects.create(
        image=image,
        segmenter=version,
        labels_key=storage.labels_put(labels),
        cell_count=count,
        uncertainty=0.5,
        diameter=14,
        seconds=0,
    )
    rng = np.random.default_rng(seed)
    doubts = rng.random(count).tolist()
    vectors = embeddings.pack(embeddings.unit(rng.normal(size=(count, embeddings.SIZE))))
    types = list(image.dataset.types.all())
    PredictedCell.objects.bulk_create(
        PredictedCell(
            prediction=prediction,
            label=int(label),
            type=types[row % len(types)],
            score=0.9,
            probabilities={"HEK": 0.6, "N2a": 0.4},
            uncertainty=doubts[row],
            terms={"existence": doubts[row], "border": 0.1, "type": 0.5},
            embedding=vectors[row],
            seen_by="both",
            bbox=geometry.boxes[row].tolist(),
            area=int(geometry.areas[row]),
            centroid=geometry.centroids[row].tolist(),
            inner_x=int(geometry.inner[row, 0]),
            inner_y=int(geometry.inner[row, 1]),
        )
        for row, label in enumerate(geometry.labels)
    )


def measured(page: Page, server: Server, given: argparse.Namespace) -> dict[str, Any]:
    """Lists and pictures over REST, then the page."""
    api = f"{server.address}/api/v1/datasets/1/cells/"
    listed: dict[str, float] = {}
    for sort in SORTS:
        near = "&near=1:1" if sort == "nearest" else ""
        address = f"{api}?sort={sort}{near}"
        listed[sort] = timed(lambda address=address: page.request.get(address).body())  # type: ignore[misc]
    print(json.dumps({"list_ms": listed}), file=sys.stderr)
    packed = page.evaluate(
        """async address => {
          await (await fetch(address)).arrayBuffer();
          return performance.getEntriesByName(address).at(-1).encodedBodySize;
        }""",
        f"{api}?sort=uncertainty",
    )
    return {
        "list_ms": listed,
        "list_kb": round(packed / 1000),
        **pictured(page.request, api, page, given),
        **looked(page, server),
    }


def timed(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Median ms of ``work``."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - began))
    return round(float(np.median(times)), 1)


def pictured(
    request: APIRequestContext, api: str, page: Page, given: argparse.Namespace
) -> dict[str, float]:
    """Pictures of one cell of each of some images, not asked for before and again."""
    cookies = {each["name"]: each["value"] for each in page.context.cookies()}
    headers = {"X-CSRFToken": cookies.get("csrftoken", ""), "Referer": api}

    def ask(first: int, label: int) -> None:
        images = range(first, min(first + CROPS, given.images + 1))
        cells = [
            {"image": image, "revision": 0, "prediction": image, "labels": [label]}
            for image in images
        ]
        answer = request.post(f"{api}crops/", data={"cells": cells}, headers=headers)
        assert answer.ok, answer.text()

    batches = [1 + CROPS * number for number in range(min(3, given.images // CROPS))]
    first, again = [], []
    for batch in batches:
        first.append(timed(lambda batch=batch: ask(batch, 1), 1))  # type: ignore[misc]
        again.append(timed(lambda batch=batch: ask(batch, 2), 3))  # type: ignore[misc]
    return {
        "crops_ms_first": float(np.median(first)),
        "crops_ms_again": float(np.median(again)),
    }


def looked(page: Page, server: Server) -> dict[str, float]:
    """The page itself."""
    tiles = page.locator('[role="option"]')
    began = time.perf_counter()
    page.goto(f"{server.address}/datasets/1/gallery")
    tiles.locator("img").first.wait_for()
    opened = 1000 * (time.perf_counter() - began)
    count = int(tiles.first.get_attribute("aria-setsize") or 0)
    page.wait_for_timeout(3000)
    began = time.perf_counter()
    page.keyboard.press("End")
    page.locator(f'[role="option"][aria-posinset="{count}"] img').wait_for()
    end = 1000 * (time.perf_counter() - began)
    page.keyboard.press("Home")
    for _ in range(19):
        page.keyboard.press("Shift+ArrowRight")
    with page.expect_response(lambda answer: answer.url.endswith("/cells/change/")):
        began = time.perf_counter()
        page.keyboard.press("2")
    return {
        "open_ms": round(opened, 1),
        "end_ms": round(end, 1),
        "tiles": tiles.count(),
        "change_ms": round(1000 * (time.perf_counter() - began), 1),
    }


if __name__ == "__main__":
    main()
