"""Model versions: weights into storage, one row each, and which of them predicts."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from annotator import storage
from annotator.dispatch import Job, enqueue
from annotator.exceptions import Conflict, UnreadableModel
from annotator.models import Dataset, ModelVersion, Stage, TrainingRun
from annotator.readers import model_channels
from annotator.selectors.versions import current_version
from inference.files import synced, tensors_are_whole, told_when_full
from inference.strict import strict_json

log = logging.getLogger(__name__)

WEIGHTS, META = "weights.safetensors", "meta.json"
_MOST_NAMES, _LONGEST_NAME = 1000, 100  # of channels or types: more than any data set has


def version_create(
    *,
    dataset: Dataset,
    family: str,
    folder: Path,
    parent: ModelVersion | None = None,
    run: TrainingRun | None = None,
    claim: str = "",
) -> ModelVersion:
    """Store the model in ``folder`` as the family's next version, a candidate.

    ``run``'s candidate is set in the same transaction; a run that has one already gets it back,
    so a worker that died in between does not leave two. With ``claim``, ``Conflict`` when another
    worker has taken the run over since. Raises ``UnreadableModel`` when the
    folder holds no model of this family for this data set's channels.
    """
    meta = version_check(dataset=dataset, family=family, folder=folder)
    sha256 = storage.sha256_of(folder / WEIGHTS)
    # Addressed by content, meta included: the same weights may be imported at two diameters.
    named = hashlib.sha256(sha256.encode() + json.dumps(meta, sort_keys=True).encode())
    key = f"models/{named.hexdigest()}"
    storage.put(f"{key}/{WEIGHTS}", folder / WEIGHTS)
    storage.put(f"{key}/{META}", folder / META)
    with transaction.atomic():
        # One at a time per data set, so that numbers have no gaps and no clashes.
        Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
        if run is not None:
            run.refresh_from_db(fields=["candidate", "claim", "base"])
            if claim and run.claim != claim:
                raise Conflict(f"Another worker has taken run {run.pk} over.")
            if run.candidate is not None:
                return run.candidate
            # Deleted since the training began, which has its weights already.
            parent = None if run.lost_base else parent
        newest = ModelVersion.objects.filter(dataset=dataset, family=family).first()
        version = ModelVersion.objects.create(
            dataset=dataset,
            family=family,
            number=newest.number + 1 if newest else 1,
            parent=parent,
            key=key,
            sha256=sha256,
            meta=meta,
        )
        if run is not None:
            run.candidate = version
            run.save(update_fields=["candidate"])
    return version


def version_check(
    *, dataset: Dataset, family: str, folder: Path, name: str = "The folder"
) -> dict[str, Any]:
    """The meta of the model in ``folder``; ``UnreadableModel`` unless it is one for ``dataset``.

    ``name`` is what the message calls it: its reader may not know this server's disk.
    """
    try:
        meta: dict[str, Any] = strict_json((folder / META).read_text())
    except (OSError, ValueError) as error:
        raise UnreadableModel(f"{name} holds no model: {META} cannot be read.") from error
    if not isinstance(meta, dict):
        raise UnreadableModel(f"{name} holds no model: {META} is no JSON object.")
    for key in ("channels", "types"):
        if not _are_names(meta.get(key, [])):
            raise UnreadableModel(f"{name} holds no model: {key} in {META} is no list of names.")
    if not (folder / WEIGHTS).is_file():
        raise UnreadableModel(f"{name} holds no model: {WEIGHTS} is missing.")
    if not tensors_are_whole(folder / WEIGHTS):
        raise UnreadableModel(f"{name} holds no model: {WEIGHTS} is cut short, or no safetensors.")
    if meta.get("family") != family:
        raise UnreadableModel(f"The model is a {str(meta.get('family'))[:40]}, not a {family}.")
    _check_channels(dataset, meta)
    foreign = set(meta.get("types", [])) - set(dataset.types.values_list("name", flat=True))
    if foreign:  # the run was begun before a type was renamed
        raise UnreadableModel(
            f"The model tells the type {min(foreign)}, which {dataset.name} does not have (any"
            " more); start a new run."
        )
    return meta


def _are_names(value: Any) -> bool:
    """What somebody's file may hold instead is quoted in no message and breaks no comparison."""
    return (
        isinstance(value, list)
        and len(value) <= _MOST_NAMES
        and all(isinstance(each, str) and len(each) <= _LONGEST_NAME for each in value)
    )


