"""From component maps to grains: refinement, patterns, measurement, confidence, corrections by hand, and scores."""
