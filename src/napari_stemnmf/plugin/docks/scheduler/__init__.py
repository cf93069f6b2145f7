"""Dock: the dask scheduler of the preferences, and a test of the connection."""