def _check_channels(dataset: Dataset, meta: dict[str, Any]) -> None:
    ours, its = list(model_channels(dataset.channels)), list(meta.get("channels", []))
    if ours != its:
        raise UnreadableModel(
            f"The model sees {', '.join(its)}, but {dataset.name} has {', '.join(ours)}."
        )


@transaction.atomic
def version_promote_over(*, version: ModelVersion, compared: ModelVersion | None) -> bool:
    """Promote ``version`` if ``compared`` (None: no version) is still the current one.

    False, and nothing changed, when another version was promoted since the two were compared.
    """
    dataset = Dataset.objects.select_for_update(no_key=True).get(pk=version.dataset_id)
    if current_version(dataset, version.family) != compared:
        return False
    version_promote(version=version)
    return True


@transaction.atomic
def version_promote(*, version: ModelVersion) -> ModelVersion:
    """Let ``version`` predict from now on, a retired one too; the images are predicted again."""
    dataset = Dataset.objects.select_for_update(no_key=True).get(pk=version.dataset_id)
    try:
        _check_channels(dataset, version.meta)
    except UnreadableModel as error:
        raise Conflict(f"{version} cannot be promoted: {error.message}") from error
    version.refresh_from_db()
    if version.stage == Stage.CURRENT:
        return version
    before = current_version(dataset, version.family)
    if before is not None:
        before.stage = Stage.RETIRED
        before.save(update_fields=["stage"])
    version.stage = Stage.CURRENT
    version.promoted_at = timezone.now()
    version.save(update_fields=["stage", "promoted_at"])
    enqueue(Job.PREDICT_IMAGES, dataset.pk)
    return version


def version_folder(version: ModelVersion) -> Path:
    """The model's folder on this machine, fetched from storage the first time.

    Its meta.json has the names that the types have today.
    """
    name = version.key.rsplit("/", 1)[1]
    place = Path(settings.MODELS_DIR) / name
    if place.is_dir() and not _is_whole(place):
        log.warning("The copy of %s in %s is damaged; fetched again.", version, place)
        shutil.rmtree(place, ignore_errors=True)
    folder = storage.folder_get(version.key, place)
    meta = json.loads((folder / META).read_text())
    types = version.meta.get("types", [])
    return folder if meta.get("types", []) == types else _renamed(folder, meta | {"types": types})


def _is_whole(folder: Path) -> bool:
    """Whether a power cut has left a fetched model as it was."""
    try:
        json.loads((folder / META).read_text())
    except (OSError, ValueError):
        return False
    return tensors_are_whole(folder / WEIGHTS)


def _renamed(folder: Path, meta: dict[str, Any]) -> Path:
    """A folder beside ``folder`` with the same weights and ``meta``, made the first time."""
    mark = hashlib.sha256(json.dumps(meta["types"]).encode()).hexdigest()[:12]
    into = folder.with_name(f"{folder.name}-{mark}")
    if into.is_dir() and _is_whole(into):
        return into
    shutil.rmtree(into, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{into.name}.", dir=folder.parent))
    try:
        with told_when_full(fresh):
            shutil.copyfile(folder / WEIGHTS, fresh / WEIGHTS)
            (fresh / META).write_text(json.dumps(meta))
            synced(fresh / WEIGHTS)
            synced(fresh / META)
        try:
            fresh.rename(into)
        except OSError:
            if not into.is_dir():  # else another process was first with the same
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return into
