import contextlib
import functools
import gc
import json
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypernest.engines.translator.compiler_process import CompilerProcess

HERE = str(Path(__file__).parent)
ROOT = str(Path(__file__).parents[3])
Maker = Callable[[str], CompilerProcess]


@pytest.fixture
def make() -> Iterator[Maker]:
    made: list[CompilerProcess] = []

    def maker(function: str) -> CompilerProcess:
        made.append(CompilerProcess(f"handlers:{function}", path=[HERE]))
        return made[-1]

    yield maker
    for each in made:
        each.close()


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)


def drain(process: CompilerProcess) -> list[bytes]:
    replies: list[bytes] = []

    def is_done() -> bool:
        replies.extend(process.poll())
        return not process.outstanding

    wait_for(is_done)
    return replies


def exists(pid: int) -> bool:
    """Whether there is such a process, a zombie included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def is_running(pid: int) -> bool:
    """Whether it runs: an orphan's zombie is for init to reap, and some containers have none that does."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def started(process: CompilerProcess) -> int:
    """The child's number, once it has answered a request."""
    process.submit(b"0")
    assert drain(process) == [b"0"]
    assert process.pid is not None
    return process.pid


def test_replies_come_in_the_order_of_the_requests(make: Maker) -> None:
    process = make("double")
    assert process.pid is None and process.alive and process.poll() == [] and process.outstanding == 0
    requests = [b"%d" % each for each in range(30)]
    for request in requests:
        process.submit(request)
    assert process.outstanding == 30
    assert drain(process) == [request * 2 for request in requests]
    assert process.alive and process.failed == 0 and process.problem is None
    assert process.cpu_seconds > 0


def test_a_backlog_of_500_requests_blocks_nobody(make: Maker) -> None:
    process = make("nap")
    started(process)
    process.submit(b"0.5")
    requests = [b"0".ljust(10_000) for _ in range(500)]
    for request in requests:
        process.submit(request)
        assert process.poll() == []
    assert drain(process) == [b"0.5", *requests]  # so all were submitted while the child was asleep


@pytest.mark.parametrize("size", [0, 1, 1 << 18, (1 << 20) + 1])
def test_requests_and_replies_of_any_size(make: Maker, size: int) -> None:
    process = make("echo")
    requests = [random.Random(seed).randbytes(size) for seed in range(6)]
    for request in requests:
        process.submit(request)
    assert drain(process) == requests


def test_polling_costs_next_to_nothing_with_nothing_outstanding(make: Maker) -> None:
    process = make("nap")
    started(process)

    def thousand() -> float:
        before = time.perf_counter()
        for _ in range(1000):
            process.poll()
        return time.perf_counter() - before

    assert min(thousand() for _ in range(10)) < 1000 * 2e-6


def test_a_handler_that_raises_fails_its_request_only(make: Maker) -> None:
    process = make("picky")
    for request in (b"a", b"bad", b"b", b"wrong", b"c"):
        process.submit(request)
    assert drain(process) == [b"a", b"b", b"c"]
    assert process.failed == 2 and process.alive
    assert process.problem == "the compiler process cannot compile something (ValueError: this is bad)."


def test_what_the_handler_prints_goes_nowhere(make: Maker, capfd: pytest.CaptureFixture[str]) -> None:
    process = make("picky")
    process.submit(b"loud")
    assert drain(process) == [b"loud"]
    process.close()
    assert capfd.readouterr() == ("", "")


def test_a_deadly_request_is_skipped_and_its_last_words_are_told(make: Maker) -> None:
    process = make("picky")
    for request in (b"a", b"deadly", b"b", b"c", b"d", b"e", b"f"):
        process.submit(request)
    assert drain(process) == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert process.failed == 1 and process.alive
    assert process.problem == "the compiler process died (SIGSEGV: LLVM ERROR: cannot [2J select)."


def test_it_is_given_up_after_a_few_deaths(make: Maker) -> None:
    process = make("picky")
    for request in (b"a", b"deadly", b"deadly", b"b", b"deadly", b"deadly", b"c", b"d"):
        process.submit(request)
    assert drain(process) == [b"a", b"b"]
    assert process.failed == 6 and not process.alive and process.pid is None
    process.submit(b"e")
    assert process.outstanding == 0 and process.poll() == []


def test_an_idle_child_that_is_killed_costs_no_request(make: Maker) -> None:
    process = make("nap")
    os.kill(started(process), signal.SIGKILL)
    time.sleep(0.05)
    process.submit(b"0.0")
    assert drain(process) == [b"0.0"]
    assert process.failed == 0 and process.problem == "the compiler process died (SIGKILL)."


