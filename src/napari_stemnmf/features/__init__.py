"""What a pattern looks like in few numbers: angular average (AA) and radial variance (RV)."""
