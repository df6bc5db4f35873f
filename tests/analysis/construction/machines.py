"""Trials of the built-in machines, with verdicts that these tests state themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hypernest.analysis.construction import Kit, Skeleton, Trial, VirtualMachineMonitor
from hypernest.analysis.construction.monitor import Interpreter, interpreter_routines
from hypernest.analysis.model import MachineModel
from hypernest.analysis.results import Answer, Divergence, Finding, Question, Verdict
from hypernest.isa.decoder import Decoder

Level = type[VirtualMachineMonitor]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


THIRD_GENERATION = frozenset({"lpsw", "spsw", "lrb", "srb", "rmode", "halt"})
RISCV64 = _names(
    """csrrw csrrs csrrc csrrwi csrrsi csrrci ecall ebreak c.ebreak mret sret wfi sfence.vma sinval.vma sfence.w.inval
    sfence.inval.ir cbo.zero cbo.inval cbo.clean cbo.flush"""
)
PDP10 = _names("""muuo halt jen datai datao cono coni consz conso""") | {
    f"jrst.{requests:o}" for requests in range(16) if requests & 0o14 and requests not in (0o4, 0o12)
}
X86 = _names(
    """lgdt lidt lldt ltr lmsw clts mov.to.cr0 mov.to.cr2 mov.to.cr3 mov.to.cr4 mov.from.cr0 mov.from.cr2
    mov.from.cr3 mov.from.cr4 mov.to.dr mov.from.dr rdmsr wrmsr rdtsc invlpg invd wbinvd hlt cli sti in out"""
)
"""Rows of each ISA that trap in user mode, always or, of cache management, unless it is enabled."""

ROBIN_IRVINE = _names(
    """sgdt sidt sldt smsw pushf popf lar lsl verr verw str int int3 into iret ret.far call.far jmp.far les lds lss
    lfs lgs"""
) | {
    f"{kind}.{name}" for kind in ("push", "pop", "mov.to", "mov.from") for name in ("es", "cs", "ss", "ds", "fs", "gs")
}
"""Sensitive and unprivileged on x86 (USENIX Security 2000), as our rows name them."""


def trial(
    model: MachineModel,
    kit: Kit,
    preferred: Iterable[str],
    *levels: Level,
    setting: str = "",
    wrong: dict[str, Interpreter] | None = None,
    missing: str = "",
) -> Trial:
    """Monitors (one, if none are named), some routines of which may be `wrong`, and one `missing`."""
    chosen = model.setting(setting) if setting else model.settings[0]
    routines = interpreter_routines(model) | (wrong or {})
    routines.pop(missing, None)
    skeleton = Skeleton(replace(model, kit=kit), chosen, kit, routines, Decoder(model.isa.rows.values()))
    return Trial(skeleton, levels or (VirtualMachineMonitor,), frozenset(preferred))


def divergences(tried: Trial, programs: int, first: int = 0) -> list[Divergence]:
    """Those of so many programs."""
    found = (tried.run(number)[1] for number in range(first, first + programs))
    return [each for each in found if each is not None]


def verdict(row: str, *, traps: bool, sensitive: bool = False) -> Verdict:
    """What the classifier would say of an instruction that traps in user mode, or not, and is sensitive, or not."""
    answers = {
        Question.RUNS_IN_USER: Answer.NO if traps else Answer.YES,
        Question.TRAPS_IN_SUPERVISOR: Answer.NO,
        Question.RUNS_AT_ALL: Answer.YES,
        Question.CONTROL_IN_SUPERVISOR: Answer.YES if sensitive else Answer.NO,
    }
    findings = {question: Finding(question, answer, "stated") for question, answer in answers.items()}
    return Verdict(row, row, row, "base", findings)
