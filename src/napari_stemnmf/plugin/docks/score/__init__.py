"""Score: the grains against a truth."""
