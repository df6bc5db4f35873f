"""Page tables that a test writes into a machine's memory, for a hart that then runs behind them."""

from __future__ import annotations

from hypernest.machine import Machine

SV39 = 8 << 60
ROOT = 0x8040_0000
"""Where the root table lies; the others follow."""

V, R, W, X, U, G, A, D = (1 << bit for bit in range(8))


class PageTables:
    """Sv39 tables in RAM from `ROOT` on, put in force with `use`."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._next = ROOT + 4096
        machine.memory.write(ROOT, bytes(4096))

    def map(self, virtual: int, physical: int, bits: int, level: int = 0) -> int:
        """Map a page (level 0), or one of 2 MiB or 1 GiB; returns where its entry lies."""
        memory, table = self._machine.memory, ROOT
        for each in (2, 1, 0):
            entry = table + (virtual >> 12 + 9 * each & 0x1FF) * 8
            if each == level:
                memory.write_int(entry, 8, physical >> 12 << 10 | bits | V)
                return entry
            if not memory.read_int(entry, 8):
                memory.write(self._next, bytes(4096))
                memory.write_int(entry, 8, self._next >> 12 << 10 | V)
                self._next += 4096
            table = memory.read_int(entry, 8) >> 10 << 12
        raise ValueError(f"there is no level {level}")

    def use(self, hart: int = 0) -> None:
        """From here on the hart translates by them, except in M-mode."""
        self._machine.harts[hart]["satp"] = SV39 | ROOT >> 12
