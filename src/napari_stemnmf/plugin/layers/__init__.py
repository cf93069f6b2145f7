"""Layers on napari's canvas: made of results, put into a viewer, found again."""
