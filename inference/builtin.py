"""Published weights by name: where they come from, their licences, and their download.

Free of torch, so that the server can tell a licence before anything is downloaded.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inference.errors import InferenceError
from inference.files import file_sha256

_CHUNK = 1 << 20


@dataclass(frozen=True)
class BuiltinWeights:
    """Published weights by name. ``sha256`` is checked where the publisher's is known."""

    url: str
    licence: str
    sha256: str | None = None

    @property
    def file_name(self) -> str:
        return self.url.rsplit("/", 1)[1]


_CELLPOSE = "https://www.cellpose.org/models/"
_NOTICE = (
    "Weights of cellpose (Stringer et al. 2021; Howard Hughes Medical Institute), BSD-3 code;"
    " trained in part on images licensed for non-commercial use (CC BY-NC)."
)
BUILTIN: dict[str, BuiltinWeights] = {
    "cyto3": BuiltinWeights(f"{_CELLPOSE}cyto3", _NOTICE),
    "cyto2": BuiltinWeights(f"{_CELLPOSE}cyto2torch_0", _NOTICE),
    "cyto": BuiltinWeights(f"{_CELLPOSE}cytotorch_0", _NOTICE),
    "nuclei": BuiltinWeights(f"{_CELLPOSE}nucleitorch_0", _NOTICE),
}

# Downloaded by torchvision itself, for detectors.
COCO = "coco"
_COCO_NOTICE = (
    "Weights of torchvision (Mask R-CNN, COCO), BSD-3 code; trained on images of COCO, which have"
    " licences of their own, in part for non-commercial use (CC BY-NC)."
)


def licence_of(start: str) -> str:
    """The licence, in words, of the published weights named ``start``; "" where there are none."""
    if start == COCO:
        return _COCO_NOTICE
    return BUILTIN[start].licence if start in BUILTIN else ""


def fetch_builtin(
    name: str, cache_dir: Path, progress: Callable[[float], None] | None = None
) -> Path:
    """The file of built-in weights, downloaded once into ``cache_dir``.

    ``progress`` hears the fraction done, 0 … 1. The sha256 of the first download is kept beside
    the file, so a damaged cache is noticed. Raises ``InferenceError`` offline or on a mismatch.
    """
    if name not in BUILTIN:
        raise InferenceError(
            f"There are no built-in weights named {name}; choose one of {', '.join(BUILTIN)}."
        )
    weights = BUILTIN[name]
    file = cache_dir / weights.file_name
    seal = cache_dir / f"{weights.file_name}.sha256"
    if not (file.exists() and seal.exists()):
        cache_dir.mkdir(parents=True, exist_ok=True)
        _download(name, weights.url, file, progress)
        if not seal.exists():
            seal.write_text(file_sha256(file))
    expected = weights.sha256 or seal.read_text().strip()
    if file_sha256(file) != expected:
        file.unlink()
        seal.unlink(missing_ok=True)
        raise InferenceError(
            f"The weights {name} do not match their checksum and were removed; try again."
        )
    return file


def _download(name: str, url: str, file: Path, progress: Callable[[float], None] | None) -> None:
    part = file.with_name(file.name + ".part")
    try:
        with urllib.request.urlopen(url, timeout=30) as answer, part.open("wb") as stream:
            total = int(answer.headers.get("Content-Length") or 0)
            done = 0
            while chunk := answer.read(_CHUNK):
                stream.write(chunk)
                done += len(chunk)
                if progress and total:
                    progress(min(1.0, done / total))
        if total and done != total:
            raise OSError(f"the connection ended after {done} of {total} bytes")
    except (urllib.error.URLError, OSError, TimeoutError) as error:
        part.unlink(missing_ok=True)
        raise InferenceError(
            f"The weights {name} could not be downloaded from {url} ({error}). Import a cellpose"
            " checkpoint from a file, or train from scratch."
        ) from error
    os.replace(part, file)
