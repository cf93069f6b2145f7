"""Featurize: from patterns to feature matrices."""
