"""How much of the host's memory a process takes."""

from __future__ import annotations

from pathlib import Path


def peak_memory(process: int | None = None) -> int:
    """The most host memory, in bytes, that a process has occupied; this one unless another is named (0 if it ended)."""
    try:
        for line in Path(f"/proc/{process or 'self'}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    if process is not None:
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
