"""Run recipe: all steps with one button."""
