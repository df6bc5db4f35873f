"""Whatever a client asks of a real machine is answered, and the machine stays usable."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypernest.debug.gdb.commands import answer
from hypernest.debug.gdb.machine_target import MachineTarget
from hypernest.debug.gdb.packets import LARGEST_PACKET
from hypernest.debug.gdb.session import Session
from hypernest.machine import Machine
from tests.machine.small_guests import FIRMWARE, bare

GUEST = """
    la   t0, 2f
    csrw mtvec, t0
1:  addi s0, s0, 1
    sd   s0, 256(sp)
    ecall
    j    1b
    .align 2
2:  csrr t1, mepc
    addi t1, t1, 4
    csrw mepc, t1
    mret
"""


def numbers(limit: int) -> st.SearchStrategy[bytes]:
    interesting = [0, 1, 2, 4, 8, 0x1000, FIRMWARE, FIRMWARE + 8, FIRMWARE + (16 << 20) - 1, 1 << 63, (1 << 64) - 1]
    return st.one_of(st.sampled_from(interesting), st.integers(0, limit)).map(lambda number: b"%x" % number)


ADDRESSES, SIZES = numbers((1 << 64) - 1), numbers(1 << 20)
REGISTERS = st.one_of(st.integers(0, 70), st.integers(0, 4200)).map(lambda number: b"%x" % number)
VALUES = st.binary(min_size=8, max_size=8).map(lambda value: value.hex().encode())
WORDS = tuple(b"goto regs translate physical snapshot restore console info a -1 0x0 5 99999999 99999999999".split())
POINTS = tuple(b"Z0, Z1, Z2, Z3, Z4, Z5, z0, z2,".split())
REQUESTS = st.one_of(
    st.tuples(st.just(b"m"), ADDRESSES, st.just(b","), SIZES),
    st.tuples(st.just(b"M"), ADDRESSES, st.just(b",2:"), st.just(b"0000")),
    st.tuples(st.just(b"P"), REGISTERS, st.just(b"="), VALUES),
    st.tuples(st.just(b"p"), REGISTERS),
    st.tuples(st.sampled_from(POINTS), ADDRESSES, st.just(b","), SIZES),
    st.tuples(st.sampled_from([b"vCont;s:", b"vCont;c:", b"Hg", b"Hc", b"T", b"qThreadExtraInfo,"]),
              st.sampled_from([b"0", b"1", b"2", b"3", b"-1"])),
    st.tuples(st.just(b"vCont;r"), ADDRESSES, st.just(b","), ADDRESSES, st.just(b":1")),
    st.tuples(st.sampled_from([b"s", b"c"]), st.one_of(st.just(b""), ADDRESSES)),
    st.tuples(st.sampled_from([b"bs", b"bc", b"g", b"?", b"qfThreadInfo", b"qXfer:exec-file:read::0,40"])),
    st.lists(st.sampled_from(WORDS), max_size=3).map(lambda words: (b"qRcmd,", b" ".join(words).hex().encode())),
    st.tuples(st.binary(max_size=20)),
).map(b"".join)  # fmt: skip


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with bare(GUEST, harts=2, engine="interpreter") as machine:
        machine.keep_history()
        machine.run(200)
        yield machine


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(REQUESTS, max_size=25))
def test_any_requests(machine: Machine, requests: list[bytes]) -> None:
    machine.run(7)
    beginning = machine.snapshot()
    patience = iter(range(3))
    session = Session(MachineTarget(machine), {}, lambda: next(patience, None) is None)
    session.registers = session.target.registers  # type: ignore[attr-defined]
    for request in requests:
        assert len(answer(session, request)) <= LARGEST_PACKET
        patience = iter(range(3))
    session.target.remove_all()
    machine.restore(beginning)
    before = machine.instructions
    machine.run(50)
    assert machine.instructions == before + 50
