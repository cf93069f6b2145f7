"""Review: look at one grain after the other, decide, correct."""
