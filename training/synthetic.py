"""Drawn two-channel fluorescence images of HEK-like and N2a-like cells, with labels and types.

They stand in for co-cultures that nobody has hand-segmented: the demo is seeded with them and the
tests measure with them. HEK-like cells are rounded and grow in touching patches, with a large
smooth nucleus holding dark nucleoli. N2a-like cells are spindles with long processes, a smaller
rounder nucleus out of centre and bright chromocentres (mouse). Stain strength, cell size, density,
focus and light vary from image to image and overlap between the types, so that no single statistic
tells them apart. Figures measured on such images are upper bounds for real ones.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]
TYPES = ("HEK", "N2a")
KINDS = ("HEK", "N2a", "mixed")
PIXEL_SIZE_UM = 0.65
SMALLEST_CELL = 60  # px² still visible; what is covered or cut more than that is not labelled


@dataclass(frozen=True)
class SyntheticImage:
    """``image`` (2, H, W) uint16 (cytoplasm, nucleus), ``labels`` (H, W) uint16, label → type."""

    image: NDArray[np.uint16]
    labels: NDArray[np.uint16]
    types: dict[int, str]


@dataclass(frozen=True)
class Layout:
    """How a written folder is laid out: kinds in turn, images per batch, first batch number."""

    kinds: Sequence[str] = ("HEK", "N2a", "mixed", "N2a", "HEK", "mixed")
    batch_size: int = 4
    first_batch: int = 1
    shape: tuple[int, int] = (256, 256)


@dataclass(frozen=True)
class WrittenImage:
    """One image of a written folder; ``masked`` tells whether masks and types lie beside it."""

    path: Path
    kind: str
    batch: int
    masked: bool


@dataclass(frozen=True)
class _Cell:
    """One cell to draw: centre and radii in px, ``angle`` in radians, strengths in photons."""

    kind: str
    y: float
    x: float
    radius: float
    aspect: float
    angle: float
    cytoplasm: float
    nucleus: float


class _Scene:
    """The canvas: who owns each pixel, how high its owner stands there, and the light so far."""

    def __init__(self, shape: tuple[int, int], rng: np.random.Generator) -> None:
        self.shape = shape
        self.rng = rng
        self.labels = np.zeros(shape, np.int32)
        self.height = np.zeros(shape, np.float32)
        self.light = np.zeros((2, *shape), np.float32)
        self.fine = self._noise(0.9)
        self.coarse = self._noise(2.6)

    def _noise(self, sigma: float) -> Floats:
        field = ndimage.gaussian_filter(
            self.rng.standard_normal(self.shape, dtype=np.float32), sigma, mode="wrap"
        )
        return np.asarray(field / field.std(), np.float32)

    def window(self, y: float, x: float, reach: float) -> tuple[slice, slice]:
        """The part of the canvas within ``reach`` px of a point; may be empty."""
        top, left = max(0, int(y - reach)), max(0, int(x - reach))
        bottom = max(top, min(self.shape[0], int(y + reach) + 2))
        right = max(left, min(self.shape[1], int(x + reach) + 2))
        return slice(top, bottom), slice(left, right)


def draw_image(
    kind: str, shape: tuple[int, int] = (256, 256), seed: int | Sequence[int] = 0
) -> SyntheticImage:
    """Draw one field of ``kind`` ("HEK", "N2a" or "mixed"); the same seed draws the same image."""
    if kind not in KINDS:
        raise ValueError(f"There is no kind {kind!r} of synthetic image; use one of {KINDS}.")
    scene = _Scene(shape, rng := np.random.default_rng(seed))
    cells = _placed_cells(kind, shape, rng)
    for number, cell in enumerate(cells, 1):
        _draw_body(scene, cell, number)
    for number, cell in enumerate(cells, 1):
        if cell.kind == "N2a":
            _draw_processes(scene, cell, number)
    labels, kept = _visible(scene.labels, len(cells))
    types = {label: cells[number - 1].kind for label, number in enumerate(kept, 1)}
    return SyntheticImage(_exposed(scene), labels, types)


def _placed_cells(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> list[_Cell]:
    """Cells at distances that let neighbours touch and overlap a little, never stack."""
    wanted = round(rng.uniform(24, 42) * shape[0] * shape[1] / 256**2)
    share = {"HEK": 1.0, "N2a": 0.0, "mixed": rng.uniform(0.3, 0.7)}[kind]
    size = rng.uniform(0.8, 1.2)
    stain = rng.lognormal(0, 0.45, 2)
    cells: list[_Cell] = []
    centres = np.empty((wanted, 3))  # y, x, radius
    patch: list[int] = []  # the HEK patch being grown
    for _ in range(wanted * 12):
        if len(cells) == wanted:
            break
        hek = (sum(cell.kind == "HEK" for cell in cells) < share * wanted) and (
            share == 1.0 or rng.random() < share
        )
        if not hek and share == 1.0:
            break
        cell = _random_cell("HEK" if hek else "N2a", size, stain, rng)
        y, x = _spot(cell, centres[patch], shape, rng)
        placed = centres[: len(cells)]
        gap = np.hypot(placed[:, 0] - y, placed[:, 1] - x) / (placed[:, 2] + cell.radius)
        if gap.size and gap.min() < 0.78:
            continue
        if hek:
            patch = [*patch, len(cells)] if len(patch) < rng.integers(5, 14) else []
        centres[len(cells)] = y, x, cell.radius
        cells.append(_Cell(**{**cell.__dict__, "y": y, "x": x}))
    return cells


def _spot(
    cell: _Cell, patch: NDArray[np.float64], shape: tuple[int, int], rng: np.random.Generator
) -> tuple[float, float]:
    """A place for ``cell``: HEK beside a member of its patch, N2a anywhere."""
    if cell.kind == "HEK" and len(patch):
        y, x, radius = patch[rng.integers(len(patch))]
        turn, reach = rng.uniform(0, 2 * np.pi), (radius + cell.radius) * rng.uniform(0.8, 0.98)
        return float(y + reach * np.sin(turn)), float(x + reach * np.cos(turn))
    return float(rng.uniform(-3, shape[0] + 3)), float(rng.uniform(-3, shape[1] + 3))


def _random_cell(
    kind: str, size: float, stain: NDArray[np.float64], rng: np.random.Generator
) -> _Cell:
    """A cell's own draw around the image's size and stain; both types overlap in all of them."""
    hek = kind == "HEK"
    return _Cell(
        kind=kind,
        y=0.0,
        x=0.0,
        radius=float((16.0 if hek else 13.0) * size * np.clip(rng.normal(1, 0.14), 0.7, 1.35)),
        aspect=float(1 + rng.gamma(2.0, 0.08)) if hek else float(rng.uniform(1.25, 2.3)),
        angle=float(rng.uniform(0, np.pi)),
        cytoplasm=float(60 * stain[0] * rng.lognormal(0, 0.32)),
        nucleus=float(90 * stain[1] * rng.lognormal(0, 0.28)),
    )


def _draw_body(scene: _Scene, cell: _Cell, number: int) -> None:
    """Add a cell's body: a dome over a wobbly ellipse (HEK) or a pointed spindle (N2a)."""
    rng = scene.rng
    window = scene.window(cell.y, cell.x, cell.radius * cell.aspect * 1.25)
    height = _body_height(cell, window, rng)
    inside = height > 0
    if not inside.any():
        return
    mine = inside & (height > scene.height[window])
    scene.labels[window][mine] = number
    scene.height[window][mine] = height[mine]
    fine, coarse = scene.fine[window], scene.coarse[window]
    dome = np.maximum(height, 0)
    if cell.kind == "HEK":
        rim = np.exp(-((height / 0.12) ** 2))
        light = dome**0.35 * (1 + 0.16 * coarse) + rng.uniform(0.0, 0.45) * rim
    else:
        light = 0.25 + dome**0.8 * (1.1 + 0.3 * np.abs(fine) - 0.1 * coarse)
    light = cell.cytoplasm * np.where(inside, np.maximum(light, 0), 0)
    nucleus = _draw_nucleus(scene, cell, window, inside)
    light *= 1 - (rng.uniform(0.1, 0.45) if cell.kind == "HEK" else rng.uniform(0.0, 0.3)) * nucleus
    scene.light[0][window] += light
    scene.light[1][window] += 0.06 * light


