"""Data sets: their channels, cell types and settings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.db.models.expressions import RawSQL

from annotator.exceptions import BadInput, Conflict
from annotator.models import CellType, Dataset, Family, Membership, PredictedCell, Role
from annotator.models.images import MIXED
from annotator.naming import check_pattern
from annotator.readers import IGNORED, MAX_CHANNELS, MODEL_ROLES
from annotator.selectors.runs import live_runs
from annotator.selectors.searches import live_searches
from inference.strategies_novelty import EVERY

# Okabe and Ito's palette: told apart by colour-blind people too.
COLORS = ("#e69f00", "#56b4e9", "#f0e442", "#d55e00", "#cc79a7", "#009e73", "#0072b2", "#999999")
SETTINGS = (
    "description",
    "type_pattern",
    "retrain_after_cells",
    "retrain_every_hours",
    "auto_promote",
    "type_margin",
    "lease_minutes",
    "asking",
    "strategy",
    "region_minutes",
    "gold_every",
    "repeat_every",
)
MOST_TYPES = 100
_NAME = re.compile(r"[^\s,;/\\](?:[^,;/\\]{0,38}[^\s,;/\\])?")
# Control characters and line separators: they break the lines of tables and file names.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
DEFAULT_PATTERN = "{type}_{batch}_{field}"
# The probabilities of a cell with one key called otherwise, for each database: a data set has
# millions of cells, too many to read and write back.
_KEY_RENAMED = {
    "sqlite": "(SELECT json_group_object(CASE key WHEN %s THEN %s ELSE key END, value)"
    " FROM json_each(probabilities))",
    "postgresql": "(SELECT jsonb_object_agg(CASE key WHEN %s THEN %s ELSE key END, value)"
    " FROM jsonb_each(probabilities))",
}


@transaction.atomic
def dataset_create(
    *,
    name: str,
    channels: Sequence[str],
    types: Sequence[str],
    type_pattern: str = DEFAULT_PATTERN,
    owner: User | None = None,
    auto_promote: bool = False,
) -> Dataset:
    """Make a data set whose manager is ``owner``.

    Raises:
        BadInput: an unusable name, channel, type or pattern.
        Conflict: the name is taken.
    """
    if not re.fullmatch(r"[-A-Za-z0-9_]{1,80}", name):
        raise BadInput(
            f"The name {name!r} cannot be used: 1 to 80 letters, digits, - and _.",
            fields={"name": ["Letters, digits, - and _ only."]},
        )
    check_channels(channels)
    check_types(types)
    check_pattern(type_pattern)
    try:
        with transaction.atomic():
            dataset = Dataset.objects.create(
                name=name,
                channels=list(channels),
                type_pattern=type_pattern,
                auto_promote=auto_promote,
            )
    except IntegrityError as error:
        raise Conflict(
            f"There is a data set called {name} already; choose another name.",
            fields={"name": ["Taken."]},
        ) from error
    for type_name in types:
        _type_add(dataset, type_name)
    if owner is not None:
        Membership.objects.create(dataset=dataset, user=owner, role=Role.MANAGER)
    return dataset


@transaction.atomic
def dataset_update(
    *,
    dataset: Dataset,
    changes: Mapping[str, Any],
    channels: Sequence[str] | None = None,
    types: Sequence[Mapping[str, Any]] | None = None,
) -> Dataset:
    """Change settings; add, rename and recolour types; change channels while there are no images.

    ``types`` holds ``{"id"?, "name"?, "color"?}``: with an id that type changes, without it is
    added; types left out stay.

    Raises:
        BadInput: a value that cannot be used.
        Conflict: channels changed although images were read with the old ones; a type renamed
            while a detector is trained to tell it by its name.
    """
    if "type_pattern" in changes:
        check_pattern(changes["type_pattern"])
    _check_asking(changes)
    # One change at a time: two managers who add a type at once must not take the same index.
    Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    changed = [name for name in SETTINGS if name in changes]
    for name in changed:
        setattr(dataset, name, changes[name])
    if channels is not None and list(channels) != dataset.channels:
        check_channels(channels)
        if dataset.images.exists():
            raise Conflict("The channels are fixed once images were imported; make a new data set.")
        dataset.channels = list(channels)
        changed.append("channels")
    # Only these: what somebody else has set since this row was read stays.
    dataset.save(update_fields=changed)
    added = sum(wanted.get("id") is None for wanted in types or ())
    if added and dataset.types.count() + added > MOST_TYPES:
        raise BadInput(
            f"A data set has {MOST_TYPES} types at most.", fields={"types": ["Too many."]}
        )
    for wanted in types or ():
        _type_change(dataset, wanted)
    return dataset


def _check_asking(changes: Mapping[str, Any]) -> None:
    """Refuse a strategy that there is not, and checks at every single ask."""
    strategy = changes.get("strategy")
    if strategy is not None and strategy not in EVERY:
        known = ", ".join(sorted(EVERY))
        raise BadInput(
            f"There is no strategy {strategy[:40]!r}; choose one of {known}.",
            fields={"strategy": [f"One of {known}."]},
        )
    for name in ("gold_every", "repeat_every"):
        if changes.get(name) == 1:
            raise BadInput(
                f"{name} cannot be 1: every ask would be a check and nothing new be annotated; use "
                "0 for never, or 2 and more.",
                fields={name: ["0 for never, or 2 and more."]},
            )


def _type_change(dataset: Dataset, wanted: Mapping[str, Any]) -> None:
    if wanted.get("id") is None:
        check_types([*dataset.types.values_list("name", flat=True), wanted.get("name", "")])
        _type_add(dataset, wanted["name"], wanted.get("color"))
        return
    row = dataset.types.filter(pk=wanted["id"]).first()
    if row is None:
        raise BadInput(f"This data set has no type with the id {wanted['id']}.")
    if wanted.get("name") and wanted["name"] != row.name:
        others = dataset.types.exclude(pk=row.pk).values_list("name", flat=True)
        check_types([*others, wanted["name"]])
        _type_rename(row, wanted["name"])
    row.color = _checked_color(wanted.get("color") or row.color)
    row.save()


def _type_rename(row: CellType, name: str) -> None:
    """Call ``row`` ``name``, in cultures, detectors' meta and what these have predicted too."""
    live = live_runs().filter(dataset=row.dataset, family=Family.DETECTOR).first()
    if live is not None:
        raise Conflict(
            f"The type {row.name} cannot be renamed while run {live.pk} trains a detector to tell "
            "it; wait for its end or cancel it."
        )
    if live_searches().filter(dataset=row.dataset, family=Family.DETECTOR).exists():
        raise Conflict(
            f"The type {row.name} cannot be renamed while a search trains detectors to tell it;"
            " wait for its end or cancel it."
        )
    # The detectors come first: who stores a prediction holds its detector while it reads types.
    versions = row.dataset.versions.select_for_update(no_key=True).filter(family=Family.DETECTOR)
    knowing = [version for version in versions if row.name in version.meta.get("types", [])]
    for version in knowing:
        # Not in the stored file: each name is known by its place there.
        types = [name if each == row.name else each for each in version.meta["types"]]
        version.meta = version.meta | {"types": types}
        version.save(update_fields=["meta"])
    cells = PredictedCell.objects.filter(prediction__detector__in=knowing)
    cells.exclude(probabilities={}).update(
        probabilities=RawSQL(_KEY_RENAMED[connection.vendor], [row.name, name])
    )
    row.dataset.images.filter(culture_type=row).update(culture=name)
    row.name = name


