"""The verdicts beside what was published, as tables. Where they differ, a comment says why and a witness shows it.

Popek and Goldberg 1974; Robin and Irvine, "Analysis of the Intel Pentium's Ability to Support a Secure Virtual Machine
Monitor", USENIX Security 2000; the RISC-V privileged specification. Only what the tables need is asked here: of all
instructions, `hypernest classify` asks everything (docs/classification).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import pytest

from hypernest.analysis.inquiry import Inquiry
from hypernest.analysis.instances import Instance, instances
from hypernest.analysis.isas import load_model
from hypernest.analysis.results import Answer, Question, Verdict
from hypernest.analysis.theorems import theorems

TIME_LIMIT = 120.0  # seconds: of a quiet machine each question needs less than one
ALL = tuple(Question)
PRIVILEGED = (Question.RUNS_IN_USER, Question.TRAPS_IN_SUPERVISOR, Question.RUNS_AT_ALL)
USER_SENSITIVE = (Question.CONTROL_IN_USER, Question.LOCATION_IN_USER)
YES, NO = Answer.YES, Answer.NO


@cache
def known(isa: str) -> dict[str, Instance]:
    return {each.name: each for each in instances(load_model(isa))}


@cache
def inquiry(isa: str, setting: str) -> Inquiry:
    model = load_model(isa)
    return Inquiry(model, model.setting(setting), TIME_LIMIT)


def verdict(isa: str, setting: str, name: str, questions: Sequence[Question] = ALL) -> Verdict:
    """What is found of an instruction. Nothing may be unknown, and each *yes* has a witness that ran."""
    instance = known(isa)[name]
    findings = inquiry(isa, setting).ask(instance, questions)
    for found in findings.values():
        assert found.answer is not Answer.UNKNOWN, (name, found.question, found.method)
        if found.answer is YES:
            assert found.witness is not None and found.witness.reproduced, (name, found.question)
    row = instance.row
    return Verdict(name, row.name, row.syntax, row.extension, findings)


def verdicts(isa: str, setting: str, names: Iterable[str] = (), questions: Sequence[Question] = ALL) -> list[Verdict]:
    return [verdict(isa, setting, name, questions) for name in names or known(isa)]


def that(answer: str, found: Iterable[Verdict]) -> set[str]:
    """The names of those of which a property is certain."""
    return {each.name for each in found if getattr(each, answer) is YES}


def words(text: str) -> set[str]:
    return set(text.split())


# --- Popek and Goldberg's own machine: all three theorems are about it -----------------------------------------------


def test_the_third_generation_machine_can_be_virtualized_in_all_three_ways() -> None:
    found = verdicts("third-generation", "plain")
    assert [theorem.holds for theorem in theorems(found)] == [YES, YES, YES]
    assert that("violates", found) == set()
    assert that("control_sensitive", found) == words("lpsw lrb halt")  # mode and map, the map, the processor itself
    assert that("location_sensitive", found) == words("spsw srb")  # they show R
    assert that("mode_sensitive", found) == set()
    assert that("privileged", found) == words("lpsw spsw lrb srb rmode halt")
    assert that("never_runs", found) == {"svc"}
    assert that("user_sensitive", found) == set()


# --- the PDP-10: section 5 of the paper ------------------------------------------------------------------------------

# JRST 1 enters user mode: "supervisor control sensitive", and not a privileged instruction. JRST 2 restores the flags,
# one of which is the mode; the others save them, so a program sees its mode. LUUO does, too.
ENTER_USER_MODE = words("jrst.1 jrstf jrst.3")
SAVE_THE_FLAGS = words("jsr jsp pushj luuo")
RELOCATED_NEVER = words("jump soj")  # no access to memory but for the address: alone in both settings harmless


def test_jrst_1_is_the_papers_counterexample() -> None:
    (found,) = verdicts("pdp10", "paper", ["jrst.1"])
    assert found.answer(Question.CONTROL_IN_SUPERVISOR) is YES
    assert found.answer(Question.CONTROL_IN_USER) is NO
    assert found.user_sensitive is NO
    assert found.answer(Question.RUNS_IN_USER) is YES
    assert found.privileged is NO
    witness = found.findings[Question.CONTROL_IN_SUPERVISOR].witness
    assert witness is not None
    assert [(each.place, each.first, each.second) for each in witness.differences] == [("user", "0x0", "0x1")]


def test_the_pdp10_has_a_hybrid_monitor_only() -> None:
    found = verdicts("pdp10", "paper")
    assert [theorem.holds for theorem in theorems(found)] == [NO, NO, YES]
    assert that("violates", found) == ENTER_USER_MODE | SAVE_THE_FLAGS
    assert that("user_sensitive", found) == set()
    assert that("privileged", found) >= words("halt jen cono coni datai datao conso consz")


def test_the_ka10_relocates_in_user_mode_only() -> None:
    """The difference from the paper: there, relocation acts in both modes. Here executive mode sees real memory, so
    whatever accesses memory, be it for an indirect address, depends on the mode. The hybrid monitor does not mind."""
    found = verdicts("pdp10", "ka10", questions=(*PRIVILEGED, *USER_SENSITIVE, Question.MODE))
    assert [theorem.holds for theorem in theorems(found)] == [NO, NO, YES]
    runs = {each.name for each in found if each.answer(Question.RUNS_IN_USER) is YES}
    assert that("violates", found) == runs - RELOCATED_NEVER
    assert that("mode_sensitive", found) == runs - RELOCATED_NEVER
    assert that("user_sensitive", found) == set()


# --- x86: Robin and Irvine's table of sensitive, unprivileged instructions -------------------------------------------

# Each with the question that it fails by. Theirs are two groups: "sensitive register instructions" (their rule 3B) and
# "protection system references" (3C).
ROBIN_AND_IRVINE = {
    Question.LOCATION_IN_USER: words("sgdt sidt sldt smsw pushf")  # 3B: they show registers that are the monitor's
    | words("lar lsl verr verw str"),  # 3C: they look at descriptors, or at the task register: the monitor's, too
    Question.CONTROL_IN_SUPERVISOR: words("popf"),  # 3B: sets IF and IOPL in ring 0; in ring 3 it leaves them, silently
    Question.MODE: words("push.cs push.ss mov.from.cs mov.from.ss"),  # 3C: the level is in the low bits of CS and SS
    # 3C: what a segment register gets, and where control goes, is decided by descriptors and the privilege level
    Question.CONTROL_IN_USER: words("pop.ss pop.ds pop.es pop.fs pop.gs call.far jmp.far int ret.far")
    | words("mov.to.ss mov.to.ds mov.to.es mov.to.fs mov.to.gs"),
}

# What is found besides, by the same reasons.
FOUND_BESIDES = {
    # IRET does what RET does, and more: it loads CS from a descriptor. (Later lists have it.)
    # INT3 and INTO go through the interrupt table as INT n does.
    Question.CONTROL_IN_USER: words("iret int3 into")
    # Loads of a pointer with its segment: what MOV to a segment register does
    | words("les lds lfs lgs lss"),
}

# And what is not found, although their list has the mnemonic: these forms touch no segment register, or one without a
# privilege level of its own. DS, ES, FS and GS hold what the program has put there, RPL included; CS and SS do not.
INNOCUOUS_FORMS = words(
    "push pop mov mov.imm mov.load mov.store call.near jmp.near ret.near"
    " push.ds push.es push.fs push.gs mov.from.ds mov.from.es mov.from.fs mov.from.gs"
)

THEIR_MNEMONICS = words("sgdt sidt sldt smsw pushf popf lar lsl verr verw pop push call jmp int ret str mov")


def sensitive_and_unprivileged(setting: str, table: dict[Question, set[str]]) -> None:
    """Each runs in ring 3, and is sensitive by the question that it stands under."""
    for question, names in table.items():
        for name in sorted(names):
            found = verdict("x86", setting, name, (Question.RUNS_IN_USER, question))
            assert found.violates is YES, (name, question)


def named(*tables: dict[Question, set[str]]) -> set[str]:
    return {name for table in tables for names in table.values() for name in names}


def test_robin_and_irvines_instructions_are_found() -> None:
    sensitive_and_unprivileged("ring-3", ROBIN_AND_IRVINE)
    assert {name.partition(".")[0] for name in named(ROBIN_AND_IRVINE)} == THEIR_MNEMONICS


def test_more_than_they_list_is_found() -> None:
    sensitive_and_unprivileged("ring-3", FOUND_BESIDES)


def test_all_others_of_x86_are_innocuous_or_privileged() -> None:
    rest = set(known("x86")) - named(ROBIN_AND_IRVINE, FOUND_BESIDES)
    traps = that("always_traps_in_user", verdicts("x86", "ring-3", rest, (Question.RUNS_IN_USER,)))
    assert that("privileged", verdicts("x86", "ring-3", traps, PRIVILEGED)) == traps
    assert traps == words(
        "lgdt lidt lldt ltr lmsw clts mov.to.cr0 mov.from.cr0 mov.to.cr2 mov.from.cr2 mov.to.cr3 mov.from.cr3"
        " mov.to.cr4 mov.from.cr4 mov.to.dr mov.from.dr rdmsr wrmsr rdtsc invlpg invd wbinvd hlt cli sti in out"
    )
    innocuous = that("innocuous", verdicts("x86", "ring-3", rest - traps))
    assert innocuous == rest - traps
    assert innocuous >= INNOCUOUS_FORMS


def test_popf_is_silent_in_ring_3() -> None:
    """What makes it the example that everybody gives: it does not trap, it just does less."""
    (found,) = verdicts("x86", "ring-3", ["popf"])
    assert (found.always_traps_in_user, found.control_sensitive, found.user_sensitive) == (NO, YES, NO)


def test_umip_makes_five_of_them_privileged() -> None:
    trapping = words("sgdt sidt sldt str smsw")
    assert that("privileged", verdicts("x86", "ring-3", trapping, PRIVILEGED)) == set()
    assert that("privileged", verdicts("x86", "ring-3-umip", trapping, PRIVILEGED)) == trapping
    others = {question: names - trapping for question, names in ROBIN_AND_IRVINE.items()}  # no monitor, still
    sensitive_and_unprivileged("ring-3-umip", others)


# --- RISC-V: under the settings that a monitor would choose, and under those that break it ---------------------------

# S-mode software in U-mode is claimed to be "classically virtualizable": all that it may see or change of the machine
# traps. M-mode software in S-mode is not: sstatus and its like belong to the mode that it runs in. Only satp, fences,
# sret, wfi and the counters have a bit that makes them trap.

ORDINARY = words("add addi div jal jalr auipc beq fadd.d fcvt.l.d fence fence.i c.addi c.jr")
LOADS = words("ld lb lr.d fld c.ldsp")
STORES = words("sd sb fsd c.sdsp sc.d")
ATOMIC = words("amoadd.d amoswap.w")
FLAGS = {"csrrw fcsr", "csrrs frm", "csrrwi fflags"}  # the program's own
S_STATE = {"csrrw sstatus", "csrrs sie", "csrrc sip", "csrrw stvec", "csrrw sscratch", "csrrw sepc", "csrrs scause"}
M_STATE = {"csrrw mstatus", "csrrs mie", "csrrw mtvec", "csrrwi mscratch", "csrrs mhartid", "csrrw mideleg"}
COUNTERS = {"csrrs time", "csrrs cycle", "csrrs instret"}
TRAP_BY_A_BIT = {"csrrw satp", "csrrs satp", "sret", "wfi"}  # TVM, TSR, TW

# A flush of translations changes no state that the description has: a hart of the reference engine remembers nothing,
# and caches are not analysed. So sfence.vma is innocuous where it does not trap, although TVM can make it.
FLUSHES = words("sfence.vma sinval.vma")

RISCV = {
    "s-in-u": (
        (YES, YES, YES),
        {
            "privileged": S_STATE | TRAP_BY_A_BIT | COUNTERS | FLUSHES,
            "innocuous": ORDINARY | LOADS | STORES | ATOMIC | FLAGS,
            "never_runs": {"csrrw mstatus", "mret", "ecall", "ebreak", "csrrw cycle"},
        },
    ),
    "s-in-u-counters": (
        (NO, NO, NO),
        {
            "violates": COUNTERS,
            "timing_dependent": COUNTERS,
            "privileged": {"csrrw sstatus", "csrrw satp", "sret", "wfi"},
            "innocuous": {"add", "ld", "sd", "csrrs hpmcounter3"},  # which is always 0
        },
    ),
    "s-in-u-tables": (
        (NO, NO, NO),
        {
            "violates": LOADS | STORES | ATOMIC,
            "location_sensitive": LOADS | ATOMIC,
            "control_sensitive": STORES | ATOMIC,
            "innocuous": {"add", "jal", "fadd.d"},
            "privileged": {"csrrw sstatus", "csrrw satp", "sret", "wfi"},
        },
    ),
    "m-in-u": (
        (YES, YES, YES),
        {
            "privileged": S_STATE | M_STATE | TRAP_BY_A_BIT | COUNTERS | FLUSHES | {"mret"},
            "innocuous": ORDINARY | LOADS | STORES | ATOMIC | FLAGS,
            "never_runs": words("ecall ebreak"),
        },
    ),
    "m-in-s": (
        (NO, NO, NO),
        {
            "violates": S_STATE | {"csrrw scounteren"},
            "timing_dependent": {"csrrc sip"},  # its bit STIP is whether `stimecmp` has passed
            "privileged": M_STATE | TRAP_BY_A_BIT | COUNTERS | FLUSHES | {"mret"},
            "innocuous": {"add", "ld", "sd"},
        },
    ),
    "m-in-s-lax": (
        (NO, NO, NO),
        {
            "violates": {"csrrw sstatus", "csrrw stvec"} | TRAP_BY_A_BIT | COUNTERS,
            "timing_dependent": COUNTERS,
            "privileged": {"csrrw mstatus", "mret"},
            "innocuous": FLUSHES | {"add", "ld", "sd"},
        },
    ),
}


@pytest.mark.parametrize("setting", RISCV)
def test_riscv(setting: str) -> None:
    holds, expected = RISCV[setting]
    found = verdicts("riscv64", setting, sorted(set().union(*expected.values())))
    assert tuple(theorem.holds for theorem in theorems(found)) == holds
    for answer in ("violates", "timing_dependent"):
        assert that(answer, found) == expected.get(answer, set()), answer
    for answer, names in expected.items():
        assert that(answer, found) >= names, answer
    assert that("privileged", found) & that("never_runs", found) == set()


def test_the_table_of_riscv_is_complete() -> None:
    assert list(RISCV) == [each.name for each in load_model("riscv64").settings]
