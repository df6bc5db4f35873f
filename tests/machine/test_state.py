"""The state of a machine as data: complete, equal on every engine, and refused or harmless whatever is in it."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from hypernest.engines.hart_state import HartState
from hypernest.isa.layout import Layout
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.machine import Machine
from hypernest.machine.state import (
    BadState,
    BoardState,
    decode_like,
    decode_state,
    encode_state,
    state_digest,
)
from tests.machine.busy_guests import ENGINES, GUESTS, bare_machine, hosted_machine
from tests.machine.small_guests import bare
from tests.machine.test_devices_from_guest import SECTORS, whole_script

CORNERS = (0, 1, 2, 3, 7, 63, 64, 255, 256, 4095, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 62, (1 << 63) - 1, 1 << 63)
ALL = (1 << 64) - 1
LAYOUT = Layout(RISCV64.registers)


def state_of(machine: Machine) -> BoardState:
    return machine._open_board().capture()


@pytest.mark.parametrize("guest", GUESTS)
def test_a_state_survives_the_way_to_bytes_and_back(guest: str) -> None:
    with GUESTS[guest]() as machine:
        machine.console.send("abc")
        machine.run(1500)
        state = state_of(machine)
        data = encode_state(state)
        assert decode_state(data, BoardState) == state
        assert encode_state(decode_state(data, BoardState)) == data
        machine._open_board().restore(decode_state(data, BoardState))
        assert state_of(machine) == state


@pytest.mark.parametrize("guest", GUESTS)
def test_states_are_equal_on_all_engines(guest: str) -> None:
    states = []
    for engine in ENGINES:
        with GUESTS[guest](engine=engine) as machine:
            machine.console.send("abc")
            machine.run(1234)
            states.append(state_of(machine))
    assert states[0] == states[1] == states[2]


@pytest.mark.parametrize("guest", GUESTS)
def test_whatever_a_machine_comes_to_it_takes_back(guest: str) -> None:
    with GUESTS[guest]() as machine:
        for _ in range(400):
            machine.run(7)
            machine._open_board().restore(state_of(machine))


def test_all_that_matters_is_in_the_digest() -> None:
    with hosted_machine() as machine:
        machine.run(1000)
        state = state_of(machine)
        digest = state_digest(state)
        assert state_digest(replace(state, console=replace(state.console, unread=b"seen"))) == digest
        assert state_digest(replace(state, console=replace(state.console, incoming=b"x"))) != digest
        assert state_digest(replace(state, suspended={1: 7})) != digest
        scheduler = state.scheduler
        assert state_digest(replace(state, scheduler=replace(scheduler, attended=not scheduler.attended))) == digest
        for each in fields(scheduler):
            if each.name != "attended":
                value = getattr(scheduler, each.name)
                other: Any = [*value[:-1], value[-1] + 1] if isinstance(value, list) else value + 1
                changed: dict[str, Any] = {each.name: other}
                assert state_digest(replace(state, scheduler=replace(scheduler, **changed))) != digest
        words = bytearray(state.harts[1])
        for at in range(0, len(words), 8):
            words[at] ^= 1
            assert state_digest(replace(state, harts=[state.harts[0], bytes(words)])) != digest
            words[at] ^= 1


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x80", b"\x90" * 100_000, b"\x81\xa5steps\xff", b"\xdd\xff\xff\xff\xff"]
)
def test_what_is_no_state_is_refused(data: bytes) -> None:
    with pytest.raises(BadState, match="damaged"):
        decode_state(data, BoardState)


def test_negative_and_huge_numbers_are_refused() -> None:
    with bare_machine() as machine:
        plain = msgspec.msgpack.decode(encode_state(state_of(machine)), strict=False)
    for value in (-1, -(1 << 63)):
        plain["scheduler"]["steps"] = value
        with pytest.raises(BadState):
            decode_state(msgspec.msgpack.encode(plain), BoardState)


def test_lists_of_another_length_are_refused() -> None:
    with bare_machine() as machine:
        state = state_of(machine).scheduler
    shorter = replace(state, timers=state.timers[:-1])
    with pytest.raises(BadState):
        decode_like(encode_state(shorter), state)


SCHEDULER: dict[str, Any] = {
    "current": 2,
    "activities": [0, 3],
    "timers": [1],
    "time": 1 << 62,
    "steps": (1 << 63) + 5,
    "next_check": 1 << 63,
    "turn_start": 501,
    "idle_time": 1 << 62,
}


@pytest.mark.parametrize("name", SCHEDULER)
def test_a_run_loop_that_cannot_be_is_refused_with_nothing_changed(name: str) -> None:
    with bare_machine() as machine:
        machine.run(500)
        state, before = state_of(machine), machine.state_hash()
        machine.run(500)
        now = machine.state_hash()
        bad = replace(state, scheduler=replace(state.scheduler, **{name: SCHEDULER[name]}))
        with pytest.raises(BadState):
            machine._open_board().restore(bad)
        assert machine.state_hash() == now != before


@pytest.mark.parametrize("name", ["pc", "priv", "satp", "mepc", "pmpcfg", "monitor_call", "hosted", "hartid", "lines"])
def test_a_hart_that_cannot_be_is_refused_with_nothing_changed(name: str) -> None:
    values = {"pc": 1, "priv": 2, "satp": 15 << 60, "mepc": 1, "pmpcfg": 2, "lines": 1 << 40}
    with hosted_machine() as machine:
        machine.run(500)
        state, before = state_of(machine), machine.state_hash()
        words = bytearray(state.harts[1])
        view = memoryview(words).cast("Q")
        at = LAYOUT.index[name]
        view[at] = values.get(name, view[at] ^ 1)
        with pytest.raises(BadState):
            machine._open_board().restore(replace(state, harts=[state.harts[0], bytes(words)]))
        assert machine.state_hash() == before


@pytest.mark.parametrize(("engine", "times"), [("reference", 20), ("interpreter", 200), ("translator", 40)])
@pytest.mark.parametrize("guest", [*GUESTS, "devices"])
def test_a_damaged_state_is_refused_or_runs(guest: str, engine: str, times: int, tmp_path: Path) -> None:
    """Whatever a file says, a machine refuses it or runs it: nothing but the documented errors, and no crash."""
    random = Random(f"{guest} {engine}")
    taken = 0
    with _damaged_machine(guest, tmp_path, engine=engine) as machine:
        snapshots = []
        for _ in range(10):
            machine.run(150)
            snapshots.append(machine.snapshot())
        plain = [msgspec.msgpack.decode(encode_state(each.state), strict=False) for each in snapshots]
        for _ in range(times):
            number = random.randrange(len(snapshots))
            try:
                state = decode_state(msgspec.msgpack.encode(_damaged(plain[number], random)), BoardState)
                machine.restore(replace(snapshots[number], state=state))
            except BadState:
                continue
            taken += 1
            machine.run(60 if engine == "reference" else 2000)
            machine.snapshot()
            machine.state_hash()
    assert taken > times // 4


def _damaged_machine(guest: str, folder: Path, **options: Any) -> Machine:
    """One of the guests, with something typed; or one that uses every device."""
    if guest == "devices":
        (folder / "disk").write_bytes(b"\x11" * 512 * SECTORS)
        machine = bare(whole_script().text, memory="4M", disks=[(folder / "disk", "overlay")], **options)
        machine.console.send("u")
    else:
        machine = GUESTS[guest](**options)
        machine.console.send("text")
    return machine


def _damaged(plain: Any, random: Random) -> Any:
    """A copy of plain data with one to three values changed; device states, which are encoded, inside."""
    copy = msgspec.msgpack.decode(msgspec.msgpack.encode(plain))
    for _ in range(random.randrange(1, 4)):
        part = random.choice(["harts", "devices", "devices", "scheduler", "console", "suspended"])
        if part == "harts":
            _damage_words(copy["harts"], random)
        elif part == "devices":
            base = random.choice([*copy["devices"]])
            states = copy["devices"][base]
            number = random.randrange(len(states))
            inside = [msgspec.msgpack.decode(states[number])]
            _damage_value(inside, random)
            states[number] = msgspec.msgpack.encode(inside[0])
        elif part == "suspended":
            copy["suspended"] = {random.choice((0, 1, 2, 99, ALL)): random.choice((*CORNERS, ALL))}
        else:
            _damage_value(copy[part], random)
    return copy


def _damage_words(harts: list[bytes], random: Random) -> None:
    """Words that pass for those of a hart more often than not."""
    number = random.randrange(len(harts))
    words = bytearray(harts[number])
    view = memoryview(words).cast("Q")
    name = random.choice([*LAYOUT.registers])
    register = LAYOUT.registers[name]
    at = LAYOUT.index[name] + random.randrange(register.count)
    view[at] = random.choice((random.getrandbits(64), *CORNERS, ALL)) & (1 << register.width) - 1
    harts[number] = bytes(words)


def _damage_value(where: Any, random: Random) -> None:
    """Change one value somewhere in lists and dictionaries."""
    keys = [*where] if isinstance(where, dict) else [*range(len(where))]
    if not keys:
        return
    key = random.choice(keys)
    value = where[key]
    if isinstance(value, dict | list) and value and random.random() < 0.95:
        _damage_value(value, random)
    elif isinstance(value, bool):
        where[key] = not value
    elif isinstance(value, int):
        where[key] = random.choice((*CORNERS, ALL, value ^ 1, value + 1 & ALL, random.getrandbits(64)))
    elif isinstance(value, bytes):
        where[key] = random.choice((b"", value[:-1], value + b"\1", random.randbytes(len(value)), bytes(70_000)))
    elif isinstance(value, list):
        where[key] = random.choice(([], [*value, 0], [None]))
    else:
        where[key] = random.choice((None, 0, "", b"", "serial", []))


def test_every_device_tells_all_that_changes() -> None:
    """States are data classes of plain values, and hold no more and no less after the way to bytes and back."""
    with bare_machine() as machine:
        for attachment in machine._open_board().bus.attachments:
            for owner in attachment.device.state_owners():
                assert is_dataclass(owner.state)
                assert decode_like(encode_state(owner.state), owner.state) == owner.state


def test_bits_flipped_anywhere_in_the_bytes() -> None:
    random = Random(3)
    with bare_machine(engine="interpreter") as machine:
        machine.run(700)
        good = machine.snapshot()
        data = encode_state(good.state)
        for _ in range(300):
            damaged = bytearray(data)
            for _ in range(random.randrange(1, 4)):
                damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
            try:
                machine.restore(replace(good, state=decode_state(bytes(damaged), BoardState)))
            except BadState:
                continue
            machine.run(500)


def test_a_hart_has_no_words_but_its_own() -> None:
    hart = HartState(LAYOUT)
    assert hart.problem(hart.snapshot()) is None
    assert hart.problem(hart.snapshot()[:-8]) is not None
    assert hart.problem(hart.snapshot() + bytes(8)) is not None
