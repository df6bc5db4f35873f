"""Side-by-side speed measurements: the same guests on QEMU, on hypernest and, where it makes sense, on the host."""