def _body_height(cell: _Cell, window: tuple[slice, slice], rng: np.random.Generator) -> Floats:
    """(h, w) f32: 1 at the centre of the body, 0 at its edge, negative outside."""
    along, across = _own_axes(cell.y, cell.x, cell.angle, window)
    stretch = np.sqrt(cell.aspect)
    u, v = along / (cell.radius * stretch), across / (cell.radius / stretch)
    if cell.kind == "N2a":
        bend = rng.uniform(-0.25, 0.25)
        spindle = np.sqrt(np.abs(u) ** 1.45 + (v + bend * (u**2 - 0.3)) ** 2)
        return np.asarray(1 - spindle, np.float32)
    turn = np.arctan2(v, u)
    edge = np.ones_like(turn)
    for wave in (2, 3, 4, 5):
        edge += rng.normal(0, 0.16 / wave) * np.cos(wave * turn + rng.uniform(0, 2 * np.pi))
    return np.asarray(1 - np.hypot(u, v) / np.maximum(edge, 0.5), np.float32)


def _own_axes(
    y: float, x: float, angle: float, window: tuple[slice, slice]
) -> tuple[Floats, Floats]:
    """Coordinates of the window's pixels along and across an axis through (y, x)."""
    rows = np.arange(window[0].start, window[0].stop, dtype=np.float32)[:, None] - np.float32(y)
    columns = np.arange(window[1].start, window[1].stop, dtype=np.float32)[None] - np.float32(x)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return columns * cos + rows * sin, rows * cos - columns * sin


