"""Stopping within a batch: one of large crops takes longer than anybody waits for a cancel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def asking(models: Iterable[nn.Module], check: Callable[[], None]) -> Iterator[None]:
    """Call ``check``, which may raise, before each layer and after each parameter's gradient."""

    def ask(*_: object) -> None:
        check()

    handles = []
    for model in models:
        layers = (module for module in model.modules() if not list(module.children()))
        handles += [layer.register_forward_pre_hook(ask) for layer in layers]
        trained = (each for each in model.parameters() if each.requires_grad)
        handles += [each.register_post_accumulate_grad_hook(ask) for each in trained]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