@pytest.mark.parametrize("seed", range(5))
def test_killed_at_random_moments(make: Maker, seed: int) -> None:
    source = random.Random(seed)
    process = make("double")
    requests = [bytes([number]) * source.choice([1, 100, 100_000]) for number in range(60)]
    for request in requests:
        process.submit(request)
    replies: list[bytes] = []
    pids: set[int] = set()

    def has_come(number: int) -> bool:
        replies.extend(process.poll())
        return len(replies) >= number

    def is_noticed() -> bool:
        replies.extend(process.poll())
        return process.pid not in pids

    for moment in sorted(source.sample(range(50), 4)):  # the last of them ends it
        wait_for(functools.partial(has_come, moment))
        time.sleep(source.random() * 0.004)
        assert process.pid is not None
        pids.add(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        wait_for(is_noticed)
    assert len(pids) == 4 and not any(exists(pid) for pid in pids)
    assert not process.alive and process.outstanding == 0
    assert len(replies) + process.failed == len(requests)
    numbers = [reply[0] for reply in replies]
    assert numbers == sorted(set(numbers)) and replies == [requests[number] * 2 for number in numbers]
    assert numbers[-1] - len(numbers) < 4, "no death may take more than the request it interrupts"


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (struct.pack("<I", (64 << 20) + 1), "sent a frame of 67108865 bytes and was killed"),
        (struct.pack("<I", 8) + bytes(8), "sent a frame of 8 bytes and was killed"),
        (struct.pack("<IBd", 9, 0, 0.0), "sent what nobody asked for and was killed"),
        (struct.pack("<IBd", 9, 9, 0.0), "sent what nobody asked for and was killed"),
    ],
)
def test_a_child_that_sends_nonsense_is_killed(make: Maker, frame: bytes, told: str) -> None:
    process = make("garble")
    process.submit(frame)
    wait_for(lambda: process.poll() == [] and process.failed == 1)
    assert process.problem is not None and told in process.problem
    assert process.alive and process.outstanding == 0


def test_a_reply_too_many_is_nonsense(make: Maker) -> None:
    process = make("garble")
    reply = struct.pack("<IBd", 9, 1, 0.0)
    process.submit(reply * 2)
    wait_for(lambda: process.poll() is not None and process.problem is not None)
    assert "nobody asked for" in str(process.problem) and process.failed == 0


@pytest.mark.parametrize("function", ["nap", "spin", "compile_natively"])
def test_close_ends_a_long_computation_at_once(make: Maker, function: str) -> None:
    process = make(function)
    process.submit(b"30")
    assert process.pid is not None
    pid = process.pid
    time.sleep(0.3)
    before = time.monotonic()
    process.close()
    assert time.monotonic() - before < 3
    assert not exists(pid) and not process.alive and process.outstanding == 0 and process.problem is None
    process.close()
    process.submit(b"0")
    assert process.poll() == [] and process.pid is None


def test_forgetting_it_ends_the_child() -> None:
    process = CompilerProcess("handlers:spin", path=[HERE])
    process.submit(b"")
    pid = process.pid
    assert pid is not None
    del process
    gc.collect()
    assert not exists(pid)


PARENT = """
import os, sys, time
sys.path.insert(0, {root!r})
from hypernest.engines.translator.compiler_process import CompilerProcess
process = CompilerProcess("handlers:" + sys.argv[1], path=[{here!r}])
process.submit(b"30")
holder = os.fork() if sys.argv[2] == "forked" else None
if holder == 0:
    time.sleep(30)  # with a copy of the parent's end of the socket
time.sleep(0.3)
assert process.poll() == [] and process.alive
print(process.pid, holder or 0, flush=True)
if sys.argv[2] == "ends":
    sys.exit()
time.sleep(30)
"""


@pytest.mark.parametrize("function", ["nap", "spin", "compile_natively"])
@pytest.mark.parametrize("manner", ["killed", "interrupted", "ends", "forked"])
def test_no_child_outlives_its_parent(function: str, manner: str) -> None:
    code = PARENT.format(root=ROOT, here=HERE)
    command = [sys.executable, "-c", code, function, manner]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True) as parent:
        assert parent.stdout is not None
        pid, holder = map(int, parent.stdout.readline().split())
        if manner == "interrupted":  # as Ctrl-C does it
            os.killpg(parent.pid, signal.SIGINT)
        elif manner != "ends":
            assert is_running(pid)
            parent.kill()
        parent.wait(10)
    try:
        wait_for(lambda: not is_running(pid), 1.0)
    finally:
        if holder:
            os.kill(holder, signal.SIGKILL)


