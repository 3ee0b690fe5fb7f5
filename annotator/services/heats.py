"""Where an image's prediction is unsure, as a small picture; drawn when it is first asked for."""

from __future__ import annotations

import io
from contextlib import suppress

import numpy as np
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from annotator import storage
from annotator.exceptions import Unavailable
from annotator.models import Prediction
from inference.heat import heat_levels, palette

_DRAWING = 1  # to be raised when the same prediction is drawn otherwise
_SAYS = "prediction"  # the PNG's text that names what was drawn


def heat_tag(prediction: Prediction) -> str:
    """What a picture of ``prediction`` is known by: another one is drawn where this changes.

    With the time, for a database that was begun anew beside old objects gives the same ids again.
    """
    made = prediction.created_at.timestamp()
    figures = f"{prediction.uncertainty:.6g}-{prediction.missed:.6g}"
    return f"{prediction.pk}-{made:.6f}-{figures}-{_DRAWING}"


def heat_key(image_id: int) -> str:
    """Where an image's picture lies. There is one: of the prediction looked at last."""
    return f"heats/{image_id}.png"


def prediction_heat(*, prediction: Prediction) -> bytes:
    """PNG with alpha, as large as the image's thumbnail: the less sure, the brighter.

    Raises Unavailable when the label image cannot be read.
    """
    key, tag = heat_key(prediction.image_id), heat_tag(prediction)
    with suppress(Unavailable):  # never drawn
        kept = storage.get(key)
        if _tag_of(kept) == tag:
            return kept
    png = _drawn(prediction, tag)
    with suppress(Unavailable):  # without room for it, it is drawn again the next time
        storage.put(key, png)
    return png


def _tag_of(png: bytes) -> str | None:
    """What a stored picture was drawn of; None when it cannot be read."""
    try:
        with Pillow.open(io.BytesIO(png)) as picture:
            picture.load()  # a damaged one is drawn anew
            said = picture.info.get(_SAYS)
    except (OSError, SyntaxError, ValueError):  # what Pillow raises over damaged files
        return None
    return str(said)


def _drawn(prediction: Prediction, tag: str) -> bytes:
    levels = heat_levels(
        storage.labels_get(prediction.labels_key),
        dict(prediction.cells.values_list("label", "uncertainty")),
        prediction.missed_at,
        prediction.diameter,
    )
    colours = palette()
    picture = Pillow.fromarray(levels)
    picture.putpalette(np.ascontiguousarray(colours[:, :3]).tobytes())
    about = PngInfo()
    about.add_text(_SAYS, tag)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", transparency=colours[:, 3].tobytes(), pnginfo=about)
    return buffer.getvalue()
