"""The representations of a pattern in few numbers: angular average (AA), radial variance (RV), Bragg disks (BD)."""
