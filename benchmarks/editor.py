"""The mask editor in a real Chromium on a real server, at several sizes and numbers of cells.

    .venv/bin/python -m benchmarks.editor [--strokes 200] [--cases 2048/3000 …]

Each case draws its own two-channel 16-bit image and label image, stores them on a server of its own
(SQLite, uvicorn, a temporary folder), opens the editor, paints, undoes, edits and submits. The last
line is one JSON object: the figures of the main case (2048², 3,000 cells) under the contract's keys
and, under ``growth``, those of every case. Script times come from the page's own performance
measures (``frontend/src/ui/editor/timing.ts``): a brush sample is the step and the upload of the
changed tiles; the graphics card's (here: software) raster is left out. Beside the two sizes named
by the contract, the other cases draw a fifth of the strokes: they only show how times grow.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from playwright.sync_api import CDPSession, Page, Response, TimeoutError

from benchmarks.browser import Server, manage, served, signed_in

MAIN = (2048, 3000)
CASES = ((512, 200), (2048, 200), (2048, 1000), MAIN, (2048, 5000))
WHOLE = (CASES[0], MAIN)  # these draw all strokes
EDITS = 20  # of each kind
MARGIN = 24  # CSS px around the whole image, as in frontend/src/render/camera.ts
LEAST_PITCH = 18  # CSS px; closer cells are edited at 1:1
BRUSH = 40  # px


def main() -> None:
    """Run all cases and print their figures."""
    parser = argparse.ArgumentParser(description="The mask editor in Chromium.")
    parser.add_argument("--strokes", type=int, default=200)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--cases", nargs="+", type=case, default=CASES, metavar="SIDE/CELLS")
    given = parser.parse_args()
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="editor-") as folder, served(Path(folder)) as server:
        for side, cells in given.cases:
            image = stored(server, Path(folder), side, cells)
            rows[side, cells] = measured(server, image, (side, cells), given)
            print(side, json.dumps(rows[side, cells]), file=sys.stderr, flush=True)
    growth = {f"{side}/{cells}": row for (side, cells), row in rows.items()}
    main_case = MAIN if MAIN in rows else given.cases[-1]
    print(json.dumps({"side": main_case[0], **rows[main_case], "growth": growth}))


def case(text: str) -> tuple[int, int]:
    """``2048/3000`` as side in px and number of cells."""
    side, cells = text.split("/")
    return int(side), int(cells)


def stored(server: Server, folder: Path, side: int, cells: int) -> int:
    """Import an image with ``cells`` masks; the id of its row."""
    part = folder / f"{side}-{cells}"
    part.mkdir()
    image, labels = drawn(side, cells)
    name = f"field_{side}_{cells}"
    tifffile.imwrite(part / f"{name}.tif", image, imagej=True, metadata={"axes": "CYX"})
    tifffile.imwrite(part / f"{name}_masks.tif", labels, compression="zlib")
    manage(server.environment, "images_import", "bench", str(part), "--annotator", "bench")
    code = f"from annotator.models import Image; print(Image.objects.get(name='{name}.tif').pk)"
    return int(manage(server.environment, "shell", "-c", code).split()[-1])


def drawn(side: int, cells: int, seed: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A (2, side, side) uint16 image and its label image with ``cells`` ellipses."""
    rng = np.random.default_rng(cells if seed is None else seed)
    columns = int(np.ceil(np.sqrt(cells)))
    pitch = side / columns
    labels = np.zeros((side, side), np.uint16)
    image = rng.normal(400, 60, (2, side, side))
    y, x = np.mgrid[:side, :side].astype(np.float32)
    for number in range(cells):
        row, column = divmod(number, columns)
        cy, cx = (row + 0.5) * pitch, (column + 0.5) * pitch
        top, left = max(0, int(cy - pitch)), max(0, int(cx - pitch))
        window = np.s_[top : int(cy + pitch), left : int(cx + pitch)]
        ry, rx = pitch * rng.uniform(0.25, 0.42, 2)
        distance = ((y[window] - cy) / ry) ** 2 + ((x[window] - cx) / rx) ** 2
        labels[window][distance < 1] = number + 1
        image[0][window][distance < 1] += rng.uniform(2000, 9000)
        image[1][window][distance < 0.2] += rng.uniform(4000, 12000)
    return image.clip(0, 65535).astype(np.uint16), labels


