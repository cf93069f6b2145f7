"""The dock that holds the docks of all steps."""
