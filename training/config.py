"""How a model is trained: one flat set of numbers per run, with sound defaults per family."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from training.errors import TrainingError

FAMILIES = ("segmenter", "detector")
SCHEDULE = "schedule.json"  # in a run folder: the progress at each step, to follow not the clock
OF_THE_MACHINE = ("weights_cache", "prepared", "device")  # settings that change no weights


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one run. Zero ``epochs``, ``minutes`` or ``learning_rate`` means "unset":
    ``settled`` puts the family's default there, which differs for scratch and fine-tuning.
    """

    family: str
    epochs: int = 0
    minutes: float = 0.0  # wall time the run may take; the schedule adapts. 0 after settling: any
    learning_rate: float = 0.0
    # Small batches of small crops: many steps in few minutes (docs/benchmarks.md, "Training").
    batch_size: int = 4
    weight_decay: float = 1e-4
    warmup: float = 0.04  # share of the run in which the learning rate rises
    ema: float = 0.99  # decay per step of the averaged weights that are kept; 0 = off
    patience: float = 0.4  # share of the run after which it stops if all epochs were worse; 0 = off
    clip: float = 1.0  # largest norm of the gradient
    crop: int = 160  # px, side of a training crop at the network's scale
    validation_crop: int = 0  # px, side of the crops a segmenter is judged on; 0 = as ``crop``
    crops_per_epoch: int = 160
    scale_low: float = 0.7  # random zoom of a crop around the network's cell diameter
    scale_high: float = 1.4
    diameter: float = 30.0  # px, cell diameter that a network started from scratch works at
    fixed_diameter: float = 0.0  # px, of the images' cells; 0 = estimate per image
    holdout: float = 0.1  # share of the training images validated on when none are marked so
    seed: int = 0
    start: str = "scratch"  # "scratch", a built-in name, or for detectors "coco"
    backbone: str = ""  # detectors
    width: int = 32  # channels at the network's first level
    precision: str = "bfloat16"  # or "float32"
    device: str = ""  # "" = a GPU when there is one
    devices: int = 1  # GPUs that share each batch, at most and where there are so many; 0 = all
    weights_cache: str = ""  # folder of downloaded start weights; "" = beside the run folder
    prepared: str = ""  # folder of prepared images that snapshots share; "" = each has its own

    @classmethod
    def for_family(cls, family: str, overrides: dict[str, Any] | None = None) -> TrainConfig:
        """The family's defaults with ``overrides``; a key set to None counts as not given.

        Raises ``TrainingError`` naming an unknown key, a wrong type or an impossible value.
        """
        if family not in FAMILIES:
            raise TrainingError(f"There is no model family {family}; use {' or '.join(FAMILIES)}.")
        values: dict[str, Any] = dict(_FAMILY[family])
        kinds = {f.name: str(f.type) for f in fields(cls) if f.name != "family"}
        for key, value in (overrides or {}).items():
            if key not in kinds:
                raise TrainingError(f"There is no training setting {key}.")
            if value is not None:
                values[key] = _cast(key, kinds[key], value)
        config = cls(family=family, **values)
        _check(config)
        return config

    def settled(self, fine_tune: bool) -> TrainConfig:
        """Unset numbers filled in: fewer epochs and a lower rate when starting from weights."""
        defaults = (_FINE_TUNE if fine_tune else _SCRATCH)[self.family]
        changes = {key: value for key, value in defaults.items() if not getattr(self, key)}
        if self.epochs:
            # Asked for so many epochs, a run takes as long as they take.
            changes.pop("minutes", None)
        elif self.minutes:
            # Asked for so many minutes, a run makes as many epochs as fit.
            changes["epochs"] = _EPOCHS_IN_MINUTES
        return replace(self, **changes)


