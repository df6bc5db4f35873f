"""How instructions run: every engine has the same contract (`engine.py`) over the same state (`hart_state.py`)."""
