"""Any file to a `Dataset`: recognised by its content, read lazily, in whole patterns, with normalised units."""
