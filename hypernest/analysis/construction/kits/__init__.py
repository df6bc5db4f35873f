"""One `Kit` for each built-in ISA."""
