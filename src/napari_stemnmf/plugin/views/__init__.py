"""Patterns and plots in docks: pyqtgraph, so that no second OpenGL context is needed beside napari's canvas."""
