"""Input-output. Two devices are there: 000, the arithmetic processor itself (APR), and 004, priority interrupt (PI).

All of these are privileged: they trap in user mode without User In-out. Other devices are absent; what is absent reads
as zero and takes no notice of what is sent. The device field is a quarter of the code that assembly text has: 0 is APR,
1 is PI. BLKI and BLKO are left out; they are DATAI and DATAO with a pointer that counts.
"""

from __future__ import annotations

from hypernest.isa.hart import Hart
from hypernest.isa.pdp10.addressing import ADDRESS, FORMAT, effective_address, skip_if
from hypernest.isa.pdp10.state import APR_CHANNEL, APR_USER_IO, NONEXISTENT_FLAG, PROTECTION_FLAG
from hypernest.isa.pdp10.traps import check_privileged
from hypernest.isa.row import Extension
from hypernest.isa.word import Word, concat, select, word

APR, PI = 0, 1

# What CONO PI asks for, of the channels in its low seven bits.
CLEAR_SYSTEM, TURN_CHANNELS_ON, TURN_CHANNELS_OFF, TURN_OFF, TURN_ON = 0o10000, 0o2000, 0o1000, 0o400, 0o200

DATAI, DATAO, CONO, CONI, CONSZ, CONSO = 1, 3, 4, 5, 6, 7

INPUT_OUTPUT = Extension("input-output", FORMAT)


def _pattern(function: int) -> str:
    return f"111 device {function:03b} {ADDRESS}"


def _checked_address(h: Hart, function: int) -> Word:
    """E, after the check for user mode, which the KA10 makes when it has calculated E."""
    address = effective_address(h)
    check_privileged(h, word(0b111 << 10 | function) | h.operand("device") << 3, address)
    return address


def _device(h: Hart, number: int) -> Word:
    return h.operand("device") == number


def _conditions(h: Hart) -> Word:
    """What CONI reads, 36 bits."""
    processor = h.apr | h.user_io.zext(18) << APR_USER_IO
    interrupts = concat(h.pi_held, h.pi_on, h.pi_channels).zext(18)
    return select(_device(h, APR), processor, select(_device(h, PI), interrupts, 0)).zext(36)


@INPUT_OUTPUT.row("cono device, @y(x)", _pattern(CONO), system=True)
def cono(h: Hart) -> None:
    """Conditions out: E itself is what is sent."""
    sent = _checked_address(h, CONO).trunc(18)
    cleared = sent & (PROTECTION_FLAG | NONEXISTENT_FLAG)
    apr = h.apr & ~(cleared | APR_CHANNEL) | sent & APR_CHANNEL
    h.write("apr", select(_device(h, APR), apr, h.apr))

    def asked(request: int) -> Word:
        return _device(h, PI) & ((sent & request) != 0)

    channels, none = sent.trunc(7), word(0, 7)
    kept = select(asked(CLEAR_SYSTEM), none, h.pi_channels)
    on, off = select(asked(TURN_CHANNELS_ON), channels, none), select(asked(TURN_CHANNELS_OFF), channels, none)
    h.write("pi_channels", kept & ~off | on)
    h.write("pi_held", select(asked(CLEAR_SYSTEM), none, h.pi_held))
    h.write("pi_on", h.pi_on & ~asked(CLEAR_SYSTEM) & ~asked(TURN_OFF) | asked(TURN_ON))


@INPUT_OUTPUT.row("coni device, @y(x)", _pattern(CONI))
def coni(h: Hart) -> None:
    """Conditions in, to the word at E."""
    h.store(_checked_address(h, CONI), _conditions(h))


@INPUT_OUTPUT.row("consz device, @y(x)", _pattern(CONSZ))
def consz(h: Hart) -> None:
    """Skip if all the conditions that E selects are zero."""
    selected = _checked_address(h, CONSZ).trunc(36)
    skip_if(h, (_conditions(h) & selected) == 0)


@INPUT_OUTPUT.row("conso device, @y(x)", _pattern(CONSO))
def conso(h: Hart) -> None:
    """Skip if any of the conditions that E selects is one."""
    selected = _checked_address(h, CONSO).trunc(36)
    skip_if(h, (_conditions(h) & selected) != 0)


@INPUT_OUTPUT.row("datai device, @y(x)", _pattern(DATAI))
def datai(h: Hart) -> None:
    """Data in, to the word at E: of the processor, the console's data switches."""
    address = _checked_address(h, DATAI)
    h.store(address, select(_device(h, APR), h.switches, 0))


@INPUT_OUTPUT.row("datao device, @y(x)", _pattern(DATAO), system=True)
def datao(h: Hart) -> None:
    """Data out, the word at E: to the processor, protection (the manual's bits 0 to 7) and relocation (18 to 25)."""
    data = h.load(_checked_address(h, DATAO), 36)
    h.write("protection", select(_device(h, APR), data.bits(35, 28), h.protection))
    h.write("relocation", select(_device(h, APR), data.bits(17, 10), h.relocation))
