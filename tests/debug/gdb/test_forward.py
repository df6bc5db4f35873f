"""Debian's gdb on a small program: what it does forwards."""

from __future__ import annotations

import re
from pathlib import Path

from hypernest.debug.gdb.session import Departure
from hypernest.machine import Machine, StopKind
from tests.debug.gdb.driving import debug, in_order, on_every_engine, session
from tests.machine.small_guests import bare


@on_every_engine
def test_breakpoints_and_the_stack(program: Path, engine: str) -> None:
    shown = session(
        program,
        """
        break add
        continue
        backtrace
        info args
        delete
        hbreak corrupt
        continue
        finish
        print/x table[5]
        """,
        engine=engine,
    )
    in_order(
        shown,
        r"Breakpoint 1, add \(a=0, b=3\)",
        r"#0  add \(a=0, b=3\).*\n#1 .* in sum_up \(values=0x\w+ <table>, count=8\).*\n#2 .* in main \(\)",
        r"a = 0\nb = 3",
        r"Breakpoint 2, corrupt \(where=0x\w+ <table\+40>\)",
        r"in main \(\).*\n.*table\[5\]|for \(volatile",
        r"\$1 = 0xbad",
    )


@on_every_engine
def test_watchpoints_of_each_kind(program: Path, engine: str) -> None:
    shown = session(
        program,
        """
        set var rounds = 10
        watch touched
        rwatch table[2]
        awatch name[0]
        continue
        continue
        continue
        print total
        delete
        watch *(char *)((long)&table[5] + 1)
        continue
        continue
        """,
        engine=engine,
    )
    in_order(
        shown,
        r"Hardware watchpoint 1: touched",
        r"Hardware read watchpoint 2: table\[2\]\n\nValue = 4\n.* in sum_up",
        r"Hardware read watchpoint 2: table\[2\]\n\nValue = 4\n.*main",
        r"Hardware watchpoint 1: touched\n\nOld value = 0\nNew value = 4\n",
        r"\$1 = 31",
        r"Hardware watchpoint 4: .*\n\nOld value = 0 '\\000'\nNew value = 11 '\\v'\n.*corrupt",
        r"the guest powered the machine off",
    )


def test_stepping_executes_one_instruction_each(program: Path) -> None:
    shown = session(
        program,
        """
        monitor instructions
        stepi
        stepi
        monitor instructions
        break add
        continue
        monitor instructions
        stepi
        monitor instructions
        print $pc
        """,
    )
    counts = [int(line) for line in re.findall(r"^\d+$", shown, re.MULTILINE)]
    assert counts[:2] == [0, 2]
    assert counts[3] == counts[2] + 1
    in_order(shown, r"\$1 = \(void \(\*\)\(\)\) 0x\w+ <add\+\d+>")


def test_stepping_lines_and_functions(program: Path) -> None:
    shown = session(
        program, "break main\ncontinue\nnext\nnext\nstep\nstep\nstep\nstep\nset var rounds = 500\nnext\nnext"
    )
    in_order(
        shown,
        "Breakpoint 1, main",
        "^39\t",
        "^40\t",
        "^41\t",
        r"^corrupt \(where",
        "^27\t",
        r"^main \(\)",
        "^44\t",
        "^45\t",
    )


def test_registers_and_memory_are_written(program: Path) -> None:
    shown = session(
        program,
        """
        break add
        continue
        set var b = 100
        set var table[1] = 1000
        finish
        print name
        set var name[0] = 'H'
        print name
        print/x $fa0 = 1
        set $fa0.double = 1.5
        print $fa0.double
        set $mscratch = 0x1234567890abcdef
        print/x $mscratch
        set $mhartid = 1
        print $priv
        set $zero = 7
        print $zero
        delete
        break finish
        continue
        print total
        """,
    )
    in_order(
        shown,
        r"Value returned is \$1 = 100",
        r'"hypernest"',
        r'"Hypernest"',
        r"= 1\.5",
        r"= 0x1234567890abcdef",
        r"Could not write register \"mhartid\"",
        r"= 3",
        r"= 0",
        r"= 4010",
    )


def test_all_csrs_are_shown(program: Path) -> None:
    shown = session(program, "info registers csr\ninfo registers mstatus\nprint $misa")
    assert len(re.findall(r"^(pmpaddr\d+|mhpmcounter\d+|satp|stimecmp|fcsr|menvcfg|mip) ", shown, re.MULTILINE)) == 50
    in_order(shown, r"^satp +0x0", r"^mstatus +0xa00000000\s+SD:0", r"RV64ABCDFIMSU")


def test_harts_are_threads(program: Path) -> None:
    shown = session(
        program,
        """
        break other
        continue
        info threads
        backtrace
        thread 1
        print $mhartid
        thread 2
        print $mhartid
        stepi
        stepi
        print hart
        tbreak finish
        delete 1
        continue
        info threads
        """,
        harts=2,
    )
    in_order(
        shown,
        r"Switching to Thread 2",
        r"Thread 2 hit Breakpoint 1, other \(hart=1\)",
        r"  1    Thread 1 \(hart 0, machine mode, ready\) .*\n\* 2    Thread 2 \(hart 1, machine mode, running\)",
        r"#0  other \(hart=1\)",
        r"Switching to thread 1",
        r"\$1 = 0",
        r"Switching to thread 2",
        r"\$2 = 1",
        r"\$3 = 1",
        r"Thread 1 hit Temporary breakpoint 2, finish",
        r"\* 1    Thread 1 .* finish \(\)",
    )


