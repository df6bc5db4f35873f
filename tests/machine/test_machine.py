"""The machine as a Python program uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hypernest.errors import BadConfiguration, HypernestError, OutOfRange
from hypernest.machine import Machine, MachineClosed, StopKind, TextNotSeen
from hypernest.machine.harts import NoSuchRegister
from tests.machine.small_guests import KERNEL, UART, assembled, bare, hosted, on_every_engine

NOTHING = assembled("j .")

ECHO = f"""
    li    s0, {UART:#x}
    la    s1, greeting
1:  lbu   t0, 0(s1)
    beqz  t0, echo
    sb    t0, 0(s0)
    addi  s1, s1, 1
    j     1b
echo:
    lbu   t0, 5(s0)
    andi  t0, t0, 1
    beqz  t0, echo
    lbu   t0, 0(s0)
    sb    t0, 0(s0)
    j     echo
greeting: .asciz "ready> "
"""


@on_every_engine
def test_speaking_with_a_guest(engine: str) -> None:
    with hosted(ECHO, engine=engine) as machine:
        assert machine.run_until("> ", 1000) == "ready> "
        before = machine.instructions
        machine.console.send("grüß\n")
        assert machine.run_until("ü", 1000) == "grü"
        assert machine.instructions > before
        assert machine.run_until("\n", 1000) == "ß\n"
        assert machine.console.read() == ""


def test_run_until_stops_right_behind_the_last_character() -> None:
    with hosted(ECHO) as machine:
        machine.run_until("rea")
        assert machine.harts[0].x["t0"] == ord("a")
        machine.run_until("d")
        assert machine.harts[0].x["t0"] == ord("d")
        steps = machine.instructions
        assert machine.run_until("") == ""
        assert machine.instructions == steps


def test_run_until_finds_what_is_already_there() -> None:
    with hosted(ECHO) as machine:
        machine.run(1000)
        steps = machine.instructions
        assert machine.run_until("read") == "read"
        assert machine.instructions == steps
        assert machine.console.read() == "y> "


def test_a_text_that_does_not_come() -> None:
    with hosted(ECHO) as machine:
        with pytest.raises(TextNotSeen, match="did not print 'login:': the limit of instructions.*'ready> '"):
            machine.run_until("login:", 5000)
        assert machine.console.read() == "ready> "
    with hosted("li a7, 8\n ecall") as machine, pytest.raises(TextNotSeen, match="powered the machine off"):
        machine.run_until("login:")


def test_a_reset_while_a_text_is_waited_for() -> None:
    text = ECHO.replace("echo:", "echo: li t0, 0x100000\n li t1, 0x7777\n sw t1, 0(t0)")
    with hosted(text) as machine:
        assert machine.run_until("ready> ready> rea", 10_000) == "ready> ready> rea"


def test_registers_by_number_and_name() -> None:
    with hosted("1: addi a0, a0, 1\n j 1b") as machine:
        hart = machine.harts[0]
        hart.x["a0"] = 10
        machine.run(2)
        assert hart.x[10] == hart.x["x10"] == hart.x["a0"] == 11
        hart.f["fa0"] = 0x3FF0_0000_0000_0000
        assert hart.f[10] == hart.f["f10"] == 0x3FF0_0000_0000_0000
        assert hart.x["fp"] == hart.x["s0"]
        assert hart.pc == KERNEL
        hart.pc += 4
        assert hart.pc == KERNEL + 4
        hart.csr["sscratch"] = 1 << 63
        assert hart.csr["sscratch"] == hart.csr[0x140] == 1 << 63
        hart.csr["satp"] = 5 << 60  # a reserved mode
        assert hart.csr["satp"] == 0


@pytest.mark.parametrize("register", [-1, 32, "x32", "eax", ""])
def test_registers_that_are_not_there(register: int | str) -> None:
    with hosted("j .") as machine:
        for registers in (machine.harts[0].x, machine.harts[0].f):
            with pytest.raises(NoSuchRegister, match="there is no register"):
                registers[register]


def test_what_cannot_be_written() -> None:
    with hosted("j .") as machine:
        with pytest.raises(NoSuchRegister, match="x0 is always zero"):
            machine.harts[0].x["zero"] = 1
        with pytest.raises(NoSuchRegister, match="no CSR 'cr0'"):
            machine.harts[0].csr["cr0"] = 1
        with pytest.raises(NoSuchRegister, match="no CSR 4660"):
            machine.harts[0].csr[0x1234]


def test_memory() -> None:
    with hosted("j .") as machine:
        memory = machine.memory
        memory[KERNEL + 16] = 7
        memory[KERNEL + 17 : KERNEL + 20] = b"abc"
        assert memory[KERNEL + 16] == 7
        assert memory[KERNEL + 16 : KERNEL + 20] == memory.read(KERNEL + 16, 4) == b"\x07abc"
        assert (memory.base, memory.size) == (0x8000_0000, 16 << 20)
        for wrong in (0, memory.base - 1, memory.base + memory.size, -1):
            with pytest.raises(OutOfRange):
                memory[wrong]
        with pytest.raises(OutOfRange):
            memory[memory.base : 1 << 64]
        with pytest.raises(OutOfRange):
            memory[KERNEL:]
        with pytest.raises(OutOfRange):
            memory[KERNEL : KERNEL + 4 : 2]
        with pytest.raises(OutOfRange):
            memory[KERNEL] = 256
        with pytest.raises(OutOfRange):
            memory[KERNEL : KERNEL + 2] = b"abc"


def test_code_written_by_the_host_is_executed() -> None:
    with hosted("1: addi s0, s0, 1\n j 1b") as machine:
        machine.run(100)
        assert machine.harts[0].x["s0"] == 50
        machine.memory.write(KERNEL, assembled("addi s0, s0, 2"))
        machine.run(100)
        assert machine.harts[0].x["s0"] == 150


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        ("abc", "not a size"),
        ("", "not a size"),
        ("-1M", "not a size"),
        ("1.5G", "not a size"),
        ("9" * 40, "not a size"),
        ("16T", "1M to 256G"),
        (0, "1M to 256G"),
        ("64K", "1M to 256G"),
        ((1 << 20) + 1, "whole pages"),
    ],
)
def test_memory_sizes_that_cannot_be(memory: str | int, words: str) -> None:
    with pytest.raises(BadConfiguration, match=words):
        Machine(kernel=NOTHING, memory=memory)


@pytest.mark.parametrize("memory", ["16M", "16MiB", "16mb", " 16M ", 16 << 20, "16384K"])
def test_memory_sizes(memory: str | int) -> None:
    with Machine(kernel=NOTHING, memory=memory) as machine:
        assert machine.memory.size == 16 << 20


@pytest.mark.parametrize("harts", [0, 9, -1])
def test_numbers_of_harts_that_cannot_be(harts: int) -> None:
    with pytest.raises(BadConfiguration, match="1 to 8"):
        Machine(kernel=NOTHING, harts=harts)


@pytest.mark.parametrize("options", [{"engine": "qemu"}, {"clock": "sundial"}, {"seed": -1}, {"seed": 1 << 64}])
def test_options_that_cannot_be(options: dict[str, str]) -> None:
    with pytest.raises(BadConfiguration):
        Machine(kernel=NOTHING, **options)  # type: ignore[arg-type]


def test_nothing_to_boot() -> None:
    with pytest.raises(BadConfiguration, match="nothing to boot"):
        Machine()


def test_a_negative_number_of_instructions() -> None:
    with hosted("j .") as machine, pytest.raises(BadConfiguration):
        machine.run(-1)


def test_an_image_that_is_not_there() -> None:
    with pytest.raises(HypernestError, match="no image 'plan9'"):
        Machine("plan9")


def test_disks(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4096))
    with pytest.raises(BadConfiguration, match="given twice"):
        Machine(kernel=NOTHING, disks=[disk, tmp_path / "." / "disk"])
    with Machine(kernel=NOTHING, memory="16M", disks=[disk]), pytest.raises(BadConfiguration, match="in use"):
        Machine(kernel=NOTHING, memory="16M", disks=[disk])
    with Machine(kernel=NOTHING, memory="16M", disks=[(disk, True), (disk, True)]):
        pass
    with pytest.raises(BadConfiguration, match="cannot be opened"):
        Machine(kernel=NOTHING, disks=[tmp_path / "none"])
    with pytest.raises(BadConfiguration, match="room for 6"):
        Machine(kernel=NOTHING, disks=[(disk, True)] * 7)
    # After each failure everything was given back.
    with Machine(kernel=NOTHING, memory="16M", disks=[disk]):
        pass


def test_disks_are_at_the_first_slots(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1024))
    guest = "li t0, 0x10001000\n lw s0, 8(t0)\n lw s1, 0x100(t0)\n li t1, 0x1000\n add t0, t0, t1\n lw s2, 8(t0)\n j ."
    with hosted(guest, disks=[disk]) as machine:
        machine.run(20)
        assert [machine.harts[0].x[name] for name in ("s0", "s1", "s2")] == [2, 2, 0]


def test_a_closed_machine() -> None:
    machine = hosted("j .")
    machine.close()
    machine.close()
    for use in (
        lambda: machine.run(1),
        lambda: machine.harts[0].pc,
        lambda: machine.harts[0].csr["satp"],
        lambda: machine.memory[KERNEL],
        lambda: machine.run_until("x"),
        lambda: machine.serve_gdb(),
    ):
        with pytest.raises(MachineClosed):
            use()


def test_statistics_can_be_written_as_json() -> None:
    with hosted(ECHO, harts=2) as machine:
        machine.run_until("> ")
        stats = machine.stats
        figures = json.loads(json.dumps(stats.as_dict()))
        assert figures["instructions"] == machine.instructions
        assert figures["device_accesses"] == {"Uart": 7}
        assert figures["guest_memory_bytes"] <= figures["peak_memory_bytes"]
        assert figures["seconds"] > 0
        assert figures["mips"] == pytest.approx(figures["instructions"] / figures["seconds"] / 1e6)
        assert sum(figures["exits"].values()) > 0
    assert machine.stats.instructions == figures["instructions"]


def test_seeds_decide_what_is_random() -> None:
    def seeds(seed: int) -> bytes:
        with hosted("j .", seed=seed) as machine:
            return machine.memory.read(machine.harts[0].x["a1"], 8192)

    assert seeds(1) == seeds(1)
    assert seeds(1) != seeds(2)


HAMMER = """
    csrr  t0, mhartid
    bnez  t0, .
    la    t0, handler
    csrw  mtvec, t0
    la    s0, addresses
    li    s3, 0
next:
    ld    s1, 0(s0)
    addi  s0, s0, 8
    beqz  s1, finished
    li    s2, -1
    OPERATIONS
    j     next
finished:
    li    t0, 0x100000
    li    t1, 0x5555
    sw    t1, 0(t0)
    .align 2
handler:
    addi  s3, s3, 1
    csrr  t0, mepc
    addi  t0, t0, 4
    csrw  mepc, t0
    mret
    .align 3
addresses:
"""


@on_every_engine
@pytest.mark.parametrize(
    "addresses",
    [
        [8, 0xFF8, 0x2000, 0x10_2000, 0x1000_9000, 0x7FFF_FFF8, 0x8100_0000, (1 << 56) - 8, 1 << 56, (1 << 64) - 8],
        [8, 0xFFF, 0x7FFF_FFFC, 0x80FF_FFFC, (1 << 64) - 1],
    ],
)
def test_accesses_to_nothing_are_faults_and_no_more(engine: str, addresses: list[int]) -> None:
    operations = ["ld t1, 0(s1)", "sd s2, 0(s1)", "lw t1, 0(s1)", "sw s2, 0(s1)", "lbu t1, 0(s1)", "sb s2, 0(s1)"]
    table = "".join(f" .dword {address:#x}\n" for address in [*addresses, 0])
    text = HAMMER.replace("OPERATIONS", "\n".join(operations)) + table
    with bare(text, engine=engine) as machine:
        assert machine.run(10_000).kind is StopKind.POWER_OFF
        inside = sum(
            address >= 0x8000_0000 and address + size <= 0x8100_0000
            for address in addresses
            for size in (8, 4, 1)
            for _ in range(2)
        )
        assert machine.harts[0].x["s3"] == len(operations) * len(addresses) - inside


def test_nonsense_written_to_every_device_ends_in_nothing_worse() -> None:
    operations = ["sd s2, 0(s1)", "sw s2, 0(s1)", "sh s2, 0(s1)", "sb s2, 0(s1)", "ld t1, 0(s1)", "lw t1, 0(s1)"]
    bases = [0x10_1000, 0x200_0000, 0x200_4000, 0x200_B000, 0xC00_0000, 0xC00_2000, 0xC20_0000, UART]
    bases += [0x1000_1000 + slot * 0x1000 for slot in range(8)]
    addresses = [base + offset for base in bases for offset in (*range(0, 0x110, 4), 0xFF8, 1, 2, 3)]
    table = "".join(f" .dword {address:#x}\n" for address in [*addresses, 0])
    with bare(HAMMER.replace("OPERATIONS", "\n".join(operations)) + table, harts=2) as machine:
        assert machine.run(1_000_000).kind is StopKind.POWER_OFF
