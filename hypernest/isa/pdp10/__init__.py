"""The PDP-10 (KA10 processor) around Popek and Goldberg's counterexample, JRST 1 (1974, at theorem 3)."""
