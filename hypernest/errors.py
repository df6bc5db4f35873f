"""The errors a user can cause, each a sentence that says what is wrong and what to do."""

from __future__ import annotations


class HypernestError(Exception):
    """Base of every error that bad input can cause; `str()` of it is one line for the user.

    `exit_status` is what the command line exits with.
    """

    exit_status: int = 1


class BadImage(HypernestError):
    """A kernel, ELF, initrd or firmware file that cannot be used as what it claims to be."""


class BadConfiguration(HypernestError):
    """A machine that cannot be built as asked: memory size, number of harts, disks."""

    exit_status = 2


class OutOfRange(HypernestError):
    """A host-side access to guest memory outside RAM."""


class NotMapped(OutOfRange):
    """A host-side access to a virtual address that no page table in force maps."""


class BadValue(HypernestError, ValueError):
    """A value that a register or a piece of memory cannot hold."""


class DeviceError(HypernestError):
    """A device that the user has added cannot be used, or one of its methods raised; then that is the `__cause__`."""
