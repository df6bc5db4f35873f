"""The test finisher: each of its three words, and silence for all others."""

from __future__ import annotations

import pytest

from hypernest.devices import Finish, FinishKind, TestFinisher


@pytest.mark.parametrize(
    ("size", "value", "finish"),
    [
        (4, 0x5555, Finish(FinishKind.POWER_OFF)),
        (2, 0x5555, Finish(FinishKind.POWER_OFF)),
        (4, 0x7777, Finish(FinishKind.RESET)),
        (4, 0x3333, Finish(FinishKind.FAIL, 0)),
        (4, 0x3333 | 42 << 16, Finish(FinishKind.FAIL, 42)),
        (4, 0xFFFF_3333, Finish(FinishKind.FAIL, 0xFFFF)),
        (4, 0x1_5555, Finish(FinishKind.POWER_OFF)),
    ],
)
def test_words_that_mean_something(size: int, value: int, finish: Finish) -> None:
    heard: list[Finish] = []
    TestFinisher(heard.append).write(0, size, value)
    assert heard == [finish]


@pytest.mark.parametrize("value", [0, 1, 0x5554, 0x5555_0000, 0xFFFF_FFFF])
def test_others_are_ignored(value: int) -> None:
    heard: list[Finish] = []
    finisher = TestFinisher(heard.append)
    finisher.write(0, 4, value)
    assert heard == []
    assert finisher.read(0, 4) == 0


def test_tells_the_kernel_how_to_power_off() -> None:
    nodes = {node.name: node.properties for node in TestFinisher(lambda finish: None).tree_root_nodes()}
    assert (nodes["poweroff"]["compatible"], nodes["poweroff"]["value"]) == ("syscon-poweroff", 0x5555)
    assert (nodes["reboot"]["compatible"], nodes["reboot"]["value"]) == ("syscon-reboot", 0x7777)
