"""What the docks of the steps share: the base of a step, and forms made from settings."""
