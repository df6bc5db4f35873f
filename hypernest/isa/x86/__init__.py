"""IA-32 in protected mode: state, segmentation, gates, and the instructions that decide about virtualizing it."""
