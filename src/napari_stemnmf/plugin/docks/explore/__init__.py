"""Explore: the pattern under the probe, regions, and virtual detectors."""
