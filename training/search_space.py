"""What a search may vary: each family's settings with their ranges, and a person's own instead.

A person overrides by a JSON object, key by key: ``{"low", "high", "log"?, "step"?}``,
``{"choices": […]}``, or null to leave a setting as it is. No Optuna here: the web process checks
spaces, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from training.config import TrainConfig
from training.errors import TrainingError

Params = dict[str, float]


@dataclass(frozen=True)
class Range:
    """From ``low`` to ``high``, both included; ``log``: as likely by factors as by differences."""

    low: float
    high: float
    log: bool = False
    step: float = 0.0  # between values, counted from ``low``; 0 = any value (whole numbers: 1)


@dataclass(frozen=True)
class Choice:
    """One of these numbers."""

    values: tuple[float, ...]


Space = dict[str, Range | Choice]

_BOTH: Space = {
    "learning_rate": Range(1e-4, 1e-2, log=True),
    "weight_decay": Range(1e-6, 1e-2, log=True),
    "warmup": Range(0.0, 0.2),
}
SPACES: dict[str, Space] = {
    "segmenter": {
        **_BOTH,
        "ema": Range(0.9, 0.999),
        "clip": Range(0.1, 10.0, log=True),
        "batch_size": Choice((2, 4, 8)),
        "crop": Range(160, 288, step=32),
        "scale_low": Range(0.5, 1.0),
        "scale_high": Range(1.0, 2.0),
    },
    "detector": {
        **_BOTH,
        "ema": Range(0.9, 0.995),
        "clip": Range(0.5, 20.0, log=True),
        "batch_size": Choice((2, 4, 8)),
        "crop": Range(128, 256, step=32),
        "scale_low": Range(0.6, 1.0),
        "scale_high": Range(1.0, 1.6),
    },
}
# Those that change the training and neither its time nor what it is judged on.
SEARCHABLE = (*SPACES["segmenter"], "crops_per_epoch", "width")
WHOLE = {field.name for field in fields(TrainConfig) if str(field.type) == "int"}
_MOST_CHOICES = 50
_MOST_STEPS = 1_000_000
_CROP_STEP = 8  # px
_LARGEST = 1e300  # also keeps out NaN and whole numbers beyond all floats
_KEYS = {"low", "high", "log", "step"}


def space_for(
    family: str, config: Mapping[str, Any], given: Mapping[str, Any] | None = None
) -> Space:
    """The family's ranges without what ``config`` fixes, then ``given`` in their place.

    Raises ``TrainingError`` naming an unknown setting, a malformed range, a value that no training
    takes, or that nothing is left to vary.
    """
    space = _usual(family, config)
    for key, value in (given or {}).items():
        if key not in SEARCHABLE:
            raise TrainingError(
                f"A search cannot vary {key[:40]}; it varies {', '.join(SEARCHABLE)}."
            )
        space.pop(key, None)
        if value is not None:
            space[key] = _parsed(key, _with_step(family, key, value))
    if not space:
        raise TrainingError("The space leaves nothing to vary; give at least one setting a range.")
    _check(family, config, space)
    return space


def _usual(family: str, config: Mapping[str, Any]) -> Space:
    """The family's ranges of what ``config`` does not fix, cut to what the rest of it allows."""
    space = {key: part for key, part in SPACES[family].items() if config.get(key) is None}
    lowest, highest = config.get("scale_low"), config.get("scale_high")
    for key, part in list(space.items()):
        if isinstance(part, Choice):
            continue
        if key == "scale_high" and lowest is not None:
            part = replace(part, low=max(part.low, float(lowest)))
        if key == "scale_low" and highest is not None:
            part = replace(part, high=min(part.high, float(highest)))
        space[key] = part
        if part.low >= part.high:
            del space[key]
    return space


def as_json(space: Space) -> dict[str, Any]:
    """``space`` as the JSON object that ``from_json`` reads."""
    return {
        key: {"choices": list(part.values)} if isinstance(part, Choice) else dict(vars(part))
        for key, part in space.items()
    }


def from_json(document: Mapping[str, Any]) -> Space:
    """The space of ``as_json``."""
    return {key: _parsed(key, value) for key, value in document.items()}


def defaults_in(space: Space, config: TrainConfig) -> Params:
    """What ``config`` (settled) has of each setting, moved to the nearest value of the space."""
    return {key: _nearest(key, part, float(getattr(config, key))) for key, part in space.items()}


