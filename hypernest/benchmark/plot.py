"""The picture of the suite: how fast hypernest is next to QEMU, a bar for each workload, and how far native is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from hypernest.benchmark.record import told
from hypernest.benchmark.report import HYPERNEST, NATIVE, group_speed
from hypernest.benchmark.suite import Row
from hypernest.benchmark.workloads import GROUPS

WIDTH = 760
# Where the scale begins and ends.
LEFT, RIGHT = 260, WIDTH - 30
TOP = 74
ROW_HEIGHT = 24
BAR_HEIGHT = 14
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
# The scale shows at least this much, and all bars and marks up to `GREATEST`; what is beyond stands at its edge.
LEAST_SHOWN, MOST_SHOWN = 0.5, 2.0
LEAST, GREATEST = TICKS[0], TICKS[-1]

STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600 }
  .small { font-size: 11px; fill: #57606a }
  .end { text-anchor: end }
  .middle { text-anchor: middle }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .one { stroke: #24292f; stroke-width: 1.5 }
  .faster { fill: #2da44e }
  .slower { fill: #cf6a4c }
  .goal { stroke: #24292f; stroke-width: 2 }
  .native { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .small { fill: #9198a1 }
    .grid { stroke: #3d444d }
    .one, .goal { stroke: #e6edf3 }
    .native { fill: #58a6ff }
  }
"""


@dataclass(frozen=True)
class Bar:
    """A workload or a group; all three are speeds as shares of QEMU's."""

    label: str
    speed: float
    native: float | None = None
    goal: float | None = None


@dataclass(frozen=True)
class Scale:
    """A logarithmic axis from `least` to `most`."""

    least: float
    most: float

    def x(self, value: float) -> float:
        shown = min(max(value, self.least), self.most)
        return LEFT + (RIGHT - LEFT) * math.log(shown / self.least) / math.log(self.most / self.least)

    @property
    def ticks(self) -> list[float]:
        return [tick for tick in TICKS if self.least <= tick <= self.most]


def bars(rows: Sequence[Row], baselines: Sequence[str]) -> list[Bar]:
    """One for each workload that both hypernest and QEMU ran, then one for each group that is complete."""
    found = [
        Bar(row.workload.name, speed, row.ratio(NATIVE, baselines), row.workload.goal)
        for row in rows
        if row.workload.goal is not None and (speed := row.ratio(HYPERNEST, baselines)) is not None
    ]
    for group in GROUPS:
        together = group_speed(group, rows, baselines)
        if together.mean is not None and together.whole:
            found.append(Bar(f"{group.title}, mean", together.mean, goal=group.goal))
    return found


def scale_for(shown: Sequence[Bar]) -> Scale:
    """From the tick below the least value to the one above the greatest."""
    values = [value for bar in shown for value in (bar.speed, bar.native, bar.goal) if value is not None]
    least, most = min([LEAST_SHOWN, *values]), max([MOST_SHOWN, *values])
    return Scale(
        max((tick for tick in TICKS if tick <= least), default=LEAST),
        min((tick for tick in TICKS if tick >= most), default=GREATEST),
    )


def svg(shown: Sequence[Bar], subtitle: str) -> str:
    """The picture; it follows the reader's choice of light or dark and needs no background of its own."""
    scale = scale_for(shown)
    bottom = TOP + ROW_HEIGHT * len(shown)
    height = bottom + 46
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img">',
        "<title>Speed of hypernest next to QEMU</title>",
        f"<style>{STYLE}</style>",
        '<text class="title" x="16" y="24">Speed of hypernest; 1 is as fast as QEMU, further right is faster</text>',
        f'<text class="small" x="16" y="42">{escape(subtitle)}</text>',
    ]
    for tick in scale.ticks:
        x = scale.x(tick)
        lines += [
            f'<line class="grid" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{bottom}"/>',
            f'<text class="small middle" x="{x:.1f}" y="{TOP - 12}">{tick:g}</text>',
        ]
    for place, bar in enumerate(shown):
        lines += _bar(bar, scale, TOP + ROW_HEIGHT * place)
    one = scale.x(1)
    lines += [
        f'<line class="one" x1="{one:.1f}" y1="{TOP - 6}" x2="{one:.1f}" y2="{bottom}"/>',
        *_legend(bottom + 26),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def write_plot(path: Path, shown: Sequence[Bar], subtitle: str) -> None:
    """Raises `HypernestError` when the file cannot be written."""
    with told(path):
        path.write_text(svg(shown, subtitle), encoding="utf-8")


def _bar(bar: Bar, scale: Scale, y: float) -> list[str]:
    """Bars go from 1 to the right or to the left: on such a scale twice and half as fast are as long."""
    begin, end = sorted((scale.x(1), scale.x(bar.speed)))
    middle = y + ROW_HEIGHT / 2
    kind = "faster" if bar.speed >= 1 else "slower"
    lines = [
        f'<text class="end" x="{LEFT - 58}" y="{middle + 4:.1f}">{escape(bar.label)}</text>',
        f'<text class="end" x="{LEFT - 14}" y="{middle + 4:.1f}">{bar.speed:.2f}</text>',
        f'<rect class="{kind}" x="{begin:.1f}" y="{middle - BAR_HEIGHT / 2:.1f}" '
        f'width="{end - begin:.1f}" height="{BAR_HEIGHT}"/>',
    ]
    if bar.goal is not None:
        x = scale.x(bar.goal)
        lines.append(
            f'<line class="goal" x1="{x:.1f}" y1="{middle - 9:.1f}" x2="{x:.1f}" y2="{middle + 9:.1f}" '
            'stroke-dasharray="2 2"/>'
        )
    if bar.native is not None:
        lines.append(_diamond(scale.x(bar.native), middle))
    return lines


def _diamond(x: float, y: float) -> str:
    return f'<path class="native" d="M{x:.1f} {y - 6:.1f}l5 6l-5 6l-5-6z"/>'


def _legend(y: float) -> list[str]:
    return [
        f'<line class="goal" x1="{LEFT}" y1="{y - 12}" x2="{LEFT}" y2="{y + 4}" stroke-dasharray="2 2"/>',
        f'<text class="small" x="{LEFT + 8}" y="{y}">wanted at least</text>',
        _diamond(LEFT + 130, y - 4),
        f'<text class="small" x="{LEFT + 140}" y="{y}">the same source built for the host</text>',
    ]
