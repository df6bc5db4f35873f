"""Compile a few lines of LLVM IR and call them."""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm

from hypernest.engines.interpreter.object_code import target_machine
from hypernest.lowering.functions import METADATA


def compiled(ir: str) -> Any:
    """An execution engine for `ir`, optimized as the interpreter is; keep it while its functions are in use."""
    machine = target_machine()
    module = llvm.parse_assembly(ir + METADATA)
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=1))
    passes.getModulePassManager().run(module, passes)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine
