"""What an annotator waits for, in a real Chromium on a real server.

    .venv/bin/python -m benchmarks.annotator [--side 1024] [--cells 800] [--images 16]

A data set of its own whose images wait in the queue with predictions; each prediction lacks every
tenth cell, and its flows are those of the true masks, so that no network has to be trained: what is
timed is what comes after it. The last line is one JSON object, times in ms:

``next_ms_…``         from the answer to a submit to the next image's masks on the screen
``pick_ms_p95``       the server's answer to a click on a missed cell
``pick_shown_ms_p95`` from that click to the new cell on the screen
``preview_ms_…``      from a moved threshold to its masks on the screen, one right after the other
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from playwright.sync_api import Locator, Page

from benchmarks.browser import manage, served, signed_in
from benchmarks.editor import MARGIN, drawn, p95
from inference import compiled

MISSING = 10  # every such cell is left out of the predictions
PICKS = 12
THRESHOLDS = ("-1.6", "-0.8", "0.8", "1.6", "2.4", "1.2", "-1.2", "2.0")
# When another editor than the present one was put into the page, on the page's clock.
NOTE_MOUNT = """() => {
  const present = document.querySelector('[role=application]');
  window.mountedAt = 0;
  new MutationObserver((_, observer) => {
    const found = document.querySelector('[role=application]');
    if (found === null || found === present) return;
    window.mountedAt = performance.now();
    observer.disconnect();
  }).observe(document.body, {childList: true, subtree: true});
}"""
CERTAIN = 4.0  # logit of a true cell's pixels at its middle


def main() -> None:
    """Run and print the figures."""
    parser = argparse.ArgumentParser(description="What an annotator waits for.")
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--cells", type=int, default=800)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="annotator-") as name:
        folder = Path(name)
        with served(folder) as server:
            images = folder / "images"
            images.mkdir()
            for number in range(given.images):
                image, _ = drawn(given.side, given.cells, seed=number)
                tifffile.imwrite(images / f"field_{number}.tif", image, imagej=True)
            manage(server.environment, "images_import", "bench", str(images), "--split", "train")
            code = (
                "from benchmarks.annotator import store; "
                f"store({given.side}, {given.cells}, {given.images})"
            )
            manage(server.environment, "shell", "-c", code)
            compiled.main()  # as whoever made the predictions would have
            with signed_in(server, given.chromium) as page:
                figures = measured(page, server.address, given)
    print(json.dumps({"side": given.side, "cells": given.cells, **figures}))


def store(side: int, cells: int, images: int) -> None:
    """Predictions of the images, in the server's own database; runs in ``manage.py shell``."""
    from annotator.models import Dataset, Family, Image, ModelVersion, Stage
    from annotator.services.predictions import prediction_store

    version = ModelVersion.objects.create(
        dataset=Dataset.objects.get(name="bench"),
        family=Family.SEGMENTER,
        number=1,
        stage=Stage.CURRENT,
        key="none",
        sha256="0" * 64,
    )
    for number in range(images):
        _, labels = drawn(side, cells, seed=number)
        prediction_store(
            image=Image.objects.get(name=f"field_{number}.tif"),
            segmenter=version,
            detector=None,
            result=predicted(labels, 0.5 + number / 100),
        )


def predicted(labels: np.ndarray, uncertainty: float) -> Any:
    """What a segmenter would say that misses every ``MISSING``-th cell but has its flow."""
    from scipy.ndimage import distance_transform_edt

    from inference.flow_cache import pack
    from inference.flows import masks_to_flows
    from inference.labels import cell_geometry, median_diameter
    from inference.predictor import ImagePrediction

    depth = distance_transform_edt(labels > 0).astype(np.float32)
    cellprob = np.where(labels > 0, np.minimum(depth, CERTAIN), -CERTAIN).astype(np.float32)
    seen = np.where(labels % MISSING == 0, 0, labels)
    geometry = cell_geometry(seen)
    cells = tuple(_cell(geometry, row, uncertainty) for row in range(len(geometry.labels)))
    return ImagePrediction(
        labels=seen,
        cells=cells,
        uncertainty=uncertainty,
        reasons=(),
        diameter=median_diameter(labels),
        seconds=0.0,
        flows=pack(5 * masks_to_flows(labels), cellprob, 200),
    )


def _cell(geometry: Any, row: int, uncertainty: float) -> Any:
    from inference.predictor import CellPrediction

    x0, y0, x1, y1 = geometry.boxes[row].tolist()
    middle_x, middle_y = geometry.centroids[row].tolist()
    inner_x, inner_y = geometry.inner[row].tolist()
    return CellPrediction(
        label=int(geometry.labels[row]),
        type=None,
        score=0.9,
        probabilities={},
        uncertainty=uncertainty,
        terms={"existence": uncertainty},
        seen_by="segmenter",
        bbox=(x0, y0, x1, y1),
        area=int(geometry.areas[row]),
        centroid=(middle_x, middle_y),
        inner=(inner_x, inner_y),
    )


