"""Debian's gdb on Debian's kernel, whose names it learns from hypernest: breakpoints, stacks, and backwards."""

from __future__ import annotations

import re

from hypernest.images import Image
from hypernest.machine import Machine
from tests.debug.gdb.driving import debug, in_order
from tests.system.shell import LIMIT, PROMPT


def test_a_boot_from_its_first_instruction(debian_image: Image) -> None:
    with Machine(debian_image, memory="256M") as machine:
        shown = debug(
            machine,
            """
            print $priv
            hbreak *start_kernel
            continue
            monitor translate $pc
            monitor translate 0xffffffff80000000
            backtrace
            break do_sys_openat2
            continue
            backtrace
            finish
            delete
            reverse-stepi
            print $pc
            hbreak *start_kernel
            reverse-continue
            print $pc
            monitor instructions
            """,
        )
    in_order(
        shown,
        r"\$1 = 1",
        r"Breakpoint 1, 0x\w+ in start_kernel \(\)",
        r"'\$pc' is no number",
        r"^0xffffffff80000000 is guest-physical 0x80200000",
        r"^#0  0x\w+ in start_kernel \(\)\n#1 .* in _start_kernel \(\)",
        r"Breakpoint 2, 0x\w+ in do_sys_openat2 \(\)",
        r"^#0 .* in do_sys_openat2 \(\)\n#1 .* in __riscv_sys_openat \(\)\n#2 .* in do_trap_ecall_u \(\)\n",
        r"in __riscv_sys_openat \(\)",
        r"\$2 = .* <do_sys_openat2\+\d+>|\$2 = .* <__riscv_sys_openat\+\d+>",
        r"Breakpoint 3, 0x\w+ in start_kernel \(\)",
        r"\$3 = .* <start_kernel>",
    )
    count = re.findall(r"^\d+$", shown, re.MULTILINE)
    assert 100_000 < int(count[0]) < 1_000_000


def test_a_running_system_with_two_harts(debian_image: Image) -> None:
    with Machine(debian_image, memory="256M", harts=2) as machine:
        machine.keep_history()
        machine.run_until(PROMPT, LIMIT)
        shown = debug(
            machine,
            """
            info threads
            monitor console cat /etc/hostname
            hbreak *__riscv_sys_execve
            continue
            backtrace
            x/s ((char **)$a0)[35]
            delete
            watch *(long *)&jiffies_64
            reverse-continue
            backtrace 3
            delete
            stepi
            reverse-stepi
            """,
        )
        later = machine.instructions
        machine.run_until("#", LIMIT)  # what was typed is repeated when it goes on
        assert machine.instructions > later
    in_order(
        shown,
        r"Thread 1 \(hart 0, supervisor mode, ",
        r"Thread 2 \(hart 1, supervisor mode, waits for an interrupt\) .* in arch_cpu_idle \(\)",
        r"typed; the guest gets it when it runs",
        r"Breakpoint 1, 0x\w+ in __riscv_sys_execve \(\)",
        r"^#0 .* in __riscv_sys_execve \(\)\n#1 .* in do_trap_ecall_u \(\)",
        r'"/proc/self/exe"',
        r"Hardware watchpoint 2: \*\(long \*\)&jiffies_64\n\nOld value = (\d+)\nNew value = \d+",
        r"^#0 .* in tick_do_update_jiffies64 \(\)\n#1 .* in tick_nohz_handler \(\)",
    )
    old, new = map(int, re.findall(r"(?:Old|New) value = (\d+)", shown))
    assert new == old - 1
