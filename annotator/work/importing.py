"""Models from files: cellpose 2/3 checkpoints, folders or zips of our own, and what a training
bundle has made elsewhere.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

from annotator.exceptions import BadInput, UnreadableModel
from annotator.models import Dataset, Family, ModelVersion, TrainingRun
from annotator.readers import model_channels
from annotator.services.arrivals import (
    Arrival,
    arrival_open,
    arrival_record,
    arrival_refuse_known,
)
from annotator.services.versions import version_create, version_promote_over
from inference import checkpoint
from inference.detector import Detector
from inference.errors import InferenceError
from inference.segmenter import Segmenter
from training import sealed

LARGEST_DIAMETER = 10_000  # px
LARGEST = {checkpoint.WEIGHTS: 8 * 2**30, checkpoint.META: 16 * 2**20}  # bytes, out of a zip
NOT_A_MODEL = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,  # torch's, and Python's at JSON nested too deeply
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)


def import_model(
    *,
    dataset: Dataset,
    family: str,
    file: Path,
    diameter: float | None = None,
    precision: str | None = None,
    run: TrainingRun | None = None,
) -> ModelVersion:
    """Make a version of the model in ``file``; it is current at once when there is none yet.

    ``diameter`` (px) is then used for every image instead of an estimate, and a segmenter computes
    in ``precision``: in "float32", as a checkpoint does unless told otherwise, it gives cellpose's
    masks to the pixel, in "bfloat16" nearly the same several times faster. What a bundle has made
    elsewhere comes with its run: ``run`` when that has a row already. Raises ``UnreadableModel`` or
    ``InferenceError`` saying what the file is not, ``BadInput``, and ``Conflict`` for a model made
    elsewhere that is here already.
    """
    if diameter is not None and not 1 <= diameter < LARGEST_DIAMETER:
        raise BadInput("The diameter is that of a cell in pixels, 1 or more.")
    if precision is not None and family != Family.SEGMENTER:
        raise BadInput("Only a segmenter has a choice of precision; leave --precision out.")
    if not file.exists():
        raise UnreadableModel(f"There is no file {file}.")
    with tempfile.TemporaryDirectory(prefix="import-") as temporary:
        folder = Path(temporary) / "model"
        try:
            arrival = _unpack(dataset, family, file, folder)
            _change(folder, diameter, precision)
            _try(dataset, folder, family)
        except InferenceError as error:
            raise UnreadableModel(error.message.replace(str(folder), file.name)) from error
        except NOT_A_MODEL as error:  # weights and meta come from anywhere and may hold anything
            raise UnreadableModel(
                f"{file.name} holds no usable model: its weights or its {checkpoint.META} are not"
                f" what a {family} has."
            ) from error
        if arrival and run is None and diameter is None and precision is None:
            arrival_refuse_known(dataset=dataset, arrival=arrival)
        parent = arrival.base if arrival else None
        version = version_create(
            dataset=dataset, family=family, folder=folder, parent=parent, run=run
        )
    if arrival and run is None:
        arrival_record(dataset=dataset, arrival=arrival, version=version)
    version_promote_over(version=version, compared=None)
    return version


def _unpack(dataset: Dataset, family: str, file: Path, folder: Path) -> Arrival | None:
    if sealed.kind_of(file) is not None:
        arrival = arrival_open(dataset=dataset, file=file, folder=folder)
        if arrival.family != family:
            raise UnreadableModel(f"The model is a {arrival.family}, not a {family}.")
        return arrival
    if _is_cut_off(file):
        raise UnreadableModel(
            f"{file.name} is no whole zip: it was cut off. Copy or download it again."
        )
    if file.is_dir() or (zipfile.is_zipfile(file) and _is_ours(file)):
        _own(file, folder)
    elif family == Family.SEGMENTER:
        channels = model_channels(dataset.channels)
        checkpoint.save(folder, *checkpoint.import_cellpose(file, channels))
    else:
        raise UnreadableModel(
            f"{file.name} is no detector: give a folder or zip with {checkpoint.WEIGHTS} and"
            f" {checkpoint.META}, as exported from another data set."
        )
    return None


def _is_cut_off(file: Path) -> bool:
    """A file that begins as a zip and does not end as one."""
    if file.is_dir() or zipfile.is_zipfile(file):
        return False
    with file.open("rb") as stream:
        return stream.read(4) == b"PK\x03\x04"


def _is_ours(file: Path) -> bool:
    """PyTorch's own checkpoints are zips too."""
    with zipfile.ZipFile(file) as archive:
        return any(Path(name).name == checkpoint.META for name in archive.namelist())


def _change(folder: Path, diameter: float | None, precision: str | None) -> None:
    """Write the importer's wishes into the model's meta."""
    if diameter is None and precision is None:
        return
    state, meta = checkpoint.load(folder)
    if diameter is not None:
        meta = replace(meta, fixed_diameter=diameter)
    if precision is not None:
        meta = replace(meta, settings=meta.settings | {"precision": precision})
    checkpoint.save(folder, state, meta)


def _own(source: Path, folder: Path) -> None:
    """Copy weights and meta, and nothing else, into ``folder``."""
    folder.mkdir()
    for name in (checkpoint.WEIGHTS, checkpoint.META):
        if source.is_dir():
            if not (source / name).is_file():
                raise UnreadableModel(f"{source} holds no {name}.")
            shutil.copyfile(source / name, folder / name)
        else:
            _extract(source, name, folder / name)


def _extract(file: Path, name: str, target: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        found = [member for member in archive.namelist() if Path(member).name == name]
        if len(found) != 1:
            raise UnreadableModel(f"{file.name} holds {len(found)} files {name} instead of one.")
        if archive.getinfo(found[0]).file_size > LARGEST[name]:
            raise UnreadableModel(f"{file.name}: {name} unpacks to more than any model has.")
        with archive.open(found[0]) as source, target.open("wb") as out:
            shutil.copyfileobj(source, out)


def _try(dataset: Dataset, folder: Path, family: str) -> None:
    """Load the model once, so that weights which do not fit their meta are refused here."""
    loader = Segmenter if family == Family.SEGMENTER else Detector
    meta = checkpoint.load_meta(folder)
    if meta.family != family:
        raise UnreadableModel(f"The model is a {meta.family}, not a {family}.")
    json.dumps(meta.to_json(), allow_nan=False)  # the database takes no NaN
    if not all(0 < each < LARGEST_DIAMETER for each in (meta.diameter, meta.fixed_diameter or 1)):
        raise ValueError("a diameter that no cell has")
    foreign = sorted(set(meta.types) - set(dataset.types.values_list("name", flat=True)))
    if foreign:
        raise UnreadableModel(
            f"The model tells the type {foreign[0]}, which {dataset.name} does not have; add it."
        )
    loader.load(folder)
