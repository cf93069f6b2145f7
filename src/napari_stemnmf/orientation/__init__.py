"""Which crystal each grain is, and which way it is turned."""
