"""The translator: hot code becomes native code, compiled by another process while the interpreter goes on."""
