"""Refine: from component maps to grains that may overlap."""
