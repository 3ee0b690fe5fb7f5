"""What the segmenter said of an image, kept so that masks can be made again without it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from annotator import storage
from annotator.exceptions import NotHere, Unavailable
from annotator.models import Family, Fusion, Image, Prediction
from inference.flow_cache import KEPT_UP_TO, CachedFlows, FlowCacheError, unpack
from inference.fusion_rule import FREE
from inference.labels import cell_ids, iou_pairs

if TYPE_CHECKING:
    from inference.redecode import FoundCell

# Of unpacked flows and label images in one process: what six images of 2048² need.
_KEPT_BYTES = 192 * 2**20
_USUAL = (0.0, 0.4, 15)  # cellprob threshold, flow threshold, min size of predictions
_SAME = 0.3  # IoU from which two masks are two drawings of one cell
# Flows by their key, the segmenter's own masks of them, and predicted labels by theirs. Never
# written to: each is the next request's, too.
_kept: OrderedDict[str, CachedFlows | NDArray[Any]] = OrderedDict()
_Kept = TypeVar("_Kept", CachedFlows, NDArray[Any])
_lock = threading.Lock()
# A decode takes all cores for seconds. Each request has a thread of its own, so waiting is cheap.
_decoding = threading.Semaphore(1)
_prepared = threading.Event()


def prediction_flows(prediction: Prediction) -> CachedFlows:
    """The flows of a prediction, from this process's memory if it was asked lately.

    Raises ``NotHere`` for a prediction made before flows were kept and for a large image,
    ``Unavailable`` when storage fails.
    """
    key = prediction.flows_key
    if not key:
        raise NotHere(_not_kept(prediction.image))
    try:
        return _remembered(key, lambda: unpack(storage.get(key)))
    except FlowCacheError as error:
        raise Unavailable(
            f"The stored flows of {prediction.image.name} are damaged; its next prediction keeps"
            " new ones. Until then, correct its masks by hand."
        ) from error


def _remembered(key: str, make: Callable[[], _Kept]) -> _Kept:
    """What ``make`` gives, from this process's memory if ``key`` was asked for lately."""
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return cast("_Kept", _kept[key])
    made = make()
    with _lock:
        _kept[key] = made
        while sum(_bytes(each) for each in _kept.values()) > _KEPT_BYTES and len(_kept) > 1:
            _kept.popitem(last=False)
    return made


def _bytes(kept: CachedFlows | NDArray[Any]) -> int:
    return kept.values.nbytes if isinstance(kept, CachedFlows) else kept.nbytes


def _not_kept(image: Image) -> str:
    if image.width * image.height > KEPT_UP_TO:
        return (
            f"{image.name} is too large for its flows to be kept: above {KEPT_UP_TO / 1e6:.1f}"
            " megapixels thresholds cannot be changed and cells not be picked. Draw the cell."
        )
    return f"The flows of {image.name} were not kept; its next prediction keeps them."


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

    Cells that these thresholds do not change are as the prediction has them: those that fusion
    dropped stay away, those with the detector's borders keep them, and those in whose place fusion
    took others are these. One at a time in a process; others wait for their turn.
    """
    from inference.redecode import masks_of  # numba takes a second to load

    flows = prediction_flows(prediction)
    with _decoding:
        found = masks_of(flows, cellprob_threshold, flow_threshold, min_size)
        if not _fused_otherwise(prediction):
            return found
        # The same at each move of a slider.
        usual = _remembered(f"usual {prediction.flows_key}", lambda: masks_of(flows, *_USUAL))
    key = prediction.labels_key
    return as_predicted(found, usual, _remembered(key, lambda: storage.labels_get(key)))


def _fused_otherwise(prediction: Prediction) -> bool:
    """Whether the pair's rule may change the segmenter's cells, and not only adds to them."""
    fusion = Fusion.objects.filter(
        segmenter=prediction.segmenter_id, detector=prediction.detector_id
    ).first()
    return fusion is not None and (
        any(fusion.rule.get(family) for family in Family.values)
        or fusion.rule["borders"] != Family.SEGMENTER
    )


def as_predicted(found: NDArray[Any], usual: NDArray[Any], predicted: NDArray[Any]) -> NDArray[Any]:
    """``found`` with those of its cells that ``usual`` has too, pixel by pixel, as ``predicted``
    has them: elsewhere drawn, as several cells, or not at all. All (H, W).
    """
    ids, predicted_ids = cell_ids(found), cell_ids(predicted)
    rows, columns, iou = iou_pairs(found, usual)
    same = {int(ids[r]): int(c) for r, c in zip(rows[iou == 1], columns[iou == 1], strict=True)}
    rows, columns, iou = iou_pairs(usual, predicted)
    alike = iou >= _SAME
    drawn = dict(zip(rows[alike].tolist(), predicted_ids[columns[alike]].tolist(), strict=True))
    is_same = np.zeros(int(found.max(initial=0)) + 1, bool)
    is_same[list(same)] = True
    unchanged = np.where(is_same[found], found, 0)
    kept = found - unchanged
    number = np.zeros(int(predicted.max(initial=0)) + 1, found.dtype)
    for label, index in same.items():
        if index in drawn:
            number[drawn[index]] = label
    # Where fusion took other cells for the segmenter's (two for one, one for pieces), those.
    areas, others_areas = np.bincount(predicted.ravel()), np.bincount(unchanged.ravel())
    mine, theirs, iou = iou_pairs(predicted, unchanged)
    cells, rivals = predicted_ids[mine], cell_ids(unchanged)[theirs]
    shared = iou * (areas[cells] + others_areas[rivals]) / (1 + iou)
    excluding = shared > (1 - FREE) * np.minimum(areas[cells], others_areas[rivals])
    others = np.unique(cells[excluding & (number[cells] == 0)])
    number = number.astype(np.int64)
    number[others] = int(found.max(initial=0)) + 1 + np.arange(others.size)
    shown = number[predicted]
    result = np.where((kept == 0) & (shown > 0), shown, kept)
    return result.astype(np.uint16 if result.max(initial=0) <= 0xFFFF else np.uint32)


def prediction_cell_at(*, prediction: Prediction, x: int, y: int) -> FoundCell:
    """The cell the segmenter's flows hold under pixel (x, y). Raises ``NotHere``."""
    from inference.redecode import cell_at  # numba takes a second to load

    found = cell_at(prediction_flows(prediction), x, y, prediction.diameter)
    if found is None:
        raise NotHere("The segmenter sees no cell there. Draw it with the brush or the polygon.")
    return found
