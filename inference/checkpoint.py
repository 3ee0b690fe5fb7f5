"""Weights on disk: a folder of ``weights.safetensors`` and ``meta.json``, never one without the
other. Also the way in for cellpose 2/3 checkpoints.
"""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from inference.errors import InferenceError
from inference.files import file_sha256, tensors_are_whole, whole

WEIGHTS = "weights.safetensors"
META = "meta.json"


@dataclass(frozen=True)
class ModelMeta:
    """What weights mean: without it they cannot be run."""

    family: str  # "segmenter" | "detector"
    architecture: dict[str, Any]
    channels: tuple[str, ...]  # roles in the order of the model image's planes
    types: tuple[str, ...] = ()
    diameter: float = 30.0  # px, the cell diameter the network was trained at
    fixed_diameter: float | None = None  # px, use always instead of estimating per image
    settings: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    lineage: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A dictionary that ``json.dumps`` takes."""
        document = asdict(self)
        document["channels"] = list(self.channels)
        document["types"] = list(self.types)
        return document

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> ModelMeta:
        """The inverse of ``to_json``; unknown keys (of a newer version) are left out."""
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in document.items() if key in known}
        missing = [key for key in ("family", "architecture", "channels") if key not in values]
        if missing:
            raise InferenceError(f"The model's {META} lacks {', '.join(missing)}.")
        for key in ("channels", "types"):
            values[key] = tuple(values.get(key, ()))
        return cls(**values)


def save(folder: Path, state: dict[str, Tensor], meta: ModelMeta) -> str:
    """Write weights, then meta, each by atomic rename; the sha256 of the weights file."""
    folder.mkdir(parents=True, exist_ok=True)
    # clone: safetensors refuses tensors that share memory, e.g. tied weights or channels-last.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
    with whole(folder / WEIGHTS) as fresh:
        save_file(tensors, fresh)
    with whole(folder / META) as fresh:
        fresh.write_text(json.dumps(meta.to_json(), indent=1))
    return file_sha256(folder / WEIGHTS)


def load(folder: Path) -> tuple[dict[str, Tensor], ModelMeta]:
    """State and meta of a folder written by ``save``; ``InferenceError`` if damaged or absent."""
    meta = load_meta(folder)
    try:
        return load_file(folder / WEIGHTS), meta
    except FileNotFoundError as error:
        raise InferenceError(f"The model folder {folder} has no {WEIGHTS}.") from error
    except (SafetensorError, OSError) as error:
        raise InferenceError(f"The weights in {folder} are damaged: {error}.") from error


def is_whole(folder: Path) -> bool:
    """Whether a folder holds a model, and no file of it was cut short."""
    try:
        load_meta(folder)
    except InferenceError:
        return False
    return tensors_are_whole(folder / WEIGHTS)


def load_meta(folder: Path) -> ModelMeta:
    """Only the meta of a model folder."""
    try:
        return ModelMeta.from_json(json.loads((folder / META).read_text()))
    except FileNotFoundError as error:
        raise InferenceError(f"The folder {folder} holds no model: {META} is missing.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InferenceError(f"The {META} in {folder} is damaged: {error}.") from error


def import_cellpose(
    file: Path, channels: tuple[str, ...], fixed_diameter: float | None = None
) -> tuple[dict[str, Tensor], ModelMeta]:
    """State (unchanged, bit for bit) and meta of a cellpose 2/3 U-Net checkpoint.

    ``channels`` are the roles its two input planes get; one role means "that plane, then zeros".
    Anything else (cellpose-SAM, another network, no checkpoint) raises ``InferenceError``.
    """
    state = _unpickled_state(file)
    _refuse_other_networks(file, state)
    inner = [f"downsample.down.res_down_{level}.proj.1.weight" for level in range(8)]
    widths = [state[name].shape for name in inner if name in state]
    nbase = [int(widths[0][1]), *(int(shape[0]) for shape in widths)]
    if nbase[0] != 2 or int(state["output.2.weight"].shape[0]) != 3:
        raise InferenceError(
            f"{file.name} is a cellpose network with {nbase[0]} input and"
            f" {state['output.2.weight'].shape[0]} output planes; only 2 and 3 can be used."
        )
    if not 1 <= len(channels) <= 2:
        raise InferenceError("A cellpose network takes one or two channels.")
    # Published weights of cellpose 1/2 carry no diameter: "nuclei" was trained at 17 px.
    default = 17.0 if file.name.startswith("nuclei") else 30.0
    diameter = float(state["diam_mean"][0]) if "diam_mean" in state else default
    settings: dict[str, Any] = {"precision": "float32"}
    if "diam_labels" in state:
        settings["diameter_labels"] = float(state["diam_labels"][0])
    meta = ModelMeta(
        family="segmenter",
        architecture={"name": "cpnet", "nbase": nbase},
        channels=tuple(channels),
        diameter=diameter,
        fixed_diameter=fixed_diameter,
        settings=settings,
        lineage={"imported": file.name, "sha256": file_sha256(file)},
    )
    return state, meta


def _unpickled_state(file: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InferenceError(f"There is no file {file}.") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise InferenceError(
            f"{file.name} is no cellpose checkpoint: it does not load as PyTorch weights."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise InferenceError(f"{file.name} is no cellpose checkpoint: it holds no weights.")
    return state


def _refuse_other_networks(file: Path, state: dict[str, Tensor]) -> None:
    if "W2" in state or any(name.startswith("encoder.") for name in state):
        raise InferenceError(
            f"{file.name} is a cellpose-SAM or transformer checkpoint;"
            " only the U-Net of cellpose 2 and 3 can be used."
        )
    needed = ("downsample.down.res_down_0.proj.1.weight", "output.2.weight")
    if any(name not in state for name in needed):
        raise InferenceError(f"{file.name} is no cellpose 2/3 U-Net checkpoint.")
