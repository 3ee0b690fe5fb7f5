"""JSON that databases can keep: no NaN, infinities, NUL or half a surrogate pair, whole numbers of
at most 64 bits.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

_LARGEST = 2**63 - 1
_LONG = re.compile(r"\d{19}")  # digits of the shortest number that may be too large
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # escaped, and the backslash itself is not

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # escaped; most are halves of a good pair


def strict_json(text: str) -> Any:
    """``text`` parsed. Raises ValueError saying what is wrong, for nesting without end too."""
    if _NUL.search(text):
        raise ValueError("it holds the character NUL")
    try:
        parsed = json.loads(
            text,
            parse_constant=_no_constant,
            # A call for each number costs more than the parsing of thousands.
            parse_int=_bounded if _LONG.search(text) else None,
            parse_float=_finite,
        )
        if _SURROGATE.search(text):
            json.dumps(parsed, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("it holds half a character (a surrogate without its pair)") from None
    return parsed


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _bounded(digits: str) -> int:
    if len(digits) > 20 or not -_LARGEST <= int(digits) <= _LARGEST:
        raise ValueError(f"the number {digits[:20]} is too large")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:20]} is too large")
    return value
