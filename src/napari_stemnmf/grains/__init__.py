"""From component maps to grains: separation, patterns, measurement, and scores against truth."""
