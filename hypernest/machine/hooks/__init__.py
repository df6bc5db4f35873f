"""Hooks: Python functions that are called before the guest does something, free where nothing is hooked."""

from hypernest.machine.hooks.events import BadHook, EventKind, HookError, HookEvent
from hypernest.machine.hooks.hook import Hook, SyscallHook
from hypernest.machine.hooks.hooks import Hooks

__all__ = ["BadHook", "EventKind", "Hook", "HookError", "HookEvent", "Hooks", "SyscallHook"]
