"""Objects become bytes that run wherever they are put, or are refused."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from hypernest.engines.interpreter.object_code import target_machine
from hypernest.engines.translator.arena import Arena
from hypernest.engines.translator.position_independent import NotRelocatable, link


def object_of(text: str) -> bytes:
    import llvmlite.binding as llvm

    machine: Any = target_machine(1)
    code: bytes = machine.emit_object(llvm.parse_assembly(text))
    return code


CASES = "\n".join(f"  i64 {n}, label %l{n}" for n in range(8))
BLOCKS = "\n".join(
    f'l{n}:\n  %v{n} = fadd double %x, {n}.1\n  call void asm sideeffect "", ""()\n  br label %out' for n in range(8)
)
FLOWS = ", ".join(f"[ %v{n}, %l{n} ]" for n in range(8))
# A jump table, constants of several sizes, and a call from one function to the other.
CONNECTED = f"""
@bytes = internal constant [5 x i8] c"\\01\\02\\03\\04\\05"
define double @choose(double %x, i64 %n) {{
  switch i64 %n, label %none [{CASES}]
{BLOCKS}
none:
  ret double 0.0
out:
  %r = phi double {FLOWS}
  ret double %r
}}
define i64 @second(i64 %n) noinline {{
  %p = getelementptr [5 x i8], ptr @bytes, i64 0, i64 %n
  %b = load volatile i8, ptr %p
  %r = zext i8 %b to i64
  ret i64 %r
}}
define i64 @first(i64 %n) {{
  %a = call i64 @second(i64 %n)
  %b = mul i64 %a, 10
  ret i64 %b
}}
"""


def test_linked_code_runs_at_any_place() -> None:
    code, functions = link(object_of(CONNECTED))
    arena = Arena(1 << 16)
    for _ in range(3):
        base = arena.add(code)
        choose = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_uint64)(base + functions["choose"])
        first = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64)(base + functions["first"])
        assert [choose(1.0, n) for n in range(9)] == [*(1.0 + float(f"{n}.1") for n in range(8)), 0.0]
        assert [first(n) for n in range(5)] == [10, 20, 30, 40, 50]
        arena.add(b"x")


REFUSED = {
    "a call to a function outside": "declare void @f()\ndefine void @g() {\n call void @f()\n ret void\n}",
    "data outside": "@d = external global i64\ndefine i64 @g() {\n %v = load i64, ptr @d\n ret i64 %v\n}",
    "an absolute address": "@p = constant ptr @g\ndefine ptr @g() {\n %v = load ptr, ptr @p\n ret ptr %v\n}",
    "thread-local data": "@t = thread_local global i64 3\ndefine i64 @g() {\n %v = load i64, ptr @t\n ret i64 %v\n}",
    "a large alignment": "@d = constant [2 x i64] [i64 1, i64 2], align 256\n"
    "define i64 @g(i64 %n) {\n %p = getelementptr i64, ptr @d, i64 %n\n %v = load i64, ptr %p\n ret i64 %v\n}",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_an_outside_is_refused(name: str) -> None:
    with pytest.raises(NotRelocatable):
        link(object_of(REFUSED[name]))


def test_an_object_for_another_processor_is_refused() -> None:
    code = bytearray(object_of("define void @g() {\n ret void\n}"))
    code[18:20] = (243).to_bytes(2, "little")  # e_machine: RISC-V
    with pytest.raises(NotRelocatable, match="EM_RISCV"):
        link(bytes(code))
