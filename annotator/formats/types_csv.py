"""``X_types.csv``: the columns ``label,type``, one row per cell."""

from __future__ import annotations

import csv
import io

from annotator.exceptions import BadInput

LARGEST = 16 * 2**20  # bytes; a million cells


def read_types(content: bytes, name: str) -> dict[int, str]:
    """Type names by label; cells without a type are left out.

    Raises BadInput when the columns are missing, a label is no number or comes twice.
    """
    if len(content) > LARGEST:
        raise BadInput(f"{name} is larger than {LARGEST // 2**20} MB.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{name} is not UTF-8 text.") from error
    try:
        return _types_in(text, name)
    except csv.Error as error:
        raise BadInput(f"{name} is no table of labels and types: {error}.") from error


def _types_in(text: str, name: str) -> dict[int, str]:
    first = text.split("\n", 1)[0]
    rows = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in first else ",")
    columns = {(column or "").strip().lower(): column for column in rows.fieldnames or []}
    if not {"label", "type"} <= set(columns):
        raise BadInput(f"{name} needs the columns label,type in its first line.")
    found: dict[int, str] = {}
    seen: set[int] = set()
    for number, row in enumerate(rows, start=2):
        # A short row has None where its columns are missing.
        raw, kind = ((row[columns[key]] or "").strip() for key in ("label", "type"))
        if not raw and not kind:
            continue
        try:
            label = int(raw)
        except ValueError:
            raise BadInput(f"{name}, line {number}: the label {raw!r} is no number.") from None
        if label in seen:
            raise BadInput(f"{name}, line {number}: the label {label} comes twice.")
        seen.add(label)
        if kind:
            found[label] = kind
    return found