def _draw_nucleus(
    scene: _Scene, cell: _Cell, window: tuple[slice, slice], inside: NDArray[np.bool_]
) -> Floats:
    """Add the nucleus to the nucleus channel; returns its soft mask (h, w)."""
    rng = scene.rng
    hek = cell.kind == "HEK"
    radius = cell.radius * (rng.uniform(0.5, 0.64) if hek else rng.uniform(0.42, 0.56))
    away = cell.radius * (rng.uniform(0, 0.16) if hek else rng.uniform(0.15, 0.42))
    turn = rng.uniform(0, 2 * np.pi) if hek else cell.angle + np.pi * rng.integers(2)
    y, x = cell.y + away * np.sin(turn), cell.x + away * np.cos(turn)
    along, across = _own_axes(y, x, cell.angle + rng.normal(0, 0.4), window)
    stretch = rng.uniform(1.05, 1.22) if hek else rng.uniform(1.0, 1.08)
    distance = np.hypot(along / stretch, across * stretch) / radius
    soft = np.clip((1 - distance) * 5, 0, 1).astype(np.float32) * inside
    texture = 1 + (0.1 * scene.coarse if hek else 0.14 * scene.fine)[window]
    for _ in range(rng.integers(1, 4) if hek else rng.integers(2, 6)):
        spot_turn, spot_away = rng.uniform(0, 2 * np.pi), radius * rng.uniform(0.1, 0.65)
        a, b = along - spot_away * np.cos(spot_turn), across - spot_away * np.sin(spot_turn)
        width = radius * (rng.uniform(0.14, 0.24) if hek else rng.uniform(0.1, 0.17))
        strength = -rng.uniform(0.2, 0.5) if hek else rng.uniform(0.2, 0.75)
        texture += strength * np.exp(-(a**2 + b**2) / (2 * width**2))
    scene.light[1][window] += cell.nucleus * soft * np.maximum(texture, 0.1)
    return soft


