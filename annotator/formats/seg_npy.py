"""cellpose's ``X_seg.npy``: a pickled dict, read without letting the pickle run anything.

Only dicts, lists, numbers, strings and numpy arrays can come out. The pure-Python unpickler is
used because its memo is a dict and its opcodes can be replaced; the C one lets a few bytes of
input claim gigabytes.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from annotator.exceptions import UnreadableImage, UnusableLabels

Array = NDArray[Any]


# What a pickle gets when it names numpy.ndarray: the class itself, called with a shape, would
# claim any amount of memory.
_NDARRAY = object()


def _reconstruct(kind: object, shape: tuple[int, ...], code: bytes | str) -> Array:
    """numpy's empty array, to be filled by the pickle's state; a shape would claim memory."""
    if kind is not _NDARRAY or tuple(shape) != (0,):
        raise pickle.UnpicklingError("an array that is not empty at first")
    return np.ndarray((0,), np.int8)


def _scalar(dtype: np.dtype[Any], raw: bytes = b"") -> Any:
    if dtype.hasobject:
        raise pickle.UnpicklingError("an object in a scalar")
    return np.frombuffer(raw, dtype, 1)[0]


def _frombuffer(buffer: Any, dtype: Any, shape: tuple[int, ...], order: Any) -> Array:
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


def _encode(text: str, encoding: str) -> bytes:
    """Bytes as Python 2's protocols spell them."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"the encoding {encoding}")
    return text.encode("latin1")


_ALLOWED: dict[str, Any] = {"numpy.ndarray": _NDARRAY, "numpy.dtype": np.dtype}
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_core}.multiarray._reconstruct"] = _reconstruct
    _ALLOWED[f"{_core}.multiarray.scalar"] = _scalar
    _ALLOWED[f"{_core}.numeric._frombuffer"] = _frombuffer
_ALLOWED["_codecs.encode"] = _encode


class _PlainUnpickler(pickle._Unpickler):
    """Knows numpy arrays and plain values; everything else is refused before it is looked up."""

    limit = 0  # bytes in the file
    read: Callable[[int], bytes]  # set by load(), as is append
    append: Callable[[Any], None]
    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)

    def load_bytearray8(self) -> None:
        """Python's own zeroes as many bytes as eight bytes of input claim, before reading any."""
        (size,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(min(size, self.limit))))

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[f"{module}.{name}"]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def read_masks(content: bytes, name: str) -> Array:
    """The label image of a ``_seg.npy`` file: uint16 or uint32, (H, W).

    Raises:
        UnreadableImage: it is no such file, is damaged, or asks for anything but plain values.
        UnusableLabels: it holds no 2-D masks.
    """
    try:
        found = _load(content)
    except pickle.UnpicklingError as error:
        raise UnreadableImage(f"{name} is refused: {error}. Only plain masks are read.") from error
    except Exception as error:  # a crafted or damaged pickle raises anything
        raise UnreadableImage(f"{name} is damaged or no cellpose _seg.npy file.") from error
    masks = found.get("masks") if isinstance(found, dict) else None
    if not isinstance(masks, np.ndarray) or masks.ndim != 2 or masks.dtype.kind not in "ui":
        raise UnusableLabels(f"{name} holds no masks of one plane and whole numbers.")
    if int(masks.min(initial=0)) < 0:
        raise UnusableLabels(f"{name} holds negative labels.")
    top = int(masks.max(initial=0))
    if top > np.iinfo(np.uint32).max:
        raise UnusableLabels(f"{name} holds labels beyond 4294967295.")
    return masks.astype(np.uint16 if top <= 0xFFFF else np.uint32)


def _load(content: bytes) -> Any:
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, _, dtype = read_header(stream)
    if shape != () or not dtype.hasobject:
        raise pickle.UnpicklingError("it holds an array, not cellpose's dict")
    unpickler = _PlainUnpickler(stream)
    unpickler.limit = len(content)
    found = unpickler.load()
    return found.item() if isinstance(found, np.ndarray) and found.shape == () else found
