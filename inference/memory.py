"""What glibc's allocator does with memory that was freed: keep it, or give it back at once.

Blocks above 128 kB (up to 32 MB, as it learns) are fetched from the system at each use and given
back after it. Every page of them is then cleared and mapped anew, which in a virtual machine is
half the time of a network's pass in float32. Other systems have other allocators: there nothing
happens.
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of mallopt(3)
_KEPT = 1 << 30  # bytes: the largest block that is kept, and how much of free memory at the end


def keep_freed() -> bool:
    """Keep large blocks for the next use, in this process from now on; whether that is possible."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is None:
        return False
    return bool(set_option(_MMAP_THRESHOLD, _KEPT) and set_option(_TRIM_THRESHOLD, _KEPT))


def give_back() -> None:
    """Give the system what is free now."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
