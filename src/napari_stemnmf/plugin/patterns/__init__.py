"""Diffraction patterns in docks: views, what is drawn over them, and the probe position they are of."""
