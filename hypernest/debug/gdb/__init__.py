"""The gdb remote protocol: a machine debugged from gdb, backwards too (docs/gdb.md).

`packets` frames bytes, `commands` is the table of what gdb may ask, `session` is one conversation, `server` its socket.
They see the machine as a `target.Target`; `machine_target.MachineTarget` is the one there is.
"""
