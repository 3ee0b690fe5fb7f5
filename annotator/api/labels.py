"""Label images over HTTP: raw little-endian bytes for the browser, TIFF and PNG for others."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterable
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from django.http import HttpRequest, HttpResponse
from numpy.typing import NDArray
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from annotator import readers
from annotator.exceptions import BadInput, TooLarge, UnusableLabels
from annotator.models import Image
from inference import labels as label_images

GZIP_LEVEL = 1  # label images shrink a hundredfold at any level; waiting is what costs
SLACK = 1 << 20  # bytes of a TIFF or PNG beside its pixels


class AnyAccept(BaseContentNegotiation):
    """For views that answer bytes: DRF would refuse an Accept that names no JSON."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """The parser whose media type is the request's; bytes are read by the view itself."""
        media = (request.content_type or "").split(";")[0].strip()
        return next((parser for parser in parsers if parser.media_type == media), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """The first: it is used for errors only."""
        first = next(iter(renderers))
        return first, first.media_type


def raw_response(request: HttpRequest | Request, array: NDArray[Any]) -> HttpResponse:
    """``array`` as little-endian C-order bytes, gzipped unless the client refuses gzip.

    Headers ``X-Shape`` (e.g. ``2,256,256``) and ``X-Dtype`` say how to read them.
    """
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    raw = little.tobytes()
    zipped = takes_gzip(request.headers.get("Accept-Encoding"))
    response = HttpResponse(
        gzip.compress(raw, GZIP_LEVEL, mtime=0) if zipped else raw,
        content_type="application/octet-stream",
    )
    if zipped:
        response["Content-Encoding"] = "gzip"
    response["X-Shape"] = ",".join(str(length) for length in array.shape)
    response["X-Dtype"] = array.dtype.name
    response["Vary"] = "Accept, Accept-Encoding, Cookie, Authorization"
    response["Cache-Control"] = "private, no-cache"
    return response


def takes_gzip(accepted: str | None) -> bool:
    """Whether an Accept-Encoding, or its absence, lets us answer in gzip."""
    if accepted is None:
        return True
    weights: dict[str, float] = {}
    for part in accepted.lower().split(","):
        coding, _, options = part.partition(";")
        found = re.search(r"\bq\s*=\s*([01](?:\.\d*)?)", options)
        weights[coding.strip()] = float(found[1]) if found else 1.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def labels_response(
    request: HttpRequest | Request, labels: NDArray[Any], name: str
) -> HttpResponse:
    """A label image (H, W) in the form that ``Accept`` asks for: raw, TIFF or PNG."""
    accept = request.headers.get("Accept", "")
    if "octet-stream" in accept or not ("image/tiff" in accept or "image/png" in accept):
        return raw_response(request, labels)
    if "image/tiff" in accept:
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, labels, compression="zlib")
        response = HttpResponse(buffer.getvalue(), content_type="image/tiff")
        extension = "tif"
    elif labels.dtype == np.uint16:
        response = HttpResponse(imagecodecs.png_encode(labels), content_type="image/png")
        extension = "png"
    else:
        raise BadInput("PNG holds labels up to 65535 and this image has more; ask for TIFF.")
    stem = name.rpartition(".")[0] or name
    response["Content-Disposition"] = f'attachment; filename="{_plain(stem)}_masks.{extension}"'
    response["Vary"] = "Accept, Cookie, Authorization"
    response["Cache-Control"] = "private, no-cache"
    return response


def _plain(name: str) -> str:
    """A name that needs no quoting in a header."""
    return "".join(
        char if (char.isalnum() and char.isascii()) or char in "-_." else "_" for char in name
    )


def most_bytes(image: Image) -> int:
    """The longest body in which ``image``'s labels may come."""
    return 4 * image.height * image.width + SLACK


def check_length(size: int, image: Image) -> None:
    """Raise TooLarge for more bytes than the labels of ``image`` can have."""
    if size > most_bytes(image):
        raise TooLarge(
            f"{size} bytes are more than a label image of {image.width}×{image.height} px has."
        )


def labels_of_bytes(content: bytes, image: Image, dtype: str | None = None) -> NDArray[Any]:
    """Labels (H, W) from raw little-endian bytes of ``dtype`` (maybe gzipped), TIFF or PNG.

    Without ``dtype``, the length of raw bytes tells it. Raises UnusableLabels, UnreadableImage.
    """
    if content[:8] == b"\x89PNG\r\n\x1a\n" or content[:4] in (b"II*\0", b"MM\0*", b"II+\0"):
        return readers.read_labels(content, "labels.tif", (image.height, image.width))
    shape = (image.height, image.width)
    pixels = image.height * image.width
    dtypes = [dtype] if dtype else ["uint16", "uint32"]
    lengths = {pixels * np.dtype(name).itemsize: name for name in dtypes}
    if len(content) not in lengths and content[:2] == b"\x1f\x8b":
        content = _gunzipped(content, 4 * pixels)
    if len(content) not in lengths:
        expected = " or ".join(str(length) for length in lengths)
        raise UnusableLabels(
            f"The labels are {len(content)} bytes; {image.width}×{image.height} px of "
            f"{' or '.join(dtypes)} are {expected}."
        )
    return label_images.decode(content, shape, lengths[len(content)])


def _gunzipped(content: bytes, limit: int) -> bytes:
    """At most ``limit`` bytes out of a gzip, however many it claims to hold."""
    unpacking = zlib.decompressobj(31)
    try:
        raw = unpacking.decompress(content, limit + 1)
    except zlib.error as error:
        raise UnusableLabels("The gzipped labels are damaged.") from error
    if len(raw) > limit:
        raise TooLarge("The gzipped labels hold more bytes than the image has.")
    if not unpacking.eof:
        raise UnusableLabels("The gzipped labels are cut off.")
    return raw
