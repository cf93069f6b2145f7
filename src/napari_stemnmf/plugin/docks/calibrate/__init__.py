"""Calibrate: hot pixels, mask, probe, disks, centres, ellipse and pixel size."""
