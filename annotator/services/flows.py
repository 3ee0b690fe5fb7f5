"""What the segmenter said of an image, kept so that masks can be made again without it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotator import storage
from annotator.exceptions import NotHere, Unavailable
from annotator.models import Prediction
from inference.flow_cache import CachedFlows, FlowCacheError, unpack

if TYPE_CHECKING:
    from inference.redecode import FoundCell

_KEPT_BYTES = 192 * 2**20  # of unpacked flows in one process: ten images of 2048²
_kept: OrderedDict[str, CachedFlows] = OrderedDict()
_lock = threading.Lock()
# A decode takes all cores for seconds. Each request has a thread of its own, so waiting is cheap.
_decoding = threading.Semaphore(1)
_prepared = threading.Event()


def prediction_flows(prediction: Prediction) -> CachedFlows:
    """The flows of a prediction, from this process's memory if it was asked lately.

    Raises ``NotHere`` for a prediction made before flows were kept, ``Unavailable`` when storage
    fails.
    """
    key = prediction.flows_key
    if not key:
        raise NotHere(
            f"The flows of {prediction.image.name} were not kept; its next prediction keeps them."
        )
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    try:
        flows = unpack(storage.get(key))
    except FlowCacheError as error:
        raise Unavailable(
            f"The stored flows of {prediction.image.name} are damaged; its next prediction keeps"
            " new ones. Until then, correct its masks by hand."
        ) from error
    with _lock:
        _kept[key] = flows
        while sum(each.values.nbytes for each in _kept.values()) > _KEPT_BYTES and len(_kept) > 1:
            _kept.popitem(last=False)
    return flows


def flows_prepare() -> None:
    """Load the compiled dynamics in the background, once per process.

    They take most of a second, which nobody should wait for at a first click.
    """
    if not _prepared.is_set():
        _prepared.set()
        threading.Thread(target=_load, name="flows-prepare", daemon=True).start()


def _load() -> None:
    from inference.redecode import cell_at, masks_of

    side = 32
    values = np.zeros((3, side, side), np.int8)
    values[2, 8:24, 8:24] = 60
    flows = CachedFlows(values, niter=10)
    masks_of(flows, 0.0, 0.4, 0)
    cell_at(flows, side // 2, side // 2, 16.0)


def prediction_masks(
    *, prediction: Prediction, cellprob_threshold: float, flow_threshold: float, min_size: int
) -> NDArray[Any]:
    """The segmenter's label image (H, W) at other thresholds; nothing is stored.

    One at a time in a process; others wait for their turn.
    """
    from inference.redecode import masks_of  # numba takes a second to load

    flows = prediction_flows(prediction)
    with _decoding:
        return masks_of(flows, cellprob_threshold, flow_threshold, min_size)


def prediction_cell_at(*, prediction: Prediction, x: int, y: int) -> FoundCell:
    """The cell the segmenter's flows hold under pixel (x, y). Raises ``NotHere``."""
    from inference.redecode import cell_at  # numba takes a second to load

    found = cell_at(prediction_flows(prediction), x, y, prediction.diameter)
    if found is None:
        raise NotHere("The segmenter sees no cell there. Draw it with the brush or the polygon.")
    return found
