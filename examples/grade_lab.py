"""Grade a lab on processes: every submission meets every test in a machine of its own, all of them booted already.

    python examples/grade_lab.py [--jobs 2]

The task: a shell script that runs each of its arguments as a command, all at the same time, and then prints the exit
status of each, in their order. Debian is booted once; each test is a fork of that moment, which takes a millisecond. So
no submission can spoil anything for another, not even by a fork bomb or by crashing the kernel, and limits are exact:
they are counted in instructions and in guest time, so that the grades do not depend on how busy the host is.
"""

from __future__ import annotations

import argparse
import base64
import multiprocessing
import time
from dataclasses import dataclass

from hypernest import Machine, Snapshot, TextNotSeen

PROMPT = "~ # "
LIMIT = 100_000_000  # instructions that a test may take

SUBMISSIONS = {
    "ada": """
        for command; do sh -c "$command" & pids="$pids $!"; done
        for pid in $pids; do wait $pid; status=$?; echo "$((n += 1)): $status"; done
    """,
    "bob": """  # one after the other
        for command; do sh -c "$command"; status=$?; echo "$((n += 1)): $status"; done
    """,
    "cleo": """  # forgets the statuses
        for command; do sh -c "$command" & done
        wait
        for command; do echo "$((n += 1)): $?"; done
    """,
    "dan": """  # waits for something that never happens
        for command; do sh -c "$command" & pids="$pids $!"; done
        until [ "$finished" ]; do for pid in $pids; do kill -0 $pid 2>/dev/null && finished=; done; done
    """,
    "eve": """  # a fork bomb
        bomb() { bomb | bomb & }
        bomb
    """,
    "fay": """  # panics the kernel
        echo c >/proc/sysrq-trigger
    """,
}


@dataclass(frozen=True)
class Test:
    """Arguments of the script, what it must print, and how many milliseconds of guest time it may take."""

    arguments: str
    output: str
    milliseconds: int


TESTS = (
    Test("'exit 3' true 'exit 7'", "1: 3\n2: 0\n3: 7\n", 200),
    Test("'sleep 0.5' 'sleep 0.5' 'sleep 0.5; false'", "1: 0\n2: 0\n3: 1\n", 900),
    Test("", "", 100),
)


def run_test(base: Snapshot, script: str, test: Test) -> str:
    """What came of it: `ok`, or what was wrong."""
    # The guest marks beginning and end with a character that is not in what is typed.
    lab = base64.b64encode(script.encode()).decode()
    line = f"echo {lab} | base64 -d >lab; printf '\\036'; sh lab {test.arguments} 2>&1; printf '\\036'\n"
    with base.fork() as vm:
        vm.console.send(line)
        try:
            vm.run_until("\x1e", LIMIT)
            begin = vm.now
            output = vm.run_until("\x1e", LIMIT).removesuffix("\x1e").replace("\r", "")
        except TextNotSeen:
            if "Kernel panic" in vm.console.read():
                return "crashed the kernel"
            return "never ended" if vm.stopped is None else str(vm.stopped)
        milliseconds = (vm.now - begin) / 1e6
    if output != test.output:
        return f"printed {output[:20]!r}"
    return "ok" if milliseconds <= test.milliseconds else f"took {milliseconds:.0f} ms"


def booted() -> Snapshot:
    """Debian at its prompt. A guest that resets itself is not booted again."""
    with Machine("debian", memory="128M", reboot=False) as vm:
        vm.run_until(PROMPT, 10 * LIMIT)
        return vm.snapshot()


def grade(base: Snapshot, jobs: int) -> dict[str, list[str]]:
    """What came of each test, for each submission. The processes that do the work inherit the snapshot."""
    work = [(name, script, test) for name, script in SUBMISSIONS.items() for test in TESTS]
    with multiprocessing.get_context("fork").Pool(jobs, initializer=_inherit, initargs=(base,)) as pool:
        results = pool.starmap(_run_inherited, [(script, test) for _, script, test in work], chunksize=1)
    grades: dict[str, list[str]] = {name: [] for name in SUBMISSIONS}
    for (name, _, _), result in zip(work, results, strict=True):
        grades[name].append(result)
    return grades


_inherited: Snapshot


def _inherit(base: Snapshot) -> None:
    global _inherited
    _inherited = base


def _run_inherited(script: str, test: Test) -> str:
    return run_test(_inherited, script, test)


def main(arguments: list[str] | None = None) -> dict[str, list[str]]:
    """Boot once, grade all, print a table."""
    parser = argparse.ArgumentParser(description="Grade a lab on processes.")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args(arguments)
    base = booted()
    begin = time.perf_counter()
    grades = grade(base, options.jobs)
    seconds = time.perf_counter() - begin
    for name, results in grades.items():
        print(f"{name:5}{results.count('ok')} of {len(TESTS)}   {'; '.join(results)}")
    print(f"{len(SUBMISSIONS) * len(TESTS)} machines in {seconds:.1f} s")
    return grades


if __name__ == "__main__":
    main()