def portable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` as overrides for any machine: without the family, and what one machine knows."""
    left_out = {"family", *OF_THE_MACHINE}
    return {key: value for key, value in settings.items() if key not in left_out}


_EPOCHS_IN_MINUTES = 10_000

# What there is to start from, beside earlier versions; a test holds it to what can be loaded.
STARTS = {
    "segmenter": ("scratch", "cyto3", "cyto2", "cyto", "nuclei"),
    "detector": ("scratch", "coco"),
}
START_FILE = "file:"  # "file:PATH", a detector's backbone

_FAMILY: dict[str, dict[str, Any]] = {
    "segmenter": {},
    "detector": {
        "crop": 192,
        "backbone": "small",
        "ema": 0.98,
        # Sizes tell types apart, so zooms vary less than for a segmenter.
        "scale_low": 0.8,
        "scale_high": 1.25,
        "clip": 5.0,
    },
}
_SCRATCH: dict[str, dict[str, Any]] = {
    "segmenter": {"epochs": 60, "minutes": 25.0, "learning_rate": 2e-3},
    "detector": {"epochs": 40, "minutes": 9.0, "learning_rate": 1e-3},
}
_FINE_TUNE: dict[str, dict[str, Any]] = {
    "segmenter": {"epochs": 20, "minutes": 10.0, "learning_rate": 5e-4},
    "detector": {"epochs": 20, "minutes": 5.0, "learning_rate": 5e-4},
}


def _cast(key: str, kind: str, value: Any) -> Any:
    """``value`` as the field's type; True is no number and 1.5 is no integer."""
    if kind == "str" and isinstance(value, str) and _is_text(value):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value):
        if kind == "float":
            return float(value)
        if kind == "int" and float(value).is_integer():
            return int(value)
    words = {"int": "a whole number", "float": "a number", "str": "a text"}[kind]
    raise TrainingError(f"The training setting {key} is {words}, not {str(value)[:40]!r}.")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def _is_text(value: str) -> bool:
    """Neither NUL nor half a character, which databases and file systems refuse."""
    return "\0" not in value and not any("\ud800" <= char <= "\udfff" for char in value)


# Beyond these a slip of the finger takes the machine's memory with it.
_MOST = {
    "batch_size": 1024,
    "crop": 4096,
    "validation_crop": 4096,
    "crops_per_epoch": 1_000_000,
    "width": 1024,
    "epochs": 1_000_000,
    "devices": 64,
    "seed": 2**32 - 1,
}


def _check_most(config: TrainConfig) -> None:
    for key, most in _MOST.items():
        if getattr(config, key) > most:
            raise TrainingError(f"The training setting {key} must not be above {most}.")


def _check(config: TrainConfig) -> None:
    _check_most(config)
    positive = ("batch_size", "crop", "crops_per_epoch", "width", "diameter", "scale_low")
    for key in positive:
        if getattr(config, key) <= 0:
            raise TrainingError(f"The training setting {key} must be above zero.")
    unsigned = ("epochs", "minutes", "learning_rate", "weight_decay", "fixed_diameter", "seed")
    for key in (*unsigned, "validation_crop", "devices"):
        if getattr(config, key) < 0:
            raise TrainingError(f"The training setting {key} must not be negative.")
    for key in ("ema", "warmup", "holdout", "patience"):
        if not 0.0 <= getattr(config, key) < 1.0:
            raise TrainingError(f"The training setting {key} lies between 0 and 1.")
    if config.scale_high < config.scale_low:
        raise TrainingError("The training setting scale_high must not be below scale_low.")
    if config.precision not in ("bfloat16", "float32"):
        raise TrainingError("The training setting precision is bfloat16 or float32.")
    _check_sides(config)
    _check_start(config)


def _check_sides(config: TrainConfig) -> None:
    for key in ("crop", "validation_crop"):
        if config.family == "segmenter" and getattr(config, key) % 8:
            raise TrainingError(
                f"The training setting {key} must be a multiple of 8 for a segmenter."
            )


def _check_start(config: TrainConfig) -> None:
    of_file = config.family == "detector" and config.start.startswith(START_FILE)
    if config.start not in STARTS[config.family] and not of_file:
        raise TrainingError(
            f"A {config.family} starts from {', '.join(STARTS[config.family])} or an earlier"
            f" version of its data set, not from {config.start[:80]}."
        )
