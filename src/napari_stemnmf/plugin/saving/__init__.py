"""Saving an analysis by itself, and what asks before something is lost."""
