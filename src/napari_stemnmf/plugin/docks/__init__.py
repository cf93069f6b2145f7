"""The docks, a folder each: `widget` (Qt), `model` (state and words, no Qt) and, where there are any, `plots`."""
