"""Bragg disks: the probe that they are copies of, where they are in each pattern, and the table of all of them."""
