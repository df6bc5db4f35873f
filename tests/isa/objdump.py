"""GNU objdump as an oracle: what it says of any instruction, many in one run."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

# objdump knows the extensions that an ELF file names; so the instructions are put into one.
ARCHITECTURE = "rv64gc_zba_zbb_zbs_zicbom_zicboz_zawrs_svinval"
LINE = re.compile(r" *([0-9a-f]+):\t([0-9a-f ]+)\t(.*)")


def length(code: int) -> int:
    return 4 if code & 3 == 3 else 2


def objdump(codes: Sequence[int]) -> list[tuple[int, str]]:
    """(address, text) of each instruction, laid out one after another from address 0.

    The text has one space after the name and no comments; an instruction that objdump does not know is ''.
    """
    image = b"".join(code.to_bytes(length(code), "little") for code in codes)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "codes.bin").write_bytes(image)
        (Path(folder) / "nop.s").write_text("nop\n")
        for command in (
            f"as -march={ARCHITECTURE} nop.s -o nop.o",
            "objcopy --update-section .text=codes.bin nop.o codes.o",
            "objdump -D -z -j .text -M numeric,no-aliases codes.o",
        ):
            done = subprocess.run(
                f"riscv64-linux-gnu-{command}".split(), cwd=folder, capture_output=True, text=True, check=True
            )
    texts = {int(found[1], 16): _clean(found[3]) for found in map(LINE.fullmatch, done.stdout.splitlines()) if found}
    result, address = [], 0
    for code in codes:
        result.append((address, texts[address]))
        address += length(code)
    return result


@cache
def all_compressed() -> Mapping[int, tuple[int, str]]:
    """The same for every 16-bit code."""
    codes = [code for code in range(1 << 16) if code & 3 != 3]
    return dict(zip(codes, objdump(codes), strict=True))


def _clean(text: str) -> str:
    text = re.sub(r"([0-9a-f]+) <[^>]*>", r"0x\1", text)
    text = re.sub(r"\s+#.*", "", text).strip()
    return "" if re.match(r"\.\w*byte|\.insn", text) else text.replace("\t", " ")
