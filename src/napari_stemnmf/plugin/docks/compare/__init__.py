"""Compare: the grains of several analyses beside each other."""