def _type_add(dataset: Dataset, name: str, color: str | None = None) -> None:
    last = dataset.types.order_by("-index").first()
    index = last.index + 1 if last else 0
    CellType.objects.create(
        dataset=dataset,
        name=name,
        index=index,
        color=_checked_color(color or COLORS[index % len(COLORS)]),
    )


def _checked_color(color: str) -> str:
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", color):
        raise BadInput(f"The colour {color!r} is not written as #rrggbb.")
    return color.lower()


def check_channels(channels: Sequence[str]) -> None:
    """Raise BadInput unless these are the roles of a file's channels."""
    used = [role for role in channels if role != IGNORED]
    wrong = [role for role in used if role not in MODEL_ROLES]
    if wrong or not used or len(set(used)) != len(used) or len(channels) > MAX_CHANNELS:
        raise BadInput(
            f"The channels {', '.join(channels) or '(none)'} cannot be used: name up to "
            f"{MAX_CHANNELS} in file order, cytoplasm and nucleus once each or one of them, and "
            "- for every channel to ignore.",
            fields={"channels": ["cytoplasm, nucleus or - in file order."]},
        )


def check_types(types: Sequence[str]) -> None:
    """Raise BadInput unless these can be the names of one data set's types."""
    lowered = [name.lower() for name in types]
    for name in types:
        if not _NAME.fullmatch(name) or _UNSEEN.search(name):
            raise BadInput(
                f"The type {name!r} cannot be used: 1 to 40 characters without commas, slashes or "
                "control characters.",
                fields={"types": [f"{name!r} cannot be used."]},
            )
        if name.lower() == MIXED or lowered.count(name.lower()) > 1:
            raise BadInput(
                f"The type {name} cannot be used: "
                + (
                    "the word stands for mixed cultures."
                    if name.lower() == MIXED
                    else "it is there twice."
                ),
                fields={"types": [f"{name!r} cannot be used."]},
            )
