"""A guest made of a list of register accesses: it writes, reads, compares, and stops with the number of a surprise.

Each step becomes a few instructions, so the accesses are made by guest code through the engine and the bus.
"""

from __future__ import annotations

from hypernest.machine.board import FINISHER, PLIC

_LOADS = {1: "lbu", 2: "lhu", 4: "lwu", 8: "ld"}
_STORES = {1: "sb", 2: "sh", 4: "sw", 8: "sd"}
_CLAIM = PLIC + 0x20_0004  # of hart 0, machine mode
_EXTERNAL = 1 << 11  # of mip

FAILED = "failed"


class DeviceScript:
    """Collects steps; `text` is the program. It ends in power-off, or in a failure with the number of the step."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        """What each step expects, by number."""
        self.touched: set[tuple[str, int]] = set()
        """("read" or "write", address) of every access."""
        self._lines: list[str] = []

    @property
    def text(self) -> str:
        end = ["li t1, 0x5555", f"{FAILED}:", f"li t0, {FINISHER:#x}", "sw t1, 0(t0)", "j ."]
        return "\n".join([*self._lines, *end])

    def write(self, address: int, value: int, size: int = 4) -> None:
        self.touched.add(("write", address))
        self._lines += [f"li t0, {address:#x}", f"li t1, {value:#x}", f"{_STORES[size]} t1, 0(t0)"]

    def write_bytes(self, address: int, data: bytes) -> None:
        """`data` (whole words of eight bytes) to memory."""
        for at in range(0, len(data), 8):
            self.write(address + at, int.from_bytes(data[at : at + 8], "little"), 8)

    def _check(self, value: int, about: str) -> None:
        """Fail unless t1 is `value`."""
        self.steps.append(about)
        code = len(self.steps) << 16 | 0x3333
        self._lines += [f"li t2, {value:#x}", "beq t1, t2, 1f", f"li t1, {code:#x}", f"j {FAILED}", "1:"]

    def _load(self, address: int, size: int, mask: int | None) -> None:
        self.touched.add(("read", address))
        self._lines += [f"li t0, {address:#x}", f"{_LOADS[size]} t1, 0(t0)"]
        if mask is not None:
            self._lines += [f"li t2, {mask:#x}", "and t1, t1, t2"]

    def expect(self, address: int, value: int, size: int = 4, mask: int | None = None) -> None:
        """Read `size` bytes, of which those in `mask` must be `value`."""
        self._load(address, size, mask)
        self._check(value, f"{value:#x} at {address:#x}")

    def read(self, address: int, size: int = 4) -> None:
        """Read something that changes with time."""
        self._load(address, size, None)

    def wait(self, address: int, value: int, size: int = 4, mask: int | None = None) -> None:
        """Read until it is `value`."""
        self._lines.append("2:")
        self._load(address, size, mask)
        self._lines += [f"li t2, {value:#x}", "bne t1, t2, 2b"]

    def wait_pending(self, mask: int) -> None:
        """Until an interrupt of `mask` is pending in mip, with wfi."""
        self._lines += [
            f"li t2, {mask:#x}",
            "csrw mie, t2",
            "2:",
            "wfi",
            "csrr t1, mip",
            "and t1, t1, t2",
            "beqz t1, 2b",
        ]

    def expect_pending(self, mask: int, value: int) -> None:
        """Bits of mip."""
        self._lines += ["csrr t1, mip", f"li t2, {mask:#x}", "and t1, t1, t2"]
        self._check(value, f"{value:#x} in mip under {mask:#x}")

    def take_interrupt(self, source: int) -> None:
        """The PLIC signals exactly this source; claim it. Complete it with `complete`."""
        self.expect_pending(_EXTERNAL, _EXTERNAL)
        self.expect(_CLAIM, source)
        self.expect_pending(_EXTERNAL, 0)

    def complete(self, source: int) -> None:
        """The handler is done, and the device asks for nothing more."""
        self.write(_CLAIM, source)
        self.expect_pending(_EXTERNAL, 0)
