"""Where a detector pixel lies in reciprocal space: the centre, the central disk, ellipse and mask."""