def _nearest(key: str, part: Range | Choice, value: float) -> float:
    if isinstance(part, Choice):
        return min(part.values, key=lambda each: abs(each - value))
    value = min(max(value, part.low), part.high)
    if part.step:
        value = part.low + part.step * round((value - part.low) / part.step)
    return int(value) if key in WHOLE else value


def _parsed(key: str, value: Any) -> Range | Choice:
    if not isinstance(value, Mapping):
        raise TrainingError(
            f'The space of {key} is {{"low", "high"}}, {{"choices"}} or null, not'
            f" {str(value)[:40]!r}."
        )
    if set(value) == {"choices"}:
        return _choice(key, value["choices"])
    if not {"low", "high"} <= set(value) <= _KEYS:
        raise TrainingError(
            f'The space of {key} needs "low" and "high" (and may have "log" and "step"), or'
            ' "choices" alone.'
        )
    log = value.get("log", False)
    if not isinstance(log, bool):
        raise TrainingError(f'"log" in the space of {key} is true or false.')
    low, high = _number(key, value["low"]), _number(key, value["high"])
    return _checked(key, Range(low, high, log, _number(key, value.get("step", 0))))


def _with_step(family: str, key: str, value: Any) -> Any:
    """``value``, with the step that a segmenter's crop needs: its network halves it three times."""
    if family != "segmenter" or key != "crop" or not isinstance(value, Mapping):
        return value
    if value.get("log") is True:
        raise TrainingError(
            "The space of crop cannot be logarithmic: a segmenter's crop is a multiple of"
            f" {_CROP_STEP}."
        )
    if value.get("step") or "choices" in value:
        return value
    ends = [_number(key, value[name]) for name in ("low", "high") if name in value]
    if any(end % _CROP_STEP for end in ends):
        raise TrainingError(
            f"The space of crop must begin and end with a multiple of {_CROP_STEP} for a segmenter."
        )
    return {**value, "step": _CROP_STEP}


def _choice(key: str, values: Any) -> Choice:
    if not isinstance(values, list | tuple) or not 1 <= len(values) <= _MOST_CHOICES:
        raise TrainingError(f"The choices of {key} are a list of 1 to {_MOST_CHOICES} numbers.")
    numbers = tuple(_number(key, value) for value in values)
    if len(set(numbers)) != len(numbers):
        raise TrainingError(f"The choices of {key} name a number twice.")
    return Choice(numbers)


def _checked(key: str, part: Range) -> Range:
    if part.low >= part.high:
        raise TrainingError(f"The space of {key} must have its low below its high.")
    if part.log and (part.low <= 0 or part.step):
        raise TrainingError(f"A logarithmic space of {key} begins above zero and has no step.")
    steps = (part.high - part.low) / part.step if part.step else 0.0
    if steps > _MOST_STEPS:
        raise TrainingError(f"The step of {key} is too small for its space.")
    if part.step < 0 or not _is_whole(steps):
        raise TrainingError(f"The step of {key} must lead from its low to its high.")
    return part


def _number(key: str, value: Any) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if not known or not abs(value) < _LARGEST:
        raise TrainingError(f"The space of {key} holds {str(value)[:40]!r}, which is no number.")
    if key in WHOLE:
        if not _is_whole(value):
            raise TrainingError(f"{key} is a whole number, and its space holds {value}.")
        return int(value)
    return float(value)


def _is_whole(value: float) -> bool:
    return abs(value - round(value)) < 1e-6


def _ends(part: Range | Choice) -> tuple[float, ...]:
    if isinstance(part, Choice):
        return part.values
    return (part.low, part.high, part.low + part.step)


def _check(family: str, config: Mapping[str, Any], space: Space) -> None:
    """Every value must make a config, in the worst company that the space gives it."""
    worst: Params = {}
    if "scale_low" in space:
        worst["scale_low"] = max(_ends(space["scale_low"]))
    if "scale_high" in space:
        worst["scale_high"] = min(_ends(space["scale_high"]))
    others: Collection[str] = space.keys() - worst.keys()
    TrainConfig.for_family(family, {**config, **worst})
    for key in sorted(others):
        for value in _ends(space[key]):
            TrainConfig.for_family(family, {**config, **worst, key: value})