def test_the_child_outlives_the_thread_that_started_it(make: Maker) -> None:
    process = make("nap")
    thread = threading.Thread(target=process.submit, args=(b"0.2",))
    thread.start()
    thread.join()
    assert drain(process) == [b"0.2"]
    assert process.problem is None


def test_an_interrupt_of_the_process_group_does_not_reach_the_child(make: Maker) -> None:
    process = make("nap")
    pid = started(process)
    process.submit(b"0.3")
    os.kill(pid, signal.SIGINT)
    assert drain(process) == [b"0.3"]
    assert process.failed == 0 and os.getpgid(pid) != os.getpgid(0)


def test_the_child_inherits_nothing_of_the_terminal_or_of_open_files(make: Maker, tmp_path: Path) -> None:
    with (tmp_path / "disk").open("wb") as disk:
        os.set_inheritable(disk.fileno(), True)
        process = make("surroundings")
        process.submit(b"")
        (reply,) = drain(process)
    found = json.loads(reply)
    assert found["interrupt_ignored"] and found["session"] == found["pid"] == process.pid
    others = {int(number): name for number, name in found["descriptors"].items()}
    assert others.pop(0) == others.pop(1) == os.devnull
    assert "deleted" in others.pop(2)
    assert [name.partition(":")[0] for name in others.values()] == ["socket"]


def test_a_forked_process_neither_uses_nor_ends_the_child(make: Maker) -> None:
    process = make("nap")
    pid = started(process)
    process.submit(b"0.2")
    forked = os.fork()
    if not forked:
        status = 1
        with contextlib.suppress(BaseException):
            alive = process.alive
            process.submit(b"0")
            unheard = process.poll() == [] and process.outstanding == 0
            process.close()
            del process
            status = 0 if not alive and unheard else 2
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == 0
    assert exists(pid) and process.alive
    assert drain(process) == [b"0.2"]
    assert process.pid == pid and process.failed == 0


def test_the_end_of_a_forked_python_leaves_the_child_alone(make: Maker) -> None:
    code = f"""
import os, sys
sys.path.insert(0, {ROOT!r})
from hypernest.engines.translator.compiler_process import CompilerProcess
process = CompilerProcess("handlers:nap", path=[{HERE!r}])
process.submit(b"0.2")
if not (forked := os.fork()):
    sys.exit()
os.waitpid(forked, 0)
while process.outstanding:
    for reply in process.poll():
        print(reply, process.problem)
"""
    run = subprocess.run([sys.executable, "-X", "dev", "-c", code], capture_output=True, timeout=20, check=True)
    assert (run.stdout, run.stderr) == (b"b'0.2' None\n", b"")


@pytest.mark.parametrize("executable", ["", "/nonexistent/python", "/dev/null"])
def test_without_a_python_to_start(make: Maker, monkeypatch: pytest.MonkeyPatch, executable: str) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    process = make("echo")
    process.submit(b"a")
    process.submit(b"b")
    assert process.problem is not None and "cannot be started" in process.problem and "\n" not in process.problem
    assert not process.alive and process.outstanding == 0 and process.poll() == [] and process.failed == 1


@pytest.mark.parametrize("executable", ["/bin/true", "/bin/cat"])
def test_an_executable_that_is_no_python(make: Maker, monkeypatch: pytest.MonkeyPatch, executable: str) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    process = make("echo")
    process.submit(b"a")
    process.submit(b"b")
    assert drain(process) == []
    assert not process.alive and process.failed == 2 and "died" in str(process.problem)


@pytest.mark.parametrize("handler", ["no_such_module:f", "handlers:no_such_function", "handlers", ""])
def test_a_handler_that_cannot_be_imported(handler: str) -> None:
    process = CompilerProcess(handler, path=[HERE])
    process.submit(b"a")
    assert drain(process) == []
    assert not process.alive and process.failed == 1
    assert process.problem is not None and "Error" in process.problem and "status 1" in process.problem


def test_without_descriptors_to_spare(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("socket.socketpair", exhausted)
    process = make("echo")
    process.submit(b"a")
    assert not process.alive and "Too many open files" in str(process.problem)


def test_the_child_imports_hypernest_and_llvmlite_wherever_it_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "/nonexistent")
    monkeypatch.setenv("PYTHONHOME", "/nonexistent")
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('customized')")
    (tmp_path / "handler.py").write_text(
        "import hypernest, llvmlite.binding, pathlib, sys\n"
        "def f(request):\n"
        "    return hypernest.__file__.encode() + b' ' + str('site' in sys.modules).encode()\n"
    )
    process = CompilerProcess("handler:f", path=[str(tmp_path)])
    process.submit(b"")
    assert drain(process) == [f"{ROOT}/hypernest/__init__.py False".encode()], process.problem
    process.close()
