"""Show a region of guest code as the translator sees it: instructions, LLVM IR and host assembly side by side.

  hypernest inspect ADDRESS FILE                      of an ELF program or a Linux Image that does not run
  hypernest inspect ADDRESS [IMAGE] --after N         of a guest, after N instructions
  hypernest inspect ADDRESS [IMAGE] --until TEXT      of a guest, when its console has printed TEXT
  hypernest inspect [IMAGE] --after N                 lists the regions that are in place by then

ADDRESS is a number or a symbol (schedule+0x1c).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hypernest.cli.arguments import UsageError, count, input_file
from hypernest.cli.run import add_guest_arguments, check_configuration, find_image, make_machine

if TYPE_CHECKING:
    from hypernest.debug.places import Place
    from hypernest.debug.symbols import SymbolTable
    from hypernest.engines.translator.engine import TranslatorEngine
    from hypernest.engines.translator.inspection import Inspection, Inspector
    from hypernest.machine.machine import Machine

PAGE = 4096


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to look, in what, and how it is shown."""
    add = parser.add_argument
    add("address", metavar="ADDRESS", nargs="?", help="a number or a symbol, perhaps with an offset")
    add("image", metavar="FILE|IMAGE", nargs="?", help="a file, or with --after and --until what hypernest run boots")
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--after", metavar="N", type=count, help="boot a guest and look after N instructions")
    when.add_argument("--until", metavar="TEXT", help="boot a guest and look when its console has printed TEXT")
    add("--physical", action="store_true", help="ADDRESS is a guest-physical one")
    add("--ir", choices=("before", "after"), default="after", help="LLVM IR before or after optimization (after)")
    add("--only", choices=("guest", "ir", "asm"), help="show one of the three, in its own order")
    add("--json", action="store_true", help="print one JSON object")
    add(
        "--symbols",
        metavar="FILE",
        type=input_file,
        action="append",
        default=[],
        help="more names: an ELF program or a System.map; may be given again",
    )
    add_guest_arguments(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Prints what was found."""
    if arguments.after is None and arguments.until is None:
        _inspect_file(arguments)
    else:
        _inspect_guest(arguments)
    return 0


# --- a file --------------------------------------------------------------------------------------------------------


def _inspect_file(arguments: argparse.Namespace) -> None:
    from hypernest.debug.kallsyms import kernel_symbols
    from hypernest.debug.places import find_place
    from hypernest.debug.program_memory import ProgramMemory
    from hypernest.debug.symbol_files import program_symbols, read_symbols
    from hypernest.devices.bus import Bus
    from hypernest.engines.interpreter import InterpreterEngine
    from hypernest.engines.translator.inspection import EVERYTHING, Inspector
    from hypernest.isa.riscv.riscv64 import RISCV64
    from hypernest.machine.board import RAM
    from hypernest.machine.boot import KERNEL_OFFSET, Loaded
    from hypernest.machine.boot_files import read_program
    from hypernest.memory import GuestMemory

    path, what = _file(arguments)
    flat = RAM if what == "firmware" else RAM + KERNEL_OFFSET
    program = read_program(path, what, RAM, flat)
    memory = ProgramMemory(program)
    tables = [read_symbols(each) for each in arguments.symbols]
    tables.append(program_symbols(Loaded(path, what, program.segments[0].address)))
    tables.append(kernel_symbols(memory))
    place = find_place(arguments.address, tables)
    _check_even(place.address)
    candidates = [place.address - place.table.physical_offset] if place.table else [place.address]
    if not arguments.physical and not place.table:
        candidates += [place.address - table.physical_offset for table in tables]
    physical = next(filter(memory.contains, candidates), None)
    if physical is None:
        raise UsageError(f"{place.address:#x} is outside the file, which holds {memory.describe()}.")
    with GuestMemory(RAM, PAGE) as nothing:
        pures = InterpreterEngine(RISCV64, nothing, Bus()).native_text("hypernest_pure_names").split()
        inspector = Inspector(RISCV64, pures)
    found = _inspection(arguments, inspector, memory.page(physical, PAGE), EVERYTHING, place, physical)
    _show(arguments, found, place, physical, tables)


def _file(arguments: argparse.Namespace) -> tuple[Path, str]:
    """The file that is meant, and what it is called in errors."""
    from hypernest.images import names

    given = [(path, what) for path, what in ((arguments.firmware, "firmware"), (arguments.kernel, "kernel")) if path]
    last = arguments.image or arguments.address
    if not given and last in names() and not Path(last).exists():
        raise UsageError(f"{last} is an image: say with --after N or --until TEXT when to look at its guest.")
    if arguments.address is None:
        raise UsageError("ADDRESS is missing: give a number or a symbol, see hypernest inspect --help.")
    if arguments.image is not None:
        try:
            given.insert(0, (input_file(arguments.image), "program"))
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"{error}.") from None
    if not given:
        raise UsageError("give a FILE behind ADDRESS, or --after N or --until TEXT to look at a guest that runs.")
    return given[0]


# --- a guest -------------------------------------------------------------------------------------------------------


def _inspect_guest(arguments: argparse.Namespace) -> None:
    from hypernest.debug.kallsyms import kernel_symbols
    from hypernest.debug.symbol_files import program_symbols, read_symbols
    from hypernest.images import installed, names

    check_configuration(arguments)
    if arguments.image is None and arguments.address in {*names(), *(image.name for image in installed())}:
        arguments.image, arguments.address = arguments.address, None
    tables = [read_symbols(path) for path in arguments.symbols]
    with make_machine(arguments, find_image(arguments), "translator", None, None) as machine:
        tables += [program_symbols(program) for program in machine.programs]
        if arguments.until is not None:
            machine.run_until(arguments.until)
        else:
            reason = machine.run(arguments.after)
            if machine.instructions < arguments.after:
                print(f"hypernest: {reason}, after {machine.instructions:,} instructions", file=sys.stderr)
        tables.append(kernel_symbols(machine.memory))
        if arguments.address is None:
            _list(arguments, machine, tables)
        else:
            _inspect_running(arguments, machine, tables)


def _engine(machine: Machine) -> TranslatorEngine:
    from hypernest.engines.translator import TranslatorEngine

    assert isinstance(machine.engine, TranslatorEngine)
    return machine.engine


def _inspect_running(arguments: argparse.Namespace, machine: Machine, tables: Sequence[SymbolTable]) -> None:
    from hypernest.debug.places import find_place
    from hypernest.engines.translator.inspection import EVERYTHING, Inspector
    from hypernest.isa.riscv.riscv64 import RISCV64

    place = find_place(arguments.address, tables)
    _check_even(place.address)
    physical = _physical(arguments, machine, place)
    engine = _engine(machine)
    page, offset = divmod(physical - machine.memory.base, PAGE)
    first = machine.memory.base + page * PAGE
    code = machine.memory.read(first, PAGE)
    executed = sum(1 << at // 2 for at in engine.executed(page))
    inspector = Inspector(RISCV64, engine.native_text("hypernest_pure_names").split())
    notes = []
    if not inspector.was_executed(code, executed, offset):
        notes.append("was not executed so far (as the translator sees it): shown as if all of its page had been")
        executed = EVERYTHING
    records = {each.record.head: each.record for each in engine.regions() if each.page_address == first}
    found = _inspection(arguments, inspector, code, executed, place, physical, [offset, *records])
    if offset in records:
        record = records[offset]
        same = "this region" if record.code == found.code else "an earlier region of this head"
        notes.append(f"in place is {same}: {record.instructions} instructions, {len(record.code)} bytes of code")
    else:
        notes.append("no region with this head is in place")
        inside = [first + head for head, each in records.items() if each.first <= offset <= each.last]
        if inside:
            notes.append(f"in place around it: those at {', '.join(f'{at:#x}' for at in inside[:4])} (physical)")
    _show(arguments, found, place, physical, tables, notes)


def _physical(arguments: argparse.Namespace, machine: Machine, place: Place) -> int:
    memory = machine.memory
    offset = place.table.physical_offset if place.table else 0
    loaded = place.address - offset
    physical: int | None = loaded if arguments.physical else machine.running_hart.translate(place.address)
    if physical is None and offset:
        physical = loaded  # before the kernel has switched translation on
    if physical is None or not memory.base <= physical < memory.base + memory.size:
        where = f"memory is {memory.base:#x} to {memory.base + memory.size:#x}"
        if arguments.physical:
            raise UsageError(f"{place.address:#x} is outside memory: {where}.")
        raise UsageError(
            f"{place.address:#x} is mapped to no code in memory at this point of the run; if it is a guest-physical"
            f" address, add --physical ({where})."
        )
    return physical


def _list(arguments: argparse.Namespace, machine: Machine, tables: Sequence[SymbolTable]) -> None:
    from hypernest.cli.inspect_output import list_regions
    from hypernest.debug.symbols import Symbols

    print(list_regions(_engine(machine).regions(), Symbols(tables), as_json=arguments.json))


# --- both ----------------------------------------------------------------------------------------------------------


def _check_even(address: int) -> None:
    if address & 1:
        raise UsageError(f"{address:#x} is odd: instructions begin at even addresses.")


def _inspection(
    arguments: argparse.Namespace,
    inspector: Inspector,
    code: bytes,
    executed: int,
    place: Place,
    physical: int,
    targets: Sequence[int] = (),
) -> Inspection:
    from hypernest.engines.translator.inspection import NoRegion

    try:
        return inspector.inspect(code, executed, physical % PAGE, targets, optimized=arguments.ir == "after")
    except NoRegion as error:
        raise NoRegion(f"no region can begin at {place.address:#x}: {error}.") from None


def _show(
    arguments: argparse.Namespace,
    found: Inspection,
    place: Place,
    physical: int,
    tables: Sequence[SymbolTable],
    notes: Sequence[str] = (),
) -> None:
    from hypernest.cli.inspect_output import Shown, show
    from hypernest.debug.symbols import Symbols

    page = place.address - physical % PAGE
    shown = Shown(found, page, physical, Symbols(tables), arguments.ir, tuple(notes))
    show(shown, only=arguments.only, as_json=arguments.json)
