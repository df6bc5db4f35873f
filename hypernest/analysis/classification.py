"""The classifier: every instruction of a model under a setting, several at a time.

Instructions are independent of each other, so they are shared out to processes, each with its own traced trees and
solver. What a process needs is the model; one from a user's file is loaded there again.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import cache, partial

from hypernest.analysis.inquiry import Inquiry
from hypernest.analysis.instances import Instance, instances
from hypernest.analysis.model import MachineModel, Memory
from hypernest.analysis.randomized import RandomStates
from hypernest.analysis.results import CONTRADICTED, Answer, Classification, Construction, Finding, Verdict
from hypernest.analysis.translation import translations
from hypernest.analysis.vacuity import check_states
from hypernest.errors import HypernestError


class ProcessLost(HypernestError):
    """One of the processes that classify ended before its work did."""


Progress = Callable[[int, int, str], None]

DEFINITIONS = {
    Memory.RELOCATED: "the paper's: the same program and data at another place of physical memory",
    Memory.MAPPED: "the extension to paging: the same program and data behind another address map",
}
_BATCH = 8  # instructions that a process takes at a time, at most


@dataclass(frozen=True)
class Limits:
    """How hard to try."""

    time_limit: float = 20.0  # seconds for each question to the solver
    random_pairs: int = 12  # for each instruction
    variant_pairs: int = 4  # for each of those that are variants of one row


class _Worker:
    """Classifies instructions in one process."""

    def __init__(self, model: MachineModel, setting: str, limits: Limits) -> None:
        chosen = model.setting(setting)
        self._instances = {each.name: each for each in instances(model)}
        self._inquiry = Inquiry(model, chosen, limits.time_limit)
        self._random = RandomStates(model, chosen)
        self._limits = limits

    def verdict(self, name: str) -> Verdict:
        instance = self._instances[name]
        findings = self._inquiry.ask(instance)
        limits = self._limits
        pairs = limits.variant_pairs if instance.fixed or instance.excluded else limits.random_pairs
        trial = self._random.tried(instance, findings, pairs)
        if trial.failures:
            findings = {question: _doubted(finding) for question, finding in findings.items()}
        row = instance.row
        return Verdict(name, row.name, row.syntax, row.extension, findings, trial.pairs, trial.failures)


def _doubted(finding: Finding) -> Finding:
    """An answer about an instruction that does otherwise when it runs than its description says it does: a proof about
    the one is none about the other."""
    return finding if finding.answer is not Answer.NO else replace(finding, answer=Answer.UNKNOWN, method=CONTRADICTED)


@cache
def _worker(source: str, setting: str, limits: Limits) -> _Worker:
    """The one of this process."""
    from hypernest.analysis.isas import load_model

    return _Worker(load_model(source), setting, limits)


def _verdicts(source: str, setting: str, limits: Limits, names: Sequence[str]) -> list[Verdict]:
    worker = _worker(source, setting, limits)
    return [worker.verdict(name) for name in names]


def classify(
    model: MachineModel,
    setting: str = "",
    *,
    source: str = "",
    instructions: Collection[str] | None = None,
    limits: Limits = Limits(),
    programs: int = 200,
    jobs: int = 2,
    progress: Progress | None = None,
) -> Classification:
    """Classify all instructions of a model, or those named, under a setting (the model's first by default).

    `source` is what `load_model` found the model by; with it, `jobs` processes work at once. `programs` random programs
    are run under each monitor that is constructed; none if only some instructions are asked about. `progress` is told
    (done, all, the name of an instruction). KeyError if there is no such setting, BadDescription if no state is legal
    in it, ProcessLost if a process is ended from outside.
    """
    began = time.perf_counter()
    chosen = model.setting(setting) if setting else model.settings[0]
    check_states(model, chosen, limits.time_limit)
    names = [each.name for each in instances(model) if instructions is None or _wanted(each, instructions)]
    found: dict[str, Verdict] = {}
    size = min(_BATCH, len(names) // 50 + 1)  # small, so that both processes end at about the same time
    batches = [names[at : at + size] for at in range(0, len(names), size)]
    for batch in _work(model, source, chosen.name, limits, batches, jobs):
        found |= {verdict.name: verdict for verdict in batch}
        if progress is not None:
            progress(len(found), len(names), batch[-1].name)
    verdicts = tuple(found[name] for name in names)
    constructions: tuple[Construction, ...] = ()
    if instructions is None and programs:
        from hypernest.analysis.construction import construct

        constructions = construct(model, chosen, verdicts, programs)
    notes: tuple[str, ...] = ()
    if instructions is None:
        notes = tuple(f"address translation {each}" for each in translations(model, chosen, limits.time_limit))
    return Classification(
        model.isa.name, model.title, chosen, verdicts, constructions, time.perf_counter() - began,
        DEFINITIONS[model.memory], notes,
    )  # fmt: skip


def _wanted(instance: Instance, wanted: Collection[str]) -> bool:
    return instance.name in wanted or instance.row.name in wanted


def _work(
    model: MachineModel, source: str, setting: str, limits: Limits, batches: list[list[str]], jobs: int
) -> Iterator[list[Verdict]]:
    if not source or jobs < 2 or len(batches) < 2:
        worker = _Worker(model, setting, limits)
        for batch in batches:
            yield [worker.verdict(name) for name in batch]
        return
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(min(jobs, len(batches)), context) as pool:
            yield from pool.map(partial(_verdicts, source, setting, limits), batches)
    except BrokenProcessPool:
        raise ProcessLost(
            "a process that classified instructions was ended from outside, perhaps for want of memory: try one job"
        ) from None
