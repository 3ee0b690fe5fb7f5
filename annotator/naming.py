"""What a file name says: kind of file, type, batch, plate, well, donor, field, and so the split."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePath, PureWindowsPath

from annotator.exceptions import BadInput
from annotator.models.images import MIXED, Split
from annotator.readers import EXTENSIONS

LABEL_SUFFIXES = ("_cp_masks", "_masks")
# Written by cellpose beside images and by others beside masks; neither images nor labels.
IGNORED_SUFFIXES = ("_flows", "_outlines", "_cp_output", "_cellprob", "_seg")
IMAGE_SUFFIX = "_img"
LONGEST_PATTERN = 200
PLACES = ("donor", "batch", "plate", "well")  # together they name the group of a split
SHARES = ((0.70, Split.TRAIN), (0.85, Split.VALIDATION), (1.0, Split.TEST))


class Kind(StrEnum):
    """What a file is, by its name."""

    IMAGE = "image"
    LABELS = "labels"  # masks as TIFF or PNG, _seg.npy, _rois.zip
    TYPES = "types"
    IGNORED = "ignored"


@dataclass(frozen=True)
class FileRole:
    """Kind of a file and the stem it shares with its image."""

    kind: Kind
    stem: str
    suffix: str = ""  # _masks, _cp_masks, _seg, _rois, _types


@dataclass(frozen=True)
class ParsedName:
    """What the data set's pattern finds in a stem; empty when it does not match."""

    matched: bool = False
    type_word: str = ""  # as written in the name
    culture: str = ""  # a type's name as the data set spells it, "mixed" or ""
    parts: dict[str, str] = field(default_factory=dict)

    @property
    def unknown_type(self) -> bool:
        """The pattern found a type that the data set does not have."""
        return bool(self.type_word) and not self.culture

    @property
    def group(self) -> str:
        """What must not straddle splits, e.g. ``batch=b1 well=A01``; "" when unknown."""
        return " ".join(f"{place}={self.parts[place]}" for place in PLACES if place in self.parts)


def base_name(name: str) -> str:
    """The last part of a path, whichever separator it uses: a name cannot leave its folder."""
    base = PureWindowsPath(name).name.replace("\0", "")
    if base in ("", ".", ".."):
        raise BadInput(f"{name!r} is no file name.")
    return base[-255:]


def file_role(name: str) -> FileRole:
    """Sort ``name`` by the field's conventions (``X_masks.tif``, ``X_seg.npy``, …)."""
    path = PurePath(base_name(name))
    stem, extension = path.stem, path.suffix.lower()
    if path.name.lower().endswith((".ome.tif", ".ome.tiff")):
        stem = PurePath(stem).stem
    if path.name.startswith("."):
        return FileRole(Kind.IGNORED, stem)
    for suffix, wanted, kind in (
        ("_seg", ".npy", Kind.LABELS),
        ("_rois", ".zip", Kind.LABELS),
        ("_types", ".csv", Kind.TYPES),
    ):
        if extension == wanted and stem.lower().endswith(suffix):
            return FileRole(kind, _owner(stem, suffix), suffix)
    if extension not in EXTENSIONS:
        return FileRole(Kind.IGNORED, stem)
    for suffix in LABEL_SUFFIXES:
        if stem.lower().endswith(suffix):
            return FileRole(Kind.LABELS, _owner(stem, suffix), suffix)
    if stem.lower().endswith(IGNORED_SUFFIXES):
        return FileRole(Kind.IGNORED, stem)
    return FileRole(Kind.IMAGE, image_stem(stem))


def _owner(stem: str, suffix: str) -> str:
    return image_stem(stem[: -len(suffix)])


def image_stem(stem: str) -> str:
    """``X`` of ``X_img``: the stem that masks and types share with their image."""
    return stem[: -len(IMAGE_SUFFIX)] if stem.lower().endswith(IMAGE_SUFFIX) else stem


def check_pattern(pattern: str) -> None:
    """Raise BadInput unless ``pattern`` is placeholders such as ``{type}_{batch}_{field}``."""
    if len(pattern) > LONGEST_PATTERN:
        raise BadInput(f"The pattern is longer than {LONGEST_PATTERN} characters.")
    names = re.findall(r"\{([^{}]*)\}", pattern)
    wrong = [name for name in names if not re.fullmatch(r"[a-z]+", name)]
    rest = re.sub(r"\{[a-z]+\}", "", pattern)
    if wrong or "{" in rest or "}" in rest or len(set(names)) != len(names):
        raise BadInput(
            f"The pattern {pattern!r} cannot be used: write placeholders such as {{type}}, "
            "{batch}, {plate}, {well}, {donor} and {field} once each, in lower case."
        )
    if re.search(r"\}\{", pattern):
        raise BadInput(f"Two placeholders in {pattern!r} touch; put a separator between them.")


def parse_name(stem: str, pattern: str, types: Sequence[str]) -> ParsedName:
    """Read ``stem`` (see :attr:`FileRole.stem`) by a data set's ``pattern``.

    Types are compared without regard to case; ``mixed`` is always known.
    """
    if not pattern:
        return ParsedName()
    found = re.fullmatch(_expression(pattern, types), stem, flags=re.IGNORECASE)
    if found is None:
        return ParsedName()
    parts = {name: text for name, text in found.groupdict().items() if text}
    word = parts.pop("type", "") if types else ""
    spelled = {name.lower(): name for name in (MIXED, *types)}
    return ParsedName(True, word, spelled.get(word.lower(), ""), parts)


def _expression(pattern: str, types: Sequence[str]) -> str:
    """A placeholder stops at the separator that follows it; the last one takes the rest."""
    pieces = re.split(r"\{([a-z]+)\}", pattern)
    made = re.escape(pieces[0])
    for name, after in zip(pieces[1::2], pieces[2::2], strict=True):
        body = f"[^{re.escape(after[0])}]+" if after else ".+"
        if name == "type":  # a listed type may itself contain the separator
            known = sorted((MIXED, *types), key=len, reverse=True)
            body = "|".join([*map(re.escape, known), body])
        made += f"(?P<{name}>{body}){re.escape(after)}"
    return made


def split_of(group: str) -> Split:
    """The sticky split of a group: 70 % train, 15 % validation, 15 % test, by its hash.

    The same in every data set and on every machine, so that data sets can be joined. With very
    few groups the shares are far from 70/15/15 (one batch is all in one split): then name
    smaller groups in the pattern, or give the split by hand.
    """
    digest = hashlib.sha256(f"cytoloop split {group}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    return next(split for limit, split in SHARES if position < limit)
