"""Scans with known truth: crystals, their kinematic diffraction, and the embedded sample."""