def _draw_processes(scene: _Scene, cell: _Cell, number: int) -> None:
    """Grow up to three tapering processes out of a spindle; each ends where it meets a cell."""
    rng = scene.rng
    count = rng.choice(4, p=(0.14, 0.2, 0.46, 0.2))
    for index in range(count):
        heading = cell.angle + np.pi * index + rng.normal(0, 0.25 if index < 2 else 1.0)
        length = int(cell.radius * rng.uniform(1.0, 3.2) * 2)  # half-px steps
        width = rng.uniform(1.4, 2.6)
        turns = np.cumsum(rng.normal(0, 0.07, length)) + rng.normal(0, 0.01) * np.arange(length)
        start = cell.radius * np.sqrt(cell.aspect) * 0.6
        ys = cell.y + start * np.sin(heading) + 0.5 * np.cumsum(np.sin(heading + turns))
        xs = cell.x + start * np.cos(heading) + 0.5 * np.cumsum(np.cos(heading + turns))
        taper = np.linspace(1, 0.45, length) * width
        _stroke(scene, np.stack([ys, xs, taper], 1), number, 0.55 * cell.cytoplasm)


def _stroke(scene: _Scene, path: NDArray[np.float64], number: int, strength: float) -> None:
    """Lay discs along ``path`` (y, x, radius) until it leaves the canvas or meets another cell."""
    drawn = np.zeros(scene.shape, bool)
    started = False
    for y, x, radius in path:
        row, column = round(y), round(x)
        if not (0 <= row < scene.shape[0] and 0 <= column < scene.shape[1]):
            break
        owner = scene.labels[row, column]
        started = started or owner == number
        if owner not in (0, number) or not started:
            break
        window = scene.window(y, x, radius + 1)
        along, across = _own_axes(y, x, 0.0, window)
        drawn[window] |= along**2 + across**2 <= radius**2
    mine = drawn & (scene.labels == 0)
    scene.labels[mine] = number
    scene.light[0][mine] += strength * (1 + 0.2 * scene.coarse[mine]).clip(0.3)


def _visible(labels: NDArray[np.int32], count: int) -> tuple[NDArray[np.uint16], list[int]]:
    """Keep each cell's largest connected piece if it is large enough; number them 1 … n."""
    out = np.zeros(labels.shape, np.uint16)
    kept: list[int] = []
    for number, box in enumerate(ndimage.find_objects(labels, count), 1):
        if box is None:
            continue
        pieces, found = ndimage.label(labels[box] == number, np.ones((3, 3)))
        sizes = np.bincount(pieces.ravel(), minlength=found + 1)[1:]
        if not found or sizes.max() < SMALLEST_CELL:
            continue
        kept.append(number)
        out[box][pieces == 1 + int(sizes.argmax())] = len(kept)
    return out, kept


def _exposed(scene: _Scene) -> NDArray[np.uint16]:
    """What the camera sees: debris, haze, blur, uneven light, shot and read noise, an offset."""
    rng, light = scene.rng, scene.light
    _scatter_debris(scene)
    rows, columns = (np.linspace(-1, 1, n, dtype=np.float32) for n in scene.shape)
    tilt = rng.normal(0, 0.16, 2)
    lamp = 1 + tilt[0] * rows[:, None] + tilt[1] * columns[None]
    lamp -= rng.uniform(0, 0.22) * (rows[:, None] ** 2 + columns[None] ** 2)
    out = np.empty(light.shape, np.uint16)
    focus = rng.uniform(0.7, 1.5)
    for channel in range(2):
        sharp = ndimage.gaussian_filter(light[channel], focus * (1.0, 0.9)[channel])
        haze = _haze(light[channel], 12)
        photons = (sharp + rng.uniform(0.04, 0.14) * haze + rng.uniform(3, 14)) * lamp.clip(0.35)
        gain = rng.uniform(8, 22)
        counts = gain * rng.poisson(photons) + rng.normal(0, rng.uniform(10, 40), scene.shape)
        out[channel] = np.clip(counts + rng.uniform(90, 400), 0, 65535)
    return out