def measured(
    server: Server, image: int, case: tuple[int, int], given: argparse.Namespace
) -> dict[str, Any]:
    """The figures of one case, in a browser of its own."""
    strokes = given.strokes if case in WHOLE else max(10, given.strokes // 5)
    with signed_in(server, given.chromium) as page:
        row: dict[str, Any] = {"cells": case[1], "open_seconds": opened(page, server, image)}
        session = page.context.new_cdp_session(page)
        row |= edited(page, case)
        row |= painted(page, strokes)
        row["heap_mb"] = heap(session)
        row |= submitted(page)
    return row


def opened(page: Page, server: Server, image: int) -> float:
    """Seconds from asking for the page to the first frame with its masks; best of two."""
    seconds = []
    for _ in range(2):
        page.goto(f"{server.address}/images/{image}")
        uploaded(page)
        end = "(e => e.startTime + e.duration)(performance.getEntriesByName('cytoloop:upload')[0])"
        seconds.append(page.evaluate(end) / 1000)
    page.wait_for_timeout(500)
    return round(min(seconds), 3)


def fold_map(page: Page) -> None:
    """Where there is a map, it covers cells that would be clicked at."""
    page.wait_for_timeout(300)
    fold = page.get_by_role("button", name="Map", exact=True)
    if fold.count() and fold.get_attribute("aria-expanded") == "true":
        fold.click()


def painted(page: Page, strokes: int) -> dict[str, float]:
    """Strokes with a brush of 40 px (image px at 1:1), then undo of a tenth of them."""
    box = page.get_by_role("application").bounding_box()
    assert box is not None
    page.keyboard.press("Shift+Home")
    fold_map(page)
    page.keyboard.press("b")
    set_brush(page)
    page.evaluate("performance.clearMeasures()")
    rng = np.random.default_rng(0)
    for _ in range(strokes):
        x, y = rng.uniform(0.2, 0.8, 2) * (box["width"], box["height"]) + (box["x"], box["y"])
        page.mouse.move(x, y)
        page.mouse.down()
        dx, dy = rng.uniform(-90, 90, 2)
        page.mouse.move(x + dx, y + dy, steps=8)
        page.mouse.up()
    samples, uploads = times(page, "sample"), times(page, "upload")
    page.evaluate("performance.clearMeasures()")
    for _ in range(max(10, strokes // 10)):
        page.keyboard.press("Control+z")
        page.wait_for_timeout(30)
    undo, redraw = times(page, "command"), times(page, "upload")
    return {
        "stroke_script_ms_p95": p95(samples) + p95(uploads),
        "stroke_samples": len(samples),
        "undo_ms_p95": p95(undo) + p95(redraw),
    }


def set_brush(page: Page) -> None:
    """To ``BRUSH`` px by its keys, as the status bar shows it."""
    for _ in range(80):
        size = page.evaluate(
            "Number((document.body.innerText.match(/brush\\s+(\\d+)\\s*px/) ?? [])[1] ?? 0)"
        )
        if abs(size - BRUSH) <= 2:
            return
        page.keyboard.press("]" if size < BRUSH else "[")
    raise RuntimeError(f"the brush stays at {size} px")


def uploaded(page: Page) -> None:
    """Return when changed masks were handed to the graphics card."""
    page.wait_for_function("performance.getEntriesByName('cytoloop:upload').length > 0")


def edited(page: Page, case: tuple[int, int]) -> dict[str, float]:
    """Delete single cells, merge neighbours, split by a line; script and upload of each."""
    pairs = neighbours(page, case)
    spent: dict[str, list[float]] = {}
    for kind, edit in (("delete", delete), ("merge", merge), ("split", split)):
        spent[kind] = []
        for _ in range(EDITS):
            pair = next(pairs)
            edit(page, pair)
            try:
                uploaded(page)
            except TimeoutError as error:
                raise RuntimeError(f"{kind} at {pair} changed nothing") from error
            spent[kind].append(sum(max(times(page, name)) for name in ("command", "upload")))
    every = [ms for kind in spent.values() for ms in kind]
    each = {f"{kind}_ms_p95": p95(values) for kind, values in spent.items()}
    return {"edit_ms_p95": p95(every), **each, "edits": len(every)}


Point = tuple[float, float]


def neighbours(page: Page, case: tuple[int, int]) -> Iterator[tuple[Point, Point]]:
    """Places on the page of two cells side by side, in random order, no cell twice.

    The cells stand on a grid (``drawn``), so every click meets one.
    """
    side, cells = case
    box = page.get_by_role("application").bounding_box()
    assert box is not None
    columns = int(np.ceil(np.sqrt(cells)))
    pitch = side / columns
    page.keyboard.press("Home")
    scale = (min(box["width"], box["height"]) - 2 * MARGIN) / side
    if pitch * scale < LEAST_PITCH:
        page.keyboard.press("Shift+Home")
        fold_map(page)
        scale = 1
    middle = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
    reach = np.array([box["width"], box["height"]]) / 2 - MARGIN - pitch * scale
    pairs = np.argwhere(np.ones((cells // columns, columns // 2)))
    for row, pair in np.random.default_rng(1).permutation(pairs):
        centres = (np.array([[2 * pair + 0.5, row + 0.5], [2 * pair + 1.5, row + 0.5]])) * pitch
        offset = (centres - side / 2) * scale
        if (abs(offset) < reach).all():
            (x0, y0), (x1, y1) = (middle + offset).tolist()
            yield (x0, y0), (x1, y1)


def delete(page: Page, pair: tuple[Point, Point]) -> None:
    """Select the first of two cells and delete it."""
    page.keyboard.press("v")
    page.mouse.click(*pair[0])
    measure_anew(page)
    page.keyboard.press("Delete")


def merge(page: Page, pair: tuple[Point, Point]) -> None:
    """Select two cells and merge them."""
    page.keyboard.press("v")
    page.mouse.click(*pair[0])
    page.keyboard.down("Shift")
    page.mouse.click(*pair[1])
    page.keyboard.up("Shift")
    measure_anew(page)
    page.keyboard.press("j")


def split(page: Page, pair: tuple[Point, Point]) -> None:
    """Draw a line down through the first of two cells."""
    page.keyboard.press("k")
    (x, y), (other, _) = pair
    half = (other - x) / 2
    page.mouse.move(x, y - half)
    page.mouse.down()
    page.mouse.move(x, y + half, steps=4)
    measure_anew(page)
    page.mouse.up()


def measure_anew(page: Page) -> None:
    """When what came before was drawn, forget its times."""
    page.wait_for_timeout(60)
    page.evaluate("performance.clearMeasures()")


def type_untyped(page: Page) -> None:
    """Give the cells that have no type one: a submit asks about them otherwise."""
    scopes = page.get_by_role("group", name="Which cells to type")
    untyped = scopes.get_by_role("button", name=re.compile("^untyped"))
    if untyped.is_enabled():
        untyped.click()
        page.get_by_role("group", name="as", exact=True).get_by_role("button").first.click()


def submitted(page: Page) -> dict[str, float]:
    """One submit of the whole label image, every cell with a type."""
    type_untyped(page)
    page.wait_for_timeout(500)
    began = time.perf_counter()
    with page.expect_response(is_revision) as got:
        page.keyboard.press("Shift+Enter")
    response = got.value
    response.finished()
    spent = (time.perf_counter() - began) * 1000
    headers = response.request.all_headers()
    if response.status != 201:
        raise RuntimeError(f"the submit was refused: {response.text()}")
    return {"submit_ms": round(spent, 1), "submit_bytes": int(headers["content-length"])}


def is_revision(response: Response) -> bool:
    """Whether this answers the writing of a revision."""
    return response.request.method == "PUT" and "/annotation" in response.url


def times(page: Page, name: str) -> list[float]:
    """Durations in ms of the measures called ``name`` since they were cleared."""
    found: list[float] = page.evaluate(
        f"performance.getEntriesByName('cytoloop:{name}').map((entry) => entry.duration)"
    )
    return found


def heap(session: CDPSession) -> float:
    """Megabytes of live JavaScript objects and of the array buffers that they hold."""
    session.send("HeapProfiler.enable")
    session.send("HeapProfiler.collectGarbage")
    usage = session.send("Runtime.getHeapUsage")
    # Pixels and masks lie in array buffers, outside V8's own heap.
    return round((usage["usedSize"] + usage["backingStorageSize"]) / 2**20, 1)


def p95(values: list[float]) -> float:
    """95th percentile; 0 of nothing."""
    return round(float(np.percentile(values, 95)), 2) if values else 0.0


if __name__ == "__main__":
    main()
