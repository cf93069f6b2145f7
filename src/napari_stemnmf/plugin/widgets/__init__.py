"""The docks of the steps: one class a step, `step` holds what they share."""