def _haze(light: Floats, sigma: float) -> Floats:
    """Out-of-focus light: a wide blur, done at quarter size for speed."""
    small = ndimage.gaussian_filter(light[::4, ::4], sigma / 4)
    return np.repeat(np.repeat(small, 4, 0), 4, 1)[: light.shape[0], : light.shape[1]]


def _scatter_debris(scene: _Scene) -> None:
    """Small bright specks and broad dim blobs that belong to no cell."""
    rng = scene.rng
    for _ in range(rng.poisson(9 * scene.shape[0] * scene.shape[1] / 256**2)):
        y, x = rng.uniform(0, scene.shape[0]), rng.uniform(0, scene.shape[1])
        dim = rng.random() < 0.25
        width = rng.uniform(4, 9) if dim else rng.uniform(0.7, 1.8)
        window = scene.window(y, x, 3 * width)
        along, across = _own_axes(y, x, 0.0, window)
        spot = rng.uniform(8, 25) if dim else rng.uniform(30, 160)
        blob = spot * np.exp(-(along**2 + across**2) / (2 * width**2))
        scene.light[0][window] += blob * rng.uniform(0, 1)
        scene.light[1][window] += blob * rng.uniform(0, 1)


def plan_folder(count: int, layout: Layout) -> Iterator[tuple[str, str, int]]:
    """(file stem, kind, batch) of each image, e.g. ("HEK_b1_001", "HEK", 1)."""
    for index in range(count):
        kind = layout.kinds[index % len(layout.kinds)]
        batch = layout.first_batch + index // layout.batch_size
        yield f"{kind}_b{batch}_{index % layout.batch_size + 1:03d}", kind, batch


def write_folder(
    folder: Path,
    count: int,
    seed: int = 0,
    masked: float | Callable[[str], bool] = 0.3,
    layout: Layout | None = None,
) -> list[WrittenImage]:
    """Write ``count`` images as ImageJ TIFF (CYX, uint16) named ``{type}_{batch}_{field}.tif``.

    ``masked`` says which get ``_masks.tif`` and ``_types.csv`` (label,type) beside them: a
    fraction of the batches (whole batches, so a lab's hand-segmented plates), or a function of the
    file stem.
    """
    folder.mkdir(parents=True, exist_ok=True)
    layout = layout or Layout()
    written = []
    for index, (stem, kind, batch) in enumerate(plan_folder(count, layout)):
        drawn = draw_image(kind, layout.shape, (seed, index))
        path = folder / f"{stem}.tif"
        write_image(path, drawn.image)
        order = batch - layout.first_batch
        beside = (
            masked(stem) if callable(masked) else int((order + 1) * masked) > int(order * masked)
        )
        if beside:
            write_annotation(path, drawn)
        written.append(WrittenImage(path, kind, batch, beside))
    return written


def write_image(path: Path, image: NDArray[np.uint16]) -> None:
    """Write a (C, H, W) image as an ImageJ hyperstack with its pixel size."""
    per_um = 1 / PIXEL_SIZE_UM
    tifffile.imwrite(
        path,
        image,
        imagej=True,
        resolution=(per_um, per_um),
        metadata={"axes": "CYX", "unit": "um"},
    )


def write_annotation(path: Path, drawn: SyntheticImage) -> None:
    """Write ``X_masks.tif`` and ``X_types.csv`` beside the image ``X.tif``."""
    tifffile.imwrite(path.with_name(f"{path.stem}_masks.tif"), drawn.labels, compression="zlib")
    with path.with_name(f"{path.stem}_types.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("label", "type"))
        rows.writerows(sorted(drawn.types.items()))
