"""The former name of `preprocessing.beam_stop`, for scripts of version 0.4."""

from napari_stemnmf.preprocessing.beam_stop import detector_mask, find_beam_stop

__all__ = ["detector_mask", "find_beam_stop"]
