"""The command line: arguments and the terminal, thin over the Python API."""
