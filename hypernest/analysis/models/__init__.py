"""The built-in ISAs as the paper's machine: which of their registers are the mode, the map and the control state."""
