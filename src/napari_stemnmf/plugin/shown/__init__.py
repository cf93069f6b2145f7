"""What docks show, as data and words: no Qt, no viewer."""
