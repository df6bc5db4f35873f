"""The model of a third-generation computer: Popek and Goldberg 1974, section 2, with a small instruction set."""
