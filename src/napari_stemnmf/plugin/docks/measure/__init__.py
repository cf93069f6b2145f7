"""Measure: pattern, dissimilarity, size and shape of every grain."""
