"""How a run ends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class StopKind(Enum):
    """Why the machine stopped."""

    POWER_OFF = "powered off"
    FAILURE = "failed"
    RESET = "reset"
    LIMIT = "limit reached"
    STUCK = "stuck"
    BREAK = "stopped by the host"  # a hook, or a condition that was waited for


@dataclass(frozen=True, slots=True)
class StopReason:
    """Why `Machine.run` returned. `code` is what the guest gave with a failure (0 to 65535), else 0.

    After `LIMIT` and `BREAK` the machine can go on; the others are final.
    """

    kind: StopKind
    code: int = 0
    message: str = ""

    def __str__(self) -> str:
        return self.message or self.kind.value


POWERED_OFF = StopReason(StopKind.POWER_OFF, message="the guest powered the machine off")
RESET = StopReason(StopKind.RESET, message="the guest asked for a reset")
RECORDING_ENDED = StopReason(StopKind.BREAK, message="the recording ends here")
LIMIT_REACHED = StopReason(StopKind.LIMIT, message="the limit of instructions was reached")


def failure(code: int) -> StopReason:
    """The guest reported a failure."""
    return StopReason(StopKind.FAILURE, code, f"the guest reported failure {code}")


def stuck(why: str) -> StopReason:
    """The guest can never go on; `why` is a sentence."""
    return StopReason(StopKind.STUCK, message=why)
