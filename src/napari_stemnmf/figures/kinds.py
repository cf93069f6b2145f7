"""Names and colours of what a position is to a found grain and a true one; without matplotlib, so that napari has them
at once."""

from __future__ import annotations

from napari_stemnmf.grains.scoring import FN, FP, TP

KIND_COLOURS = {TP: "#0072B2", FP: "#E69F00", FN: "#56B4E9"}
"""The true grain is blue, dark where it was found and light where it was not; what is false is orange."""
KIND_NAMES = {TP: "found (TP)", FP: "false (FP)", FN: "missed (FN)"}
