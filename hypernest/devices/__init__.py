"""The devices of the board: each a register table, a behaviour and a state, knowing nothing of harts or kernels."""
