"""Batch: many scans, one after the other, and what of them needs a look."""
