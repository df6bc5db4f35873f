"""Show the system calls that a Linux guest's programs make, as strace does, without anything in the guest.

    python examples/trace_syscalls.py [COMMAND]       # by default: cat /etc/hostname

Debian is booted to its shell, all system calls are hooked, the command is typed. Strings and buffers are read from
guest memory at the moment of the call, or of its return, through the caller's page tables. `[3]` is the third address
space that was seen; those of the shell and of whatever else was there before are left out without `--shell`.
"""

from __future__ import annotations

import argparse
import errno
import json
from collections.abc import Iterator
from typing import NamedTuple

from hypernest import HookEvent, Machine, NotMapped

PROMPT = "# "
LIMIT = 1_000_000_000  # instructions
SHOWN = 40  # bytes of a string or buffer
AT_FDCWD = -100
NO_RETURN = ("exit", "exit_group", "execve", "execveat", "rt_sigreturn")
ADDRESS_SPACE = (1 << 44) - 1  # of satp: where the page table is


class Syscall(NamedTuple):
    """A row of the table: the kind of each argument is a letter.

    `d` signed, `u` unsigned, `x` hexadecimal, `o` octal, `s` a path or another string, `f` a file descriptor or
    AT_FDCWD, `w` bytes, as many as the next argument says, `r` the same, filled as far as the result says, `a` strings
    up to a null pointer.
    """

    name: str
    kinds: str


# Number, name and arguments, from Linux's generic table (include/uapi/asm-generic/unistd.h): what is often used.
TABLE = """
17 getcwd xu  19 eventfd2 ux  20 epoll_create1 x  21 epoll_ctl fdfx  22 epoll_pwait fxddxu  23 dup f  24 dup3 ffx
25 fcntl fdx  29 ioctl fxx  32 flock fx  33 mknodat fsox  34 mkdirat fso  35 unlinkat fsx  36 symlinkat sfs
37 linkat fsfsx  39 umount2 sx  40 mount sssxx  43 statfs sx  44 fstatfs fx  45 truncate su  46 ftruncate fu
47 fallocate fxuu  48 faccessat fso  49 chdir s  50 fchdir f  51 chroot s  52 fchmod fo  53 fchmodat fso
54 fchownat fsddx  55 fchown fdd  56 openat fsxo  57 close f  59 pipe2 xx  61 getdents64 fxu  62 lseek fdd
63 read fru  64 write fwu  65 readv fxd  66 writev fxd  67 pread64 fruu  68 pwrite64 fwuu  71 sendfile ffxu
72 pselect6 dxxxxx  73 ppoll xuxxu  76 splice fxfxux  78 readlinkat fsru  79 newfstatat fsxx  80 fstat fx  81 sync -
82 fsync f  83 fdatasync f  88 utimensat fsxx  90 capget xx  91 capset xx  93 exit d  94 exit_group d
95 waitid ddxxx  96 set_tid_address x  98 futex xdddxx  99 set_robust_list xu  101 nanosleep xx  103 setitimer dxx
112 clock_settime dx  113 clock_gettime dx  115 clock_nanosleep dxxx  116 syslog dxd  122 sched_setaffinity dux
123 sched_getaffinity dux  124 sched_yield -  129 kill dd  130 tkill dd  131 tgkill ddd  132 sigaltstack xx
133 rt_sigsuspend xu  134 rt_sigaction dxxu  135 rt_sigprocmask dxxu  137 rt_sigtimedwait xxxu  139 rt_sigreturn -
140 setpriority ddd  141 getpriority dd  142 reboot xxx  144 setgid d  146 setuid d  153 times x  154 setpgid dd
155 getpgid d  156 getsid d  157 setsid -  158 getgroups dx  159 setgroups dx  160 uname x  161 sethostname wu
163 getrlimit dx  164 setrlimit dx  165 getrusage dx  166 umask o  167 prctl dxxxx  169 gettimeofday xx
172 getpid -  173 getppid -  174 getuid -  175 geteuid -  176 getgid -  177 getegid -  178 gettid -  179 sysinfo x
198 socket ddd  199 socketpair dddx  200 bind fxu  201 listen fd  202 accept fxx  203 connect fxu
204 getsockname fxx  206 sendto fwuxxu  207 recvfrom fruxxx  208 setsockopt fddxu  209 getsockopt fddxx
210 shutdown fd  211 sendmsg fxx  212 recvmsg fxx  214 brk x  215 munmap xu  216 mremap xuuxx  220 clone xxxxx
221 execve saa  222 mmap xuxxfu  223 fadvise64 fuud  226 mprotect xux  227 msync xux  233 madvise xud
258 riscv_hwprobe xuuxx  259 riscv_flush_icache xxx  260 wait4 dxxx  261 prlimit64 ddxx  267 syncfs f
273 finit_module fsx  276 renameat2 fsfsx  278 getrandom xux  279 memfd_create sx  281 execveat fsaax
285 copy_file_range fxfxux  291 statx fsxxx  293 rseq xuxx  435 clone3 xu  436 close_range uux  439 faccessat2 fsox
"""


