"""Which settings stand in sight in a form; the rest folds away under *Advanced*."""

from __future__ import annotations

FEW: dict[str, tuple[str, ...]] = {
    "PreprocessSettings": ("dark", "hot_pixels", "bin"),
    "BeamStopSettings": ("find", "mask"),
    "CenterSettings": ("q_y", "q_x"),
    "ProbeSettings": ("source",),
    "DiskSettings": ("min_snr", "min_relative"),
    "OriginSettings": ("method",),
    "EllipseSettings": ("method",),
    "PixelSizeSettings": ("d_spacing", "radius"),
    "AngularAverageSettings": ("rings", "angle_step"),
    "RadialVarianceSettings": ("r_min", "r_max"),
    "BraggDiskSettings": ("bin", "min_snr"),
    "VirtualDarkFieldSettings": ("min_snr", "tolerance"),
    "ClusteringSettings": ("components", "seeds"),
    "GroupingSettings": ("alike", "min_tracks"),
    "RefinementSettings": ("threshold_scale", "min_size"),
    "OutlineSettings": ("min_confidence", "min_size"),
}
"""By the name of their class: the few that decide most. Settings of a class that is not named are all in sight."""


def in_sight(kind: type, names: list[str]) -> tuple[list[str], list[str]]:
    """The names of the settings of a class that stand in sight, and the others; their order stays."""
    few = FEW.get(kind.__name__)
    if few is None:
        return names, []
    return [name for name in names if name in few], [name for name in names if name not in few]
