"""Debian's gdb on a small program: what it does backwards."""

from __future__ import annotations

import re
from pathlib import Path

from hypernest.machine import Machine
from tests.debug.gdb.driving import debug, in_order, on_every_engine, session
from tests.machine.small_guests import bare


@on_every_engine
def test_finding_who_corrupted_a_word(program: Path, engine: str) -> None:
    shown = session(
        program,
        """
        set var rounds = 10
        continue
        print/x table[5]
        watch table[5]
        reverse-continue
        print table[5]
        backtrace
        x/i $pc
        """,
        engine=engine,
    )
    in_order(
        shown,
        r"the guest powered the machine off",
        r"\$1 = 0xbad",
        r"Hardware watchpoint 1: table\[5\]\n\nOld value = 2989\nNew value = 9\n",
        r"\$2 = 9",
        r"#0 .* in corrupt \(where=0x\w+ <table\+40>\).*\n#1 .* in main \(\)",
        r"=> 0x\w+ <corrupt\+\d+>:\tsd\t",
    )


def test_stepping_back_undoes_registers_and_memory(program: Path) -> None:
    shown = session(
        program,
        """
        break add
        continue
        info registers
        monitor instructions
        stepi 7
        reverse-stepi 7
        info registers
        monitor instructions
        """,
    )
    first, second = re.findall(r"^ra .*?(?=^\d)", shown, re.MULTILINE | re.DOTALL)
    assert first == second
    counts = re.findall(r"^\d+$", shown, re.MULTILINE)
    assert len(counts) == 2 and counts[0] == counts[1]


def test_lines_and_functions_backwards(program: Path) -> None:
    shown = session(
        program,
        """
        break corrupt
        continue
        reverse-finish
        reverse-next
        reverse-next
        reverse-next
        print total
        reverse-stepi
        next
        """,
    )
    in_order(shown, "Breakpoint 1, corrupt", "^41\t", "^40\t", r"\$1 = 31", r"^0x\w+\s39\t", "^40\t")


def test_the_beginning_of_history(program: Path) -> None:
    shown = session(
        program,
        """
        stepi 3
        reverse-stepi 2
        reverse-stepi
        reverse-stepi
        reverse-continue
        print $pc
        break add
        continue
        reverse-continue
        monitor instructions
        continue
        """,
    )
    in_order(
        shown,
        r"0x0*1004 in",
        r"0x0*1000 in",
        r"No more reverse-execution history",
        r"No more reverse-execution history",
        r"\$1 = .*0x1000$",
        r"Breakpoint 1, add \(a=0, b=3\)",
        r"No more reverse-execution history",
        r"^0$",
        r"Breakpoint 1, add \(a=0, b=3\)",
    )


def test_breakpoints_backwards_and_forwards_again(program: Path) -> None:
    shown = session(
        program,
        """
        break add
        break finish
        ignore 1 8
        continue
        reverse-continue
        reverse-continue
        continue
        delete 1
        continue
        reverse-continue
        """,
    )
    in_order(
        shown,
        r"Breakpoint 1, add \(a=0, b=3\)",  # of the second sum: 8 crossings were ignored
        r"Breakpoint 1, add \(a=25, b=6\)",
        r"Breakpoint 1, add \(a=23, b=2\)",
        r"Breakpoint 1, add \(a=25, b=6\)",
        r"Breakpoint 2, finish",
        r"No more reverse-execution history",
    )


def test_read_and_access_watchpoints_backwards(program: Path) -> None:
    shown = session(
        program,
        """
        tbreak finish
        continue
        rwatch name[0]
        rwatch table[0]
        awatch touched
        reverse-continue
        reverse-continue
        reverse-continue
        reverse-continue
        """,
    )
    in_order(
        shown,
        r"Hardware read watchpoint 3: table\[0\]\n\nValue = 3\n.* in sum_up",
        r"Hardware access \(read/write\) watchpoint 4: touched",
        r"Hardware read watchpoint 3: table\[0\]\n\nValue = 3\n.* in sum_up",
        r"No more reverse-execution history",
    )


