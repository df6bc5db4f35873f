"""Popek and Goldberg's classification of an instruction set, from its description: proofs, witnesses, monitors."""
