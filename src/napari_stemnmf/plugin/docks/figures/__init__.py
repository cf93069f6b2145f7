"""Figures: drawn, looked at, saved."""
