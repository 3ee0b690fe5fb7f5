"""The sets that strategies are compared on: drawn ones with rare hard cases, and folders."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.segmenter import imread, masks_beside, planes_of
from inference.labels import relabel
from training.study_images import RawImage, write_set
from training.synthetic import draw_image
from training.synthetic_hard import HARD, draw_hard

USUAL_KINDS = ("HEK", "N2a", "mixed")
HARD_EVERY = 8  # one image in so many of the pool is hard, by one of ``HARD`` in turn
_TESTED = 3  # one image in so many is a test image where a folder does not say which
_FEW = 16  # images up to which each is cut in four
_BRIGHT = 127  # median of 8 bits above which an RGB image shows transmitted light
_VERSION = 4  # raised when a set is made otherwise


def synthetic(pool: int, test: int, seed: int = 0) -> Iterator[RawImage]:
    """Drawn co-cultures. In the pool one image in ``HARD_EVERY`` is a hard case; of the test
    images, half: a lab wants its rare conditions right, too, and nobody would see in a mean over
    mostly usual images whether they are.
    """
    hard = list(HARD)
    for split, count, every in (("train", pool, HARD_EVERY), ("test", test, 2)):
        for number in range(count):
            kind = USUAL_KINDS[number % len(USUAL_KINDS)]
            told = (seed, number, int(split == "test"))
            turn, rest = divmod(number, every)
            case = hard[turn % len(hard)] if rest == every - 1 else ""
            drawn = draw_hard(case, kind, seed=told) if case else draw_image(kind, seed=told)
            yield RawImage(
                f"{kind}_{number}", drawn.image, drawn.labels, {}, case or "usual", split
            )


def of_folder(folder: Path, typed: bool = False) -> Iterator[RawImage]:
    """The images of a folder that have masks beside them; its ``train`` and ``test`` if it has such
    folders, else every third is a test image. A few images are cut in four.

    ``typed``: types from ``X_types.csv`` (label,type), or else from the name's first word.
    """
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        for split in ("train", "test"):
            for file, masks in _masked(folder / split):
                yield _read(file, masks, split, typed)
        return
    found = _masked(folder)
    for (file, masks), split in zip(found, _splits(found, typed), strict=True):
        image = _read(file, masks, split, typed)
        yield from (_quarters(image) if len(found) <= _FEW else [image])


def _masked(folder: Path) -> list[tuple[Path, Path]]:
    found = [pair for pair in map(masks_beside, sorted(folder.iterdir())) if pair is not None]
    if not found:
        raise SystemExit(f"{folder} holds no image with a _masks file beside it")
    return found


def _splits(files: Sequence[tuple[Path, Path]], typed: bool) -> list[str]:
    """Every third field of each type (by the name's first word) is tested, of untyped ones of all.

    Images of equal masks are one field, seen in two ways.
    """
    seen: dict[str, int] = {}
    fields: dict[bytes, str] = {}
    splits = []
    for file, masks in files:
        field = hashlib.sha256(masks.read_bytes()).digest()
        if field not in fields:
            word = _word(file) if typed else ""
            fields[field] = "test" if seen.get(word, 0) % _TESTED == _TESTED - 1 else "train"
            seen[word] = seen.get(word, 0) + 1
        splits.append(fields[field])
    return splits


def _word(file: Path) -> str:
    return file.stem.split("_")[0]


def _read(file: Path, masks: Path, split: str, typed: bool) -> RawImage:
    labels, ids = relabel(imread(masks))
    types = _types(file, ids) if typed else {}
    kinds = sorted(set(types.values()))
    pixels = stains_of(imread(file)) if typed else planes_of(imread(file))
    return RawImage(file.stem, pixels, labels, types, kinds[0] if len(kinds) == 1 else "", split)


def _types(file: Path, ids: NDArray[np.int64]) -> dict[int, str]:
    table = file.with_name(f"{file.stem}_types.csv")
    if not table.exists():
        return {label: _word(file) for label in range(1, ids.size + 1)}
    number = {int(old): new for new, old in enumerate(ids, 1)}
    with table.open(newline="") as stream:
        rows = [(int(row["label"]), row["type"].strip()) for row in csv.DictReader(stream)]
    return {number[label]: name for label, name in rows if label in number and name}


def stains_of(image: NDArray[Any]) -> NDArray[Any]:
    """As ``planes_of``; of a coloured RGB image its nuclei and its marker: blue and red light, or
    in transmitted light what a blue and a brown stain take from red and blue.
    """
    rgb = image.ndim == 3 and image.shape[-1] in (3, 4)
    if not rgb or (image[..., 0] == image[..., 2]).all():
        return planes_of(image)
    if np.median(image[..., :3]) > _BRIGHT:
        return np.asarray(255 - image[..., [0, 2]].transpose(2, 0, 1))
    return np.asarray(image[..., [2, 0]].transpose(2, 0, 1))


def _quarters(image: RawImage) -> Iterator[RawImage]:
    height, width = (side // 2 for side in image.labels.shape)
    for row in (0, 1):
        for column in (0, 1):
            place = (
                slice(row * height, (row + 1) * height),
                slice(column * width, (column + 1) * width),
            )
            labels, ids = relabel(image.labels[place])
            types = {n: image.types[int(i)] for n, i in enumerate(ids, 1) if int(i) in image.types}
            name = f"{image.name}-{row}{column}"
            pixels = image.pixels[(slice(None), *place)]
            yield RawImage(name, pixels, labels, types, image.kind, image.split)


def kept_set(
    place: Path, name: str, said: str, make: Callable[[], Iterator[RawImage]], diameter: float
) -> Path:
    """The folder of a set, made once of what ``said`` describes."""
    digest = hashlib.sha256(f"{_VERSION} {said} {diameter}".encode()).hexdigest()[:12]
    folder = place / digest / name
    if (folder / "manifest.json").exists():
        return folder
    images = list(make())
    planes = {image.pixels.shape[0] for image in images}
    if len(planes) > 1:
        raise SystemExit(f"Some images of {name} have one filled plane and some have two.")
    channels = ("cytoplasm", "nucleus")[-planes.pop() :]
    types = sorted({kind for image in images for kind in image.types.values()})
    return write_set(folder, images, channels, types, diameter)


def files_said(folder: Path) -> str:
    """What tells whether a folder's images are still the same."""
    found = sorted(file for file in folder.rglob("*") if file.is_file())
    return " ".join(f"{file.relative_to(folder)}:{file.stat().st_size}" for file in found)
