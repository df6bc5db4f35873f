"""What compilers tell debuggers (DWARF 2 to 5): lines of the source, and how stack frames are laid out.

Written here, and not taken from a library, as the files are not trusted: whatever they hold, reading them takes time
and memory in proportion to their size, and ends with `BadImage` at worst.
"""