def syscalls() -> dict[int, Syscall]:
    """The table, by number."""
    words = TABLE.split()
    return {int(number): Syscall(*row) for number, *row in zip(words[::3], words[1::3], words[2::3], strict=True)}


SYSCALLS = syscalls()


class Tracer:
    """Collects a line for each system call: the number of the address space, and the call as text."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []
        self.old = 0
        """Address spaces up to this number were there before the command."""
        self._numbers: dict[int, int] = {}
        self._last = 0

    def called(self, event: HookEvent) -> None:
        """Before a call: only those are told that may not come back."""
        call = SYSCALLS.get(event.number)
        if call is not None and call.name in NO_RETURN:
            self._add(event, f"{text(event, call)} ...")
            if call.name.startswith("exit"):
                self._numbers.pop(event.hart["satp"] & ADDRESS_SPACE, None)  # another one may get its page table

    def returned(self, event: HookEvent) -> None:
        """A call has come back."""
        call = SYSCALLS.get(event.number, Syscall(f"syscall_{event.number}", "xxxxxx"))
        self._add(event, f"{text(event, call)} = {outcome(event, call)}")

    def _add(self, event: HookEvent, line: str) -> None:
        space = event.hart["satp"] & ADDRESS_SPACE
        if space not in self._numbers:
            self._last += 1
            self._numbers[space] = self._last
        if not self.old and line.startswith("clone"):
            self.old = self._last  # the shell begins with the command
        self.lines.append((self._numbers[space], line))


def text(event: HookEvent, call: Syscall) -> str:
    """A call as in C."""
    return f"{call.name}({', '.join(arguments(event, call))})"


def arguments(event: HookEvent, call: Syscall) -> Iterator[str]:
    """Each argument as text."""
    values = event.arguments
    for number, (kind, value) in enumerate(zip(call.kinds.strip("-"), values, strict=False)):
        following = values[number + 1] if number + 1 < len(values) else 0
        yield argument(event, kind, value, following)


def argument(event: HookEvent, kind: str, value: int, following: int) -> str:
    """One argument; what cannot be read in guest memory is shown as a pointer."""
    memory, signed = event.hart.memory, value - (value >> 63 << 64)
    try:
        match kind:
            case "f" if signed == AT_FDCWD:
                return "AT_FDCWD"
            case "d" | "f":
                return str(signed)
            case "u":
                return str(value)
            case "o":
                return f"0{value:o}"
            case "s" if value:
                return quoted(memory.read_string(value).encode())
            case "w" if value:
                return quoted(memory.read(value, min(following, SHOWN + 1)))
            case "r" if value and 0 < event.result <= following:
                return quoted(memory.read(value, min(event.result, SHOWN + 1)))
            case "a" if value:
                return f"[{', '.join(strings(event, value))}]"
    except NotMapped:
        pass
    return f"{value:#x}" if value else "0" if kind == "x" else "NULL"


def strings(event: HookEvent, array: int) -> Iterator[str]:
    """What a list of pointers that ends with a null pointer refers to, the beginning of it."""
    memory = event.hart.memory
    for number in range(8):
        pointer = memory.read_int(array + 8 * number, 8)
        if not pointer:
            return
        yield quoted(memory.read_string(pointer).encode())
    yield "..."


def quoted(data: bytes) -> str:
    """As a string in C, not too long."""
    return json.dumps(data[:SHOWN].decode("latin-1")) + ("..." if len(data) > SHOWN else "")


def outcome(event: HookEvent, call: Syscall) -> str:
    """The result, or the error."""
    if -4096 < event.result < 0:
        return f"-1 {errno.errorcode.get(-event.result, f'error {-event.result}')}"
    return f"{event.result:#x}" if call.name in ("brk", "mmap", "mremap") else str(event.result)


def trace(vm: Machine, command: str) -> tuple[Tracer, str]:
    """What a guest at its prompt does for a command, and what it prints."""
    tracer = Tracer()
    with vm.hooks.syscall(None, tracer.called, on_return=tracer.returned):
        vm.console.send(f"{command}\n")
        output = vm.run_until(PROMPT, LIMIT)
    return tracer, output


def main(arguments: list[str] | None = None) -> list[str]:
    """Boot, trace, print."""
    parser = argparse.ArgumentParser(description="Show a Linux guest's system calls.")
    parser.add_argument("command", nargs="?", default="cat /etc/hostname")
    parser.add_argument("--shell", action="store_true", help="the shell's own calls, too")
    options = parser.parse_args(arguments)
    with Machine("debian", memory="128M") as vm:
        vm.run_until(PROMPT, LIMIT)
        tracer, output = trace(vm, options.command)
    shown = [f"[{space}] {line}" for space, line in tracer.lines if options.shell or space > tracer.old]
    print("\n".join(shown))
    print(f"--- the guest's output\n{output.replace(chr(13), '').removesuffix(PROMPT)}")
    return shown


if __name__ == "__main__":
    main()
