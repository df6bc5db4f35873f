"""RISC-V, one module per extension."""
