"""A profile as a picture of its own: where time went by mode, and the places that took most of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from html import escape

from hypernest.debug.profile import Stacks
from hypernest.debug.profile_formats import summed

_WIDTH, _MARGIN = 960, 16
_LABEL, _SHARE = 330, 60  # columns: names, per cent
_ROW, _BAR = 20, 14
_ROWS = 40
_LONGEST_LABEL = 44

# By the frame of the stack that names the mode, on light and on dark ground: colours that the colour-blind tell apart.
_COLOURS = {
    "user": ("#2a78b5", "#5aa7e0"),
    "kernel": ("#d9822b", "#f0a35a"),
    "firmware": ("#3c8f5a", "#6fc28d"),
    "machine": ("#3c8f5a", "#6fc28d"),
}
_OTHER = ("#8a6fb0", "#b39ad6")


def picture(stacks: Stacks, title: str) -> str:
    """An SVG file that stands alone; it follows the viewer's light or dark, and tells more where the mouse is."""
    total = sum(steps for _, steps in stacks) or 1
    modes: Counter[str] = Counter()
    places: Counter[tuple[str, str]] = Counter()
    for stack, steps in summed(stacks).items():
        mode = next((frame for frame in stack if frame in _COLOURS), stack[0])
        modes[mode] += steps
        places[mode, " ".join(stack[stack.index(mode) + 1 :])] += steps
    ordered = sorted(places.items(), key=lambda item: (-item[1], item[0]))
    shown, rest = ordered[:_ROWS], ordered[_ROWS:]
    height = 100 + _ROW * (len(shown) + bool(rest)) + _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
        ' font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f"<style>{_style()}</style>",
        f'<rect class="ground" width="{_WIDTH}" height="{height}"/>',
        f'<text x="{_MARGIN}" y="26" font-size="16">{escape(title)}</text>',
        *_modes(modes, total),
        *_bars(shown, total),
    ]
    if rest:
        steps = sum(steps for _, steps in rest)
        y = 100 + _ROW * len(shown) + _BAR - 2
        lines.append(f'<text class="faint" x="{_MARGIN}" y="{y}">{_share(steps, total)} in {len(rest)} more</text>')
    return "\n".join((*lines, "</svg>\n"))


def _modes(modes: Counter[str], total: int) -> Iterator[str]:
    """One bar for the whole, and what its colours mean."""
    width = _WIDTH - 2 * _MARGIN
    x, name_at = float(_MARGIN), _MARGIN
    for mode, steps in modes.most_common():
        part = width * steps / total
        about = escape(f"{mode}: {steps:,} instructions, {_share(steps, total)}")
        kind = _kind(mode)
        yield f'<rect class="{kind}" x="{x:.2f}" y="40" width="{part:.2f}" height="16"><title>{about}</title></rect>'
        yield f'<rect class="{kind}" x="{name_at}" y="66" width="10" height="10"/>'
        yield f'<text x="{name_at + 15}" y="75">{escape(mode)} {_share(steps, total)}</text>'
        x += part
        name_at += 150


def _bars(places: list[tuple[tuple[str, str], int]], total: int) -> Iterator[str]:
    left = _MARGIN + _LABEL + _SHARE
    widest = _WIDTH - _MARGIN - left
    most = places[0][1] if places else 1
    for row, ((mode, name), steps) in enumerate(places):
        y = 100 + _ROW * row
        label = name if len(name) <= _LONGEST_LABEL else name[: _LONGEST_LABEL - 1] + "…"
        about = escape(f"{name} ({mode}): {steps:,} instructions, {_share(steps, total)}")
        width = max(widest * steps / most, 0.5)
        baseline = y + _BAR - 3
        yield (
            f'<g><title>{about}</title><rect class="row" x="{_MARGIN}" y="{y - 3}" width="{_WIDTH - 2 * _MARGIN}"'
            f' height="{_ROW}"/><text x="{_MARGIN}" y="{baseline}">{escape(label)}</text>'
            f'<text class="faint" text-anchor="end" x="{left - 8}" y="{baseline}">{_share(steps, total)}</text>'
            f'<rect class="{_kind(mode)}" x="{left}" y="{y}" width="{width:.2f}" height="{_BAR}"/></g>'
        )


def _share(steps: int, total: int) -> str:
    return f"{100 * steps / total:.1f} %"


def _kind(mode: str) -> str:
    return mode if mode in _COLOURS else "other"


def _style() -> str:
    def rules(ground: str, text: str, faint: str, row: str, index: int) -> str:
        colours = {**_COLOURS, "other": _OTHER}
        fills = "".join(f".{kind}{{fill:{pair[index]}}}" for kind, pair in colours.items())
        return (
            f".ground{{fill:{ground}}}text{{fill:{text}}}.faint{{fill:{faint}}}"
            f".row{{fill:transparent}}g:hover .row{{fill:{row}}}{fills}"
        )

    dark = rules("#16181c", "#e6e6e6", "#a0a4ab", "#24282f", 1)
    return rules("#ffffff", "#1c1e21", "#666b73", "#f0f2f5", 0) + f"@media (prefers-color-scheme:dark){{{dark}}}"
