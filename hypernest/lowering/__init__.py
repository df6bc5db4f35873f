"""From traced semantic functions to LLVM IR. Nothing here knows an instruction set."""
