"""C, compressed instructions of RV64: the unprivileged manual, chapter "C".

Every row expands to one of another extension. Code points that the manual calls hints execute as their expansion, which
then writes x0 or changes nothing; reserved ones match no row.
"""

from __future__ import annotations

from hypernest.isa.riscv.d import D
from hypernest.isa.riscv.i import I
from hypernest.isa.riscv.system import SYSTEM
from hypernest.isa.row import Extension

C = Extension("C")

# --- quadrant 0 ----------------------------------------------------------------------------------------------------
C.expands("c.addi4spn rd, x2, uimm", "000 uimm[5:4|9:6|2|3]!=0 rd' 00", I["addi"], rs1=2, imm="uimm")
C.expands("c.fld fd, uimm(rs1)", "001 uimm[5:3] rs1' uimm[7:6] rd' 00", D["fld"], imm="uimm")
C.expands("c.lw rd, uimm(rs1)", "010 uimm[5:3] rs1' uimm[2|6] rd' 00", I["lw"], imm="uimm")
C.expands("c.ld rd, uimm(rs1)", "011 uimm[5:3] rs1' uimm[7:6] rd' 00", I["ld"], imm="uimm")
C.expands("c.fsd fs2, uimm(rs1)", "101 uimm[5:3] rs1' uimm[7:6] rs2' 00", D["fsd"], imm="uimm")
C.expands("c.sw rs2, uimm(rs1)", "110 uimm[5:3] rs1' uimm[2|6] rs2' 00", I["sw"], imm="uimm")
C.expands("c.sd rs2, uimm(rs1)", "111 uimm[5:3] rs1' uimm[7:6] rs2' 00", I["sd"], imm="uimm")

# --- quadrant 1 ----------------------------------------------------------------------------------------------------
C.expands("c.nop", "000 0 00000 00000 01", I["addi"])
C.expands("c.addi rd, imm", "000 imm[5] rd imm[4:0] 01", I["addi"], rs1="rd")
C.expands("c.addiw rd, imm", "001 imm[5] rd!=0 imm[4:0] 01", I["addiw"], rs1="rd")
C.expands("c.li rd, imm", "010 imm[5] rd imm[4:0] 01", I["addi"], rs1=0)
C.expands("c.addi16sp x2, imm", "011 imm[9] 00010 imm[4|6|8:7|5]!=0 01", I["addi"], rd=2, rs1=2)
C.expands("c.lui rd, imm20", "011 imm[17] rd!=2 imm[16:12]!=0 01", I["lui"])
C.expands("c.srli rd, shamt", "100 uimm[5] 00 rd' uimm[4:0] 01", I["srli"], rs1="rd")
C.expands("c.srai rd, shamt", "100 uimm[5] 01 rd' uimm[4:0] 01", I["srai"], rs1="rd")
C.expands("c.andi rd, imm", "100 imm[5] 10 rd' imm[4:0] 01", I["andi"], rs1="rd")
for name, high, low in [
    ("sub", "0", "00"),
    ("xor", "0", "01"),
    ("or", "0", "10"),
    ("and", "0", "11"),
    ("subw", "1", "00"),
    ("addw", "1", "01"),
]:
    C.expands(f"c.{name} rd, rs2", f"100 {high} 11 rd' {low} rs2' 01", I[name], rs1="rd")
C.expands("c.j target", "101 imm[11|4|9:8|10|6|7|3:1|5] 01", I["jal"], rd=0)
C.expands("c.beqz rs1, target", "110 imm[8|4:3] rs1' imm[7:6|2:1|5] 01", I["beq"], rs2=0)
C.expands("c.bnez rs1, target", "111 imm[8|4:3] rs1' imm[7:6|2:1|5] 01", I["bne"], rs2=0)

# --- quadrant 2 ----------------------------------------------------------------------------------------------------
C.expands("c.slli rd, shamt", "000 uimm[5] rd uimm[4:0] 10", I["slli"], rs1="rd")
C.expands("c.fldsp fd, uimm(x2)", "001 uimm[5] rd uimm[4:3|8:6] 10", D["fld"], rs1=2, imm="uimm")
C.expands("c.lwsp rd, uimm(x2)", "010 uimm[5] rd!=0 uimm[4:2|7:6] 10", I["lw"], rs1=2, imm="uimm")
C.expands("c.ldsp rd, uimm(x2)", "011 uimm[5] rd!=0 uimm[4:3|8:6] 10", I["ld"], rs1=2, imm="uimm")
C.expands("c.jr rs1", "100 0 rs1!=0 00000 10", I["jalr"], rd=0)
C.expands("c.mv rd, rs2", "100 0 rd rs2!=0 10", I["add"], rs1=0)
C.expands("c.ebreak", "100 1 00000 00000 10", SYSTEM["ebreak"])
C.expands("c.jalr rs1", "100 1 rs1!=0 00000 10", I["jalr"], rd=1)
C.expands("c.add rd, rs2", "100 1 rd rs2!=0 10", I["add"], rs1="rd")
C.expands("c.fsdsp fs2, uimm(x2)", "101 uimm[5:3|8:6] rs2 10", D["fsd"], rs1=2, imm="uimm")
C.expands("c.swsp rs2, uimm(x2)", "110 uimm[5:2|7:6] rs2 10", I["sw"], rs1=2, imm="uimm")
C.expands("c.sdsp rs2, uimm(x2)", "111 uimm[5:3|8:6] rs2 10", I["sd"], rs1=2, imm="uimm")