def measured(page: Page, address: str, given: argparse.Namespace) -> dict[str, Any]:
    """Picks and previews on the first image of the queue, then one image after the other."""
    page.goto(f"{address}/datasets/1/correct")
    shown(page, 0)
    figures = picked(page, given) | previewed(page)
    waits = [went_on(page) for _ in range(given.images - 1)]
    print(json.dumps({"next_ms": [round(wait) for wait in waits]}), file=sys.stderr)
    return figures | {
        "next_ms_median": round(float(np.median(waits)), 1),
        "next_ms_p95": p95(waits),
        "next_images": len(waits),
    }


def now(page: Page) -> float:
    """The page's clock, ms."""
    return float(page.evaluate("performance.now()"))


def shown(page: Page, since: float) -> float:
    """When masks were next handed to the graphics card after ``since``, on the page's clock."""
    found = page.wait_for_function(
        """since => performance.getEntriesByName('cytoloop:upload')
               .map(each => each.startTime + each.duration).find(end => end > since)""",
        arg=since,
    )
    return float(found.json_value())


def answered(page: Page, path: str) -> dict[str, float]:
    """When the answer to a request was there, on the page's clock, and how long it took."""
    found: dict[str, float] = page.wait_for_function(
        """path => {
             const each = performance.getEntriesByType('resource')
               .find(entry => entry.name.includes(path) && entry.responseEnd > 0);
             return each && {end: each.responseEnd, ms: each.duration};
           }""",
        arg=path,
    ).json_value()
    return found


def picked(page: Page, given: argparse.Namespace) -> dict[str, Any]:
    """Clicks on cells that the prediction lacks."""
    page.keyboard.press("c")
    answers, waits = [], []
    for point in places(page.get_by_role("application"), given)[:PICKS]:
        page.evaluate("performance.clearResourceTimings()")
        began = now(page)
        page.mouse.click(*point)
        answer = answered(page, "/prediction/cell/")
        waits.append(shown(page, answer["end"]) - began)
        answers.append(answer["ms"])
    return {
        "pick_ms_p95": p95(answers),
        "pick_first_ms": round(answers[0], 1),
        "pick_shown_ms_p95": p95(waits),
        "picks": len(answers),
    }


def places(application: Locator, given: argparse.Namespace) -> list[tuple[float, float]]:
    """Where on the page the missing cells' middles are, as ``drawn`` puts them, whole image."""
    box = application.bounding_box()
    assert box is not None
    columns = int(np.ceil(np.sqrt(given.cells)))
    pitch = given.side / columns
    scale = (min(box["width"], box["height"]) - 2 * MARGIN) / given.side
    found = []
    for label in range(MISSING, given.cells + 1, MISSING):
        row, column = divmod(label - 1, columns)
        x, y = (((place + 0.5) * pitch - given.side / 2) * scale for place in (column, row))
        found.append((box["x"] + box["width"] / 2 + x, box["y"] + box["height"] / 2 + y))
    return found


def previewed(page: Page) -> dict[str, Any]:
    """The cell probability threshold moved to and fro."""
    page.get_by_role("button", name="Change").click()
    slider = page.get_by_label("Cell probability threshold")
    waits = []
    answers = []
    for value in THRESHOLDS:
        page.evaluate("performance.clearResourceTimings()")
        began = now(page)
        slider.fill(value)
        answer = answered(page, "/prediction/masks/")
        waits.append(shown(page, answer["end"]) - began)
        answers.append(answer["ms"])
    page.get_by_role("button", name="Reset").click()
    page.wait_for_timeout(500)
    return {
        "preview_ms_median": round(float(np.median(waits)), 1),
        "preview_ms_p95": p95(waits),
        "preview_first_ms": round(waits[0], 1),
        "preview_answer_ms_p95": p95(answers),
        "previews": len(waits),
    }


def went_on(page: Page) -> float:
    """Edit, submit and go on; ms from the answer to the next image's masks."""
    page.wait_for_timeout(3000)  # the next image is fetched while this one is corrected
    page.keyboard.press("v")
    box = page.get_by_role("application").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.keyboard.press("Control+a")
    page.keyboard.press("1")
    page.evaluate("performance.clearResourceTimings()")
    page.evaluate(NOTE_MOUNT)
    page.keyboard.press("Control+Enter")
    end = answered(page, "/submit/")["end"]
    # Until then it is the submitted image that is drawn.
    mounted = page.wait_for_function("window.mountedAt").json_value()
    return shown(page, float(mounted)) - end


if __name__ == "__main__":
    main()
