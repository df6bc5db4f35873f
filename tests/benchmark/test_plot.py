"""The picture: which bars it has, where they end, and that it is well-formed whatever was measured."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from hypernest.benchmark.plot import LEFT, RIGHT, Bar, Scale, bars, scale_for, svg, write_plot
from hypernest.benchmark.process import Run
from hypernest.benchmark.suite import Result, Row, Sample
from hypernest.benchmark.workloads import WORKLOADS
from hypernest.errors import HypernestError

SVG = "{http://www.w3.org/2000/svg}"


def row(name: str, **seconds: float) -> Row:
    workload = next(workload for workload in WORKLOADS if workload.name == name)
    return Row(
        workload,
        {
            peer: Result(peer, [Sample(value, Run(value, 0.1, value, value, 1, "0x1"))])
            for peer, value in seconds.items()
        },
    )


def parsed(picture: str) -> ElementTree.Element:
    return ElementTree.fromstring(picture)  # noqa: S314, our own text


def test_bars_are_workloads_with_a_goal_and_whole_groups() -> None:
    rows = [
        row("startup", qemu=1.0, hypernest=1.0),
        row("integer", qemu=3.0, hypernest=2.0, native=0.5),
        row("nbody", qemu=1.0, hypernest=1.0),
        row("matrix", qemu=2.0, hypernest=1.0),
        row("mandelbrot", qemu=4.0, hypernest=1.0),
        row("sha256", qemu=1.0, hypernest=1.0),
        row("sorttext", hypernest=1.0),
    ]
    found = bars(rows, ["qemu"])
    assert [bar.label for bar in found] == [
        "integer",
        "nbody",
        "matrix",
        "mandelbrot",
        "sha256",
        "floating point, mean",
    ]
    assert found[0] == Bar("integer", 1.5, 6.0, 1.5)
    assert found[-1].speed == pytest.approx(2.0) and found[-1].goal == 2.0


def test_scale_is_logarithmic_and_holds_everything() -> None:
    scale = Scale(0.5, 2)
    assert (scale.x(0.5), scale.x(1), scale.x(2)) == (LEFT, (LEFT + RIGHT) / 2, RIGHT)
    assert (scale.x(0.001), scale.x(1000)) == (LEFT, RIGHT)
    assert scale.ticks == [0.5, 1, 2]
    assert scale_for([]) == Scale(0.5, 2)
    assert scale_for([Bar("a", 0.3, native=30, goal=1.5)]) == Scale(0.2, 50)
    assert scale_for([Bar("a", 1e-9, native=1e9)]) == Scale(0.1, 500)


def test_picture_is_well_formed_and_its_bars_begin_or_end_at_one() -> None:
    shown = [Bar("a <&> b", 2.0, native=8.0, goal=1.5), Bar("slow", 0.25)]
    root = parsed(svg(shown, 'CPU "x" & <y>'))
    one = scale_for(shown).x(1)
    fast, slow = [(float(each.get("x", "")), float(each.get("width", ""))) for each in root.iter(f"{SVG}rect")]
    assert fast == pytest.approx((one, scale_for(shown).x(2) - one), abs=0.1)
    assert sum(slow) == pytest.approx(one, abs=0.1) and slow[0] < one
    assert [each.get("class") for each in root.iter(f"{SVG}rect")] == ["faster", "slower"]
    texts = {each.text for each in root.iter(f"{SVG}text")}
    assert {"a <&> b", "slow", "2.00", "0.25", 'CPU "x" & <y>'} <= texts
    # One mark for native speed beside the one that explains it.
    assert len(list(root.iter(f"{SVG}path"))) == 2
    assert any(each.get("class") == "one" and each.get("x1") == f"{one:.1f}" for each in root.iter(f"{SVG}line"))


def test_picture_of_nothing_is_well_formed() -> None:
    assert parsed(svg([], "")).tag == f"{SVG}svg"


def test_file_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    write_plot(tmp_path / "plot.svg", [], "")
    assert (tmp_path / "plot.svg").read_text().startswith("<svg")
    with pytest.raises(HypernestError, match=r"cannot write .*: No such file or directory"):
        write_plot(tmp_path / "absent" / "plot.svg", [], "")