WAITING = """
    csrr t0, mhartid
    beqz t0, 2f
1:  wfi
    j    1b
2:  addi s0, s0, 1
    j    2b
"""


def test_a_hart_that_waits_for_an_interrupt_is_stepped_without_hanging() -> None:
    with bare(WAITING, harts=2, engine="interpreter") as machine:
        machine.run(250_000)
        shown = debug(machine, "info threads\nthread 2\nprint $pc\nstepi\nprint $pc\nthread 1\nstepi\nprint/d $s0")
        assert machine.instructions < 20_000_000
    in_order(shown, r"  2    Thread 2 \(hart 1, machine mode, waits for an interrupt\)", r"\$3 = 5\d{6}$")
    before, after = re.findall(r"\$[12] = .* (0x\w+)", shown)
    assert before == after == "0x8000000c"


def test_a_breakpoint_is_not_in_the_guests_code(program: Path) -> None:
    with Machine(firmware=program, memory="16M", engine="interpreter") as machine:
        code = machine.memory.read(0x8000_0000, 0x200)
        debug(machine, "break add\nbreak main\ncontinue\ncontinue", program)
        assert machine.memory.read(0x8000_0000, 0x200) == code


def test_looking_does_not_change_the_course(program: Path) -> None:
    with (
        Machine(firmware=program, memory="16M", harts=2, engine="interpreter") as looked_at,
        Machine(firmware=program, memory="16M", harts=2, engine="interpreter") as alone,
    ):
        debug(
            looked_at, "break add\ncontinue\nbacktrace\nstepi 20\ninfo registers csr\nwatch touched\ncontinue", program
        )
        alone.run(looked_at.instructions)
        assert looked_at.state_hash() == alone.state_hash()
        looked_at.run(123_456)
        alone.run(123_456)
        assert looked_at.state_hash() == alone.state_hash()


def test_unmapped_memory_and_breakpoints_there(program: Path) -> None:
    shown = session(
        program, "x/x 0\nx/x 0x1000\nset var *(int *)0 = 1\nprint/x *(int *)0x10000000\nbreak *0x10\ncontinue"
    )
    in_order(
        shown,
        r"Cannot access memory at address 0x0",
        r"^0x1000:\t0x00000297",
        r"Cannot access memory at address 0x0",
        r"Cannot access memory at address 0x10000000",
        r"powered the machine off",
    )


def test_the_end_is_told_twice(program: Path) -> None:
    shown = session(program, "continue\nprint $pc\ncontinue")
    in_order(shown, "hypernest: the guest powered the machine off", "No more reverse-execution history", "<finish",
             "exited normally")  # fmt: skip


def test_a_failure_is_an_exit_code() -> None:
    with bare("li t0, 0x100000\n li t1, 0x73333\n sw t1, 0(t0)\n j .", engine="interpreter") as machine:
        in_order(debug(machine, "continue\ncontinue"), "reported failure 7", "exited with code 07")


def test_detaching_lets_go(program: Path) -> None:
    with Machine(firmware=program, memory="16M", engine="interpreter") as machine:
        debug(machine, "break add\ncontinue\ndetach", program)
        assert not len(machine.hooks)
        assert machine.run().kind is StopKind.POWER_OFF


def test_killing(program: Path) -> None:
    with Machine(firmware=program, memory="16M", engine="interpreter") as machine:
        debug(machine, "break add\ncontinue\nkill", program, departure=Departure.KILLED)


def test_a_hook_of_the_program_that_debugs(program: Path) -> None:
    with Machine(firmware=program, memory="16M", engine="interpreter") as machine:
        machine.hooks.write(machine.symbols["touched"], 8, lambda event: event.stop("touched is touched"))
        machine.hooks.execute(machine.symbols["finish"], lambda event: 1 // 0)
        shown = debug(machine, "continue\nprint touched\nstepi\nprint touched\ncontinue\ncontinue", program)
    in_order(
        shown,
        r"hypernest: touched is touched",
        r"= 0",
        r"= 4",
        r"hypernest: a hook raised ZeroDivisionError",
        r"powered the machine off",
    )


def test_monitor_commands(program: Path) -> None:
    shown = session(
        program,
        """
        monitor help
        monitor info
        monitor translate 0x80000000
        monitor physical 0x80000000 20
        monitor snapshots
        monitor snapshot here
        break corrupt
        continue
        monitor regs
        monitor restore here
        maintenance flush register-cache
        print $pc
        monitor instructions
        monitor restore nowhere
        monitor nonsense
        monitor translate
        monitor translate x
        monitor translate 'x
        monitor physical 0x80000000 5000
        monitor physical 0 1
        monitor console hello
        """,
    )
    in_order(
        shown,
        r"^translate ADDRESS +where",
        r"^0 instructions, 0\.0+ s of guest time\nharts: 1, memory: 16 MiB at 0x80000000",
        r"^0x80000000 is guest-physical 0x80000000",
        r"^0x80000000: \w{8} \w{8} \w{8} \w{8}\n0x80000010: \w{8}\n",
        r"^there are none",
        r"^here: <Snapshot at 0 instructions",
        r"Breakpoint 1, corrupt",
        r"^pc +800\w+",
        r"^at 0 instructions\ngdb still shows",
        r"0x1000$",
        r"^0$",
        r"there is no snapshot 'nowhere'",
        r"there is no command 'nonsense'",
        r"usage: monitor translate ADDRESS",
        r"'x' is no number",
        r"these arguments cannot be read",
        r"5000 bytes are too many",
        r"are not all in RAM",
        r"typed; the guest gets it when it runs",
    )
