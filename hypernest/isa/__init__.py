"""The processor, described once: words, instruction rows, registers, traps and translation."""
