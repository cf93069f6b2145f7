"""Review: one grain after the other: see, decide, correct."""
