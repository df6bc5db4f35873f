"""Sequences of instructions that share a handler: what most often is executed in a row.

Chosen by counting executed instructions over the benchmark guests, a Debian boot and programs under it, and by
simulating which sequences a greedy choice from left to right would use. More of them would cost time to generate and
room in the host's instruction cache for less and less. Floating-point arithmetic takes no part: its calls to the
described functions would make the whole sequence keep its values in memory.

A line lists instructions as `meaning/length`. `!` marks a jump inside its page; `:a,b` says that rs1 was written a
instructions before in the sequence, rs2 b before (0: neither), so that the value is handed on without a load.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Link:
    """An instruction in a sequence: the row that means it, its length in bytes, whether it jumps inside its page, and
    how many instructions before it rs1 and rs2 were written, 0 if not in this sequence."""

    meaning: str
    length: int
    near: bool = False
    rs1_from: int = 0
    rs2_from: int = 0

    @classmethod
    def parse(cls, text: str) -> Link:
        """Read `meaning/length[!][:a,b]`."""
        name, _, sources = text.partition(":")
        rs1, _, rs2 = (sources or "0,0").partition(",")
        meaning, _, length = name.rstrip("!").partition("/")
        return cls(meaning, int(length), name.endswith("!"), int(rs1), int(rs2))


_LINES = """
add/2 add/2
add/2 add/2 add/2
add/2 add/2 add/2 add/2
add/2 add/2 add/2 auipc/4
add/2 add/2 add/2 jalr/2
add/2 add/2 auipc/4 jalr/4:1,0
add/2 add/2 slliw/4 slliw/4
add/2 add/4 add/4 bne/4!
add/2 addi/2
add/2 addi/2 beq/4!:2,1
add/2 auipc/4
add/2 auipc/4 jalr/4:1,0
add/2 bne/2!
add/2 bne/4!
add/2 ld/2 addi/2 jalr/2
add/2 ld/2 ld/2:2,0 addi/2:3,0
add/2 ld/2:1,0
add/2 lw/2:1,0
add/2 slli/4 add/4:0,1 slliw/4:3,0
add/2 slli/4:1,0 add/2:1,0 add/4:0,1
add/4 add/2 add/2
add/4 add/2 add/2 add/2
addi/2 add/2
addi/2 add/2 bne/2!
addi/2 addi/2
addi/2 addi/2 add/2:0,2 sub/2:2,0
addi/2 addi/2 addi/2
addi/2 addi/2 addi/2 addi/2
addi/2 addi/4
addi/2 bltu/4!
addi/2 bne/2!
addi/2 bne/4!
addi/2 jalr/2
addi/2 ld/2
addi/2 ld/2 ld/2
addi/2 sd/2:1,0
addi/2 sd/2:1,0 sd/2:2,0
addi/2 sd/2:1,0 sd/2:2,0 addi/2:3,0
addi/2 sd/2:1,0 sd/2:2,0 sd/2:3,0
addi/4 addi/2
addi/4 addi/4
addi/4 addi/4 addi/2
addi/4 addi/4 addi/2 sd/2:1,0
addiw/2 add/2
addiw/2 add/2 bgeu/4!
addiw/2 add/2 bltu/4!
addiw/2 addi/2
addiw/2 addiw/2 addi/2 add/2
addiw/2 addiw/4 addiw/4 addi/2
addiw/2 slliw/4:1,0 slli/4 srli/4:1,0
addiw/4 addiw/4 addiw/4 addiw/4
addiw/4 lw/2 srliw/4 slliw/4
addw/2 addiw/4 addiw/2 addiw/4
addw/2 addw/4:1,0 addw/4:1,0 addiw/4
addw/4 addw/4 addw/4 addw/4
and/4 sub/4:0,1 and/4:1,0 sub/2:0,1
andi/4 slli/2:1,0 add/2:1,0 lw/2:1,0
auipc/4 addi/4:1,0
auipc/4 addi/4:1,0 auipc/4 addi/4:1,0
auipc/4 addi/4:1,0 slli/2
auipc/4 jalr/4:1,0
auipc/4 ld/4:1,0
div/4 pause/4 ld/4 beq/4!:0,1
fld/2 fld/2 fld/2
fld/2 fld/2:1,0 addi/2:1,0 addi/2:3,0
fld/2 fld/4 fld/4 fld/4
fld/4 fld/4
fld/4 fld/4 fld/4
fsd/4 bne/4!
fsd/4 fsd/4 fsd/4 bne/4!
fsd/4 fsd/4 fsd/4 fld/4
lb/4 lb/4 lb/4 lb/4
lbu/4 addi/2
lbu/4 addi/2 addi/2 lbu/4:2,0
lbu/4 addi/2 addi/2 sb/4:1,3
lbu/4 addi/2 sltiu/4:2,0 add/2:0,1
lbu/4 lbu/4
lbu/4 lbu/4 lbu/4 lbu/4
lbu/4 srliw/4 addi/2 xor/2:0,3
ld/2 add/2
ld/2 add/2 ld/2 addi/2
ld/2 addi/2
ld/2 addi/2 jalr/2
ld/2 addiw/2 ld/2 add/2:0,3
ld/2 ld/2
ld/2 ld/2 add/2
ld/2 ld/2 add/2 ld/2
ld/2 ld/2 addi/2 addi/2
ld/2 ld/2 addi/2 jalr/2
ld/2 ld/2 addi/2 jalr/2:3,0
ld/2 ld/2 bltu/4!:1,2
ld/2 ld/2 ld/2
ld/2 ld/2 ld/2 add/2
ld/2 ld/2 ld/2 addi/2
ld/2 ld/2 ld/2 ld/2
ld/2 ld/2 ld/4
ld/2 ld/2 ld/4 ld/4
ld/2 ld/2 sltu/4 subw/4:0,1
ld/2 ld/4
ld/2 ld/4 addi/2 addi/4
ld/2 ld/4 ld/4
ld/4 addi/2
ld/4 ld/4
ld/4 ld/4 ld/4
ld/4 ld/4 ld/4 ld/4
ld/4 ld/4 xor/2:1,2 addi/2
lw/2 add/2 bltu/4!
lw/2 addi/2
lw/2 addi/2 bltu/4!:2,0
lw/2 bgeu/4!:0,1
lw/2 lw/2
lw/2 lw/2 bgeu/4!:2,0
lw/4 addi/2
lw/4 addi/2 bltu/4!:0,2
lw/4 lw/2
lw/4 lw/2 srliw/4 srliw/4
mul/4 add/2:0,1 bne/4!
or/4 addw/4 xor/4 addw/2:2,0
or/4 or/4 and/4 and/4
or/4 or/4 or/4 or/4
or/4 or/4 srliw/4 xor/4:3,0
or/4 xori/4 xor/4 and/4
sb/4 addw/4 add/2 blt/4!:2,0
sb/4 sb/4 sb/4 sb/4
sd/2 addi/2
sd/2 addi/2 add/2
sd/2 addi/2 ld/2 ld/2
sd/2 sd/2
sd/2 sd/2 add/4 addi/2
sd/2 sd/2 addi/2
sd/2 sd/2 addi/2 add/2
sd/2 sd/2 addi/2 ld/2
sd/2 sd/2 addi/2 ld/4
sd/2 sd/2 sd/2
sd/2 sd/2 sd/2 addi/2
sd/2 sd/2 sd/2 sd/2
sd/2 sd/2 sd/4 sd/4
sd/2 sd/4 sd/4 sd/4
sd/4 sd/4
sd/4 sd/4 sd/4
sd/4 sd/4 sd/4 sd/4
slli/2 add/2:1,0
slli/2 add/2:1,0 ld/2:1,0
slli/2 add/2:1,0 lw/2:1,0
slli/4 add/2 add/4:0,2 slliw/4
slli/4 add/2:1,0
slli/4 add/2:1,0 add/4:0,1 bgeu/4!:1,0
slli/4 srli/2:1,0
slli/4 srli/2:1,0 add/2 addiw/4
slli/4 srli/4:1,0
slli/4 sw/2 srli/4:2,0 bgeu/4!
slli/4 xor/2:1,0 srli/4:1,0 xor/2:2,1
slliw/4 and/4 addw/4 xor/4
slliw/4 slliw/4
slliw/4 slliw/4 srliw/4
slliw/4 srliw/4 addw/2 xor/4
slliw/4 srliw/4 or/4:2,1 or/2
srli/4 slli/4 srli/2:1,0
srliw/4 or/4 slliw/4 or/4
srliw/4 slliw/4
srliw/4 slliw/4 slliw/4
srliw/4 slliw/4 slliw/4 srliw/4
srliw/4 slliw/4 srliw/4 slliw/4
srliw/4 srliw/4 slliw/4 slliw/4
srliw/4 srliw/4 srliw/4
sub/2 srli/4:1,0 add/4:0,1 add/2
sub/4 and/4:1,0 sub/4:0,1 and/4:1,0
sw/2 addi/2
sw/2 addi/2 addi/2
sw/2 addi/2 addiw/4 addiw/4
sw/2 sw/2 addi/2 addi/2
xor/2 addiw/2:1,0 bne/4!
xor/2 mul/4:1,0 lbu/4 srli/2
xor/2 srliw/4 xor/2:2,0 xor/4:0,2
xor/4 srliw/4
xor/4 srliw/4 slliw/4 srliw/4
xor/4 xor/2
xor/4 xor/4
xor/4 xor/4 addw/4:2,1 addw/4
xor/4 xor/4 xor/4
"""

SEQUENCES: tuple[tuple[Link, ...], ...] = tuple(
    tuple(Link.parse(word) for word in line.split()) for line in _LINES.split("\n") if line
)
