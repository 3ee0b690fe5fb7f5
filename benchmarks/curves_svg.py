"""Learning curves as an SVG file: lines with error bands, several panels side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 400, 300  # px of a panel
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 30, 44
# Okabe & Ito's colours, which the colour-blind tell apart.
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7", "#999999")


@dataclass(frozen=True)
class Panel:
    """``lines``: points {"cells", "mean", "se"} by name; ``target`` is drawn dashed."""

    title: str
    across: str
    up: str
    lines: Mapping[str, Sequence[Mapping[str, Any]]]
    target: float
    unit: str = "cells"  # the points' key of what goes across


def write_curves(file: Path, panels: Sequence[Panel]) -> None:
    """Write ``panels`` side by side, one legend below them all."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    colours = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(names)}
    rows = math.ceil(len(names) / 4)
    width, height = WIDTH * len(panels), HEIGHT + 18 * rows + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for n, panel in enumerate(panels):
        parts += [f'<g transform="translate({n * WIDTH},0)">', *_drawn(panel, colours), "</g>"]
    step = width // min(4, max(1, len(names)))
    for n, name in enumerate(names):
        x, y = _LEFT + step * (n % 4), HEIGHT + 14 + 18 * (n // 4)
        parts.append(
            f'<line x1="{x}" y1="{y - 4}" x2="{x + 22}" y2="{y - 4}" stroke="{colours[name]}"'
            f' stroke-width="2"/><text x="{x + 28}" y="{y}">{escape(name)}</text>'
        )
    file.write_text("\n".join([*parts, "</svg>\n"]))


class _Scale:
    """Labels on a logarithmic axis and values on a straight one, to px of a panel."""

    def __init__(self, panel: Panel) -> None:
        points = [point for line in panel.lines.values() for point in line]
        xs = [max(float(point[panel.unit]), 0.1) for point in points] or [1.0, 10.0]
        ys = [float(point["mean"]) for point in points] + [panel.target]
        self.low, self.high = min(xs), max(max(xs), min(xs) * 1.01)
        self.bottom = math.floor(min(ys) * 20) / 20
        self.top = max(math.ceil(max(ys) * 20) / 20, self.bottom + 0.05)

    def x(self, value: float) -> float:
        share = math.log(max(value, 0.1) / self.low) / math.log(self.high / self.low)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.bottom) / (self.top - self.bottom)
        return HEIGHT - _BOTTOM - min(max(share, 0.0), 1.0) * (HEIGHT - _TOP - _BOTTOM)

    def across(self) -> list[float]:
        """Round numbers of labels."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        every = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        return [value for value in every if self.low <= value <= self.high]

    def up(self) -> list[float]:
        """Round values, five or so."""
        step = max(0.05, round((self.top - self.bottom) / 5 / 0.05) * 0.05)
        count = int((self.top - self.bottom) / step + 1e-6)
        return [self.bottom + n * step for n in range(count + 1)]


def _drawn(panel: Panel, colours: Mapping[str, str]) -> list[str]:
    scale = _Scale(panel)
    low, high = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts = [
        f'<text x="{_LEFT}" y="18" font-size="13" font-weight="bold">{escape(panel.title)}</text>',
        f'<text x="{(_LEFT + high) / 2}" y="{HEIGHT - 8}" text-anchor="middle">'
        f"{escape(panel.across)}</text>",
        f'<text transform="translate(14,{(low + _TOP) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(panel.up)}</text>",
    ]
    for value in scale.across():
        x = scale.x(value)
        parts.append(f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{low}" stroke="#eee"/>')
        parts.append(f'<text x="{x:.1f}" y="{low + 15}" text-anchor="middle">{value:g}</text>')
    for value in scale.up():
        y = scale.y(value)
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{high}" y2="{y:.1f}" stroke="#eee"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>')
    y = scale.y(panel.target)
    parts.append(
        f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{high}" y2="{y:.1f}" stroke="#888"'
        ' stroke-dasharray="4 3"/>'
    )
    for name, line in panel.lines.items():
        parts += _line(line, scale, colours[name], panel.unit)
    return parts


def _line(line: Sequence[Mapping[str, Any]], scale: _Scale, colour: str, unit: str) -> list[str]:
    def at(point: Mapping[str, Any], way: int) -> str:
        value = point["mean"] + way * (point["se"] or 0.0)
        return f"{scale.x(point[unit]):.1f},{scale.y(value):.1f}"

    band = [at(point, 1) for point in line] + [at(point, -1) for point in reversed(line)]
    middle = " ".join(at(point, 0) for point in line)
    return [
        f'<polygon points="{" ".join(band)}" fill="{colour}" opacity="0.12"/>',
        f'<polyline points="{middle}" fill="none" stroke="{colour}" stroke-width="2"/>',
    ]
