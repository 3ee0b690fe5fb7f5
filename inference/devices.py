"""Where networks run, and in which arithmetic."""

from __future__ import annotations

import torch

KINDS = ("cpu", "cuda", "mps")


def pick_device(name: str | None = None) -> torch.device:
    """The named device, or a GPU when there is one, else the CPU."""
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


def is_there(name: str) -> bool:
    """Whether this machine has the named device, or any to pick from where ``name`` is empty."""
    try:
        device = pick_device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):  # no such word, no such GPU, a build without any
        return False
    return device.type in KINDS


def device_name(name: str | None = None) -> str:
    """What a person calls the device that ``pick_device`` gives."""
    try:
        device = pick_device(name)
        if device.type == "cuda" and torch.cuda.is_available():
            return str(torch.cuda.get_device_name(device))
    except (RuntimeError, AssertionError):  # there is no such device: the training will say so
        return str(name)
    if device.type != "cpu":
        return str(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' * (threads != 1)}"


def fast_in_bfloat16(device: torch.device) -> bool:
    """Whether this device multiplies bfloat16 in hardware; emulated, it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    if device.type != "cpu":
        return False
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
