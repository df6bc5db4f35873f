"""Profiles as files that existing viewers open: speedscope's own format, and folded stacks."""

from __future__ import annotations

import json
from collections import Counter

from hypernest.debug.profile import Stack, Stacks

_SPEEDSCOPE_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def folded(stacks: Stacks, title: str) -> str:
    """A line for each stack: its frames joined by semicolons, a blank, and its instructions; `title` has no place."""
    return "".join(f"{';'.join(stack)} {steps}\n" for stack, steps in sorted(summed(stacks).items()))


def speedscope(stacks: Stacks, title: str) -> str:
    """A sampled profile of https://www.speedscope.app, samples in the order of `stacks`; weights are instructions."""
    frames: dict[str, int] = {}
    samples = [[frames.setdefault(frame, len(frames)) for frame in stack] for stack, _ in stacks]
    weights = [steps for _, steps in stacks]
    profile = {
        "type": "sampled",
        "name": title,
        "unit": "none",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": samples,
        "weights": weights,
    }
    document = {
        "$schema": _SPEEDSCOPE_SCHEMA,
        "exporter": "hypernest",
        "name": title,
        "activeProfileIndex": 0,
        "shared": {"frames": [{"name": name} for name in frames]},
        "profiles": [profile],
    }
    return json.dumps(document, separators=(",", ":")) + "\n"


def summed(stacks: Stacks) -> Counter[Stack]:
    """The instructions of each stack."""
    total: Counter[Stack] = Counter()
    for stack, steps in stacks:
        total[stack] += steps
    return total
