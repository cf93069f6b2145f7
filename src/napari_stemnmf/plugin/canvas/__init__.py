"""What lies on napari's canvas: layers made of results, put into a viewer, picked, painted and cut."""
