"""From pages of guest code to native code: what the worker process does."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import Any

from hypernest.engines.interpreter.object_code import source_digest, target_machine
from hypernest.engines.interpreter.words import EngineWords
from hypernest.engines.translator.code_page import CodePage, Translations
from hypernest.engines.translator.host_pages import HostPageLowering
from hypernest.engines.translator.lowering import InstructionLowering, RegionLowering
from hypernest.engines.translator.position_independent import link
from hypernest.engines.translator.record import Record, Reply, decode_request, encode
from hypernest.engines.translator.region import Region, behind_complete_execution, form_region
from hypernest.isa.isa import NativeIsa
from hypernest.isa.layout import Layout
from hypernest.lowering.functions import METADATA


@dataclass(frozen=True)
class Compiled:
    """Native code of a region: position-independent bytes and where in them the function begins."""

    region: Region
    code: bytes
    start: int


class Compiler:
    """Compiles regions one at a time; what can be shared between them is made once."""

    def __init__(self, isa: NativeIsa, pures: list[str], memory_path: str = "soft") -> None:
        """`pures` are the names in the interpreter's table of pure functions, in its order."""
        self._instructions = HostPageLowering if memory_path == "host" else InstructionLowering
        self.isa = isa
        self.tables = Translations(isa)
        self.layout = Layout(isa.registers)
        self.words = EngineWords(self.layout)
        self.pures = {name: number for number, name in enumerate(pures)}
        self._machine: Any = target_machine(1)

    def region(self, code: bytes, executed: int, head: int) -> Region | None:
        """The region with this head in a page."""
        return form_region(CodePage(self.tables, code, executed), head)

    def text(self, region: Region) -> str:
        """LLVM IR of a region."""
        lowering = RegionLowering(self.isa, self.layout, self.words, self.pures, region, self._instructions)
        return lowering.print("region") + METADATA

    def compile(self, region: Region) -> Compiled:
        """Native code of a region."""
        module = self.optimized(self.text(region))
        code, functions = link(self._machine.emit_object(module))
        return Compiled(region, code, functions["region"])

    def optimized(self, text: str) -> Any:
        """An LLVM module after the passes."""
        import llvmlite.binding as llvm

        module = llvm.parse_assembly(text)
        builder = llvm.create_pass_builder(self._machine, llvm.create_pipeline_tuning_options(speed_level=1))
        # Regions are made of short blocks and few loops. These passes give the code that O1 gives in an eighth of the
        # time.
        passes = llvm.create_new_function_pass_manager()
        passes.add_sroa_pass()
        passes.add_instruction_combine_pass()
        passes.add_simplify_cfg_pass()
        for function in module.functions:
            if not function.is_declaration:
                passes.run(function, builder)
        return module

    def assembly(self, module: Any) -> str:
        """What an optimized module becomes, as text for people."""
        return str(self._machine.emit_assembly(module))


def page_digest(code: bytes) -> bytes:
    """What a page of code is known by."""
    return blake2b(code, digest_size=16).digest()


@cache
def _compiler(pures: tuple[str, ...], memory_path: str) -> Compiler:
    from hypernest.isa.riscv.riscv64 import RISCV64

    return Compiler(RISCV64, list(pures), memory_path)


def answer(data: bytes) -> bytes:
    """The worker's function: an encoded `Request` in, an encoded `Reply` out.

    RuntimeError in a process that began from other sources than the one that asks: regions would not fit.
    """
    request = decode_request(data)
    if request.sources != source_digest():
        raise RuntimeError("hypernest was changed on the disk while it ran")
    compiler = _compiler(tuple(request.pures), request.memory_path)
    executed = int.from_bytes(request.executed, "little")
    records, refused, problem = [], [], ""
    page = CodePage(compiler.tables, request.code, executed, int.from_bytes(request.left_out, "little"))
    for head in request.heads:
        start = time.perf_counter_ns()
        try:
            region = form_region(page, behind_complete_execution(page, head), request.targets)
            compiled = compiler.compile(region) if region is not None else None
        except Exception as error:  # LLVM failing on a region: the rest of the run does not depend on it
            compiled, problem = None, f"{type(error).__name__}: {error}".splitlines()[0]
        if compiled is None:
            refused.append(head)
            continue
        first, last = compiled.region.span
        spent = (time.perf_counter_ns() - start) // 1000
        entries, size = list(compiled.region.entries), len(compiled.region.instructions)
        covered = compiled.region.covered
        record = Record(entries[0], entries, first, last, size, covered, spent, compiled.start, compiled.code)
        records.append(encode(record))
    digest, path = page_digest(request.code), request.memory_path
    return encode(Reply(request.page, digest, records, refused, problem, request.left_out, path))
