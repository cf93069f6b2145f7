"""Where detector pixels lie in reciprocal space: the centre of each pattern, the ellipse, the size of a pixel."""