def test_a_write_is_found_again_after_it_was_undone(program: Path) -> None:
    shown = session(program, "watch touched\ncontinue\nreverse-continue\nprint touched\ncontinue\nprint touched")
    in_order(
        shown, r"Old value = 0\nNew value = 4", r"Old value = 4\nNew value = 0", r"\$1 = 0",
        r"Old value = 0\nNew value = 4", r"\$2 = 4",
    )  # fmt: skip


def test_another_future(program: Path) -> None:
    shown = session(
        program,
        """
        tbreak finish
        continue
        print total
        tbreak corrupt
        reverse-continue
        set var table[0] = 1000
        tbreak finish
        continue
        print total
        watch table[0]
        reverse-continue
        reverse-stepi
        print table[0]
        """,
    )
    in_order(shown, r"\$1 = 3011", r"\$2 = 4008")


def test_each_hart_is_stepped_back_by_itself(program: Path) -> None:
    shown = session(
        program,
        """
        break other
        continue
        delete
        stepi 20
        info threads
        thread 1
        print $pc
        reverse-stepi
        info threads
        stepi
        print $pc
        """,
        harts=2,
    )
    before, after = re.findall(r"\$\d = .* (0x\w+) <", shown)
    assert before == after
    in_order(shown, r"\* 2    Thread 2", r"\* 1    Thread 1 \(hart 0, machine mode, running\)")


def test_a_hart_that_never_ran_takes_the_machine_back(program: Path) -> None:
    text = "csrr t0, mhartid\n bnez t0, 2f\n1: addi s0, s0, 1\n j 1b\n2: wfi\n j 2b"
    with bare(text, harts=2, engine="interpreter") as machine:
        machine.keep_history()
        machine.run(300_000)
        shown = debug(
            machine, "thread 2\nreverse-stepi\nmonitor instructions\nthread 1\nreverse-stepi\nmonitor instructions"
        )
    counts = [int(line) for line in re.findall(r"^\d+$", shown, re.MULTILINE)]
    assert 100_000 < counts[0] < 100_020
    assert counts[1] < counts[0]


def test_going_to_a_count(program: Path) -> None:
    shown = session(
        program,
        """
        monitor goto 100
        maintenance flush register-cache
        print $pc
        stepi
        monitor goto 50
        monitor goto 100
        maintenance flush register-cache
        print $pc
        monitor goto 99999999999999999999
        break add
        monitor goto 10000
        monitor goto 999999999999
        """,
    )
    in_order(
        shown,
        "^at 100 instructions",
        "^at 50 instructions",
        "^at 100 instructions",
        "more than 64 bits",
        "^at 10,000 instr",
    )
    in_order(shown, r"^at 2\d\d,\d+ instructions")  # where the guest has powered off
    first, second = re.findall(r"^\$\d = (.*)$", shown, re.MULTILINE)
    assert first == second


def test_history_that_was_kept_before_stays(program: Path) -> None:
    with Machine(firmware=program, memory="16M", engine="interpreter") as machine:
        machine.keep_history()
        machine.run(1000)
        shown = debug(machine, "monitor instructions\nreverse-stepi 10\nmonitor instructions", program)
        assert machine.instructions == 990
    in_order(shown, "^1000$", "^990$")


def test_going_back_changes_nothing(program: Path) -> None:
    with (
        Machine(firmware=program, memory="16M", harts=2, engine="interpreter") as travelled,
        Machine(firmware=program, memory="16M", harts=2, engine="interpreter") as alone,
    ):
        debug(travelled, "break add\ncontinue 12\nreverse-continue\nreverse-stepi 5\nwatch ticks[1]\ncontinue", program)
        alone.run(travelled.instructions)
        assert travelled.state_hash() == alone.state_hash()
