"""Units as files write them."""

from __future__ import annotations

import pytest

from napari_stemnmf.units import Scaling, axes, axis, is_real_space, kind, normalise, odd_axes, pixel_ratio, pixel_size


@pytest.mark.parametrize(
    "unit",
    ["1/nm", "1 / nm", "nm^-1", "nm-1", "nm**-1", "nm^{-1}", "$nm^{-1}$", "[n_m^-1]", "nm⁻¹", "nm^(-1)", b"1/nm",
     "k_nm^{-1}", "1/(nm)", "nm\N{MINUS SIGN}1"],
)  # fmt: skip
def test_every_way_to_write_reciprocal_nanometres_is_the_same(unit):
    assert normalise(unit) == (1.0, "1/nm")


@pytest.mark.parametrize(
    "unit",
    [
        "1/Å",
        "1/\N{ANGSTROM SIGN}",
        "1 / Å",
        "1/A",
        "A^-1",
        "Å^-1",
        "$A^{-1}$",
        "[1_/_Å]",
        "1/Angstrom",
        "\\AA^{-1}",
        "Å⁻¹",
    ],
)
def test_reciprocal_angstroms_become_reciprocal_nanometres(unit):
    assert normalise(unit) == (10.0, "1/nm")


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("nm", 1.0), ("[n_m]", 1.0), ("Å", 0.1), ("A", 0.1), ("angstrom", 0.1), ("pm", 1e-3), ("µm", 1e3), ("um", 1e3),
     ("\N{GREEK SMALL LETTER MU}m", 1e3), ("m", 1e9)],
)  # fmt: skip
def test_lengths_become_nanometres(unit, factor):
    assert normalise(unit) == (factor, "nm")


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("mrad", (1.0, "mrad")),
        ("rad", (1e3, "mrad")),
        ("deg", (1.0, "deg")),
        ("°", (1.0, "deg")),
        ("degrees", (1.0, "deg")),
    ],
)
def test_angles_stay_angles(unit, expected):
    assert normalise(unit) == expected


@pytest.mark.parametrize(
    "unit", [None, "", "px", "pixels", "pixel", "_None_", "None", "1", "s", "?/m", "eV", 3, "<undefined>"]
)
def test_what_is_no_unit_is_pixels(unit):
    assert normalise(unit) is None
    assert axis(2, 8, Scaling(0.5, unit)).assumed


def test_scale_and_offset_are_converted_with_the_unit():
    q = axis(2, 56, Scaling(0.053456, "1/Å", -1.4967))
    assert (q.scale, q.offset, q.unit, q.assumed, q.name) == (0.53456, -14.967, "1/nm", False, "q_y")


def test_a_negative_scale_is_mirrored():
    y = axis(0, 5, Scaling(-1.8739, "nm", 3.0))
    assert (y.scale, y.offset, y.unit, y.assumed) == (1.8739, -3.0, "nm", False)


@pytest.mark.parametrize("scale", [None, 0, float("nan"), float("inf"), 1.7e17, 1e-46])
def test_a_scale_that_cannot_be_is_assumed_to_be_one_pixel(scale):
    q = axis(3, 4, Scaling(scale, "1/nm"))
    assert (q.scale, q.unit, q.offset, q.assumed) == (1.0, "px", 0.0, True)


def test_a_unit_that_the_axis_cannot_have_is_not_taken():
    assert axis(0, 4, Scaling(2.0, "1/nm")).assumed
    assert axis(2, 4, Scaling(2.0, "nm")).assumed
    assert axis(2, 4, Scaling(0.016, "cm")).unit == "cm"


def test_kind_of_an_axis_is_told_by_unit_then_name():
    assert kind(Scaling(name="x", unit="1/nm")) == "q"
    assert [kind(Scaling(name=n)) for n in ("kx", "Q_y", "detY", "dx")] == ["q"] * 4
    assert [kind(Scaling(name=n)) for n in ("R_x", "scanY", "y", "x")] == ["scan"] * 4
    assert kind(Scaling(name="time", unit="s")) == ""


NM, INM = Scaling(2.0, "nm"), Scaling(0.1, "1/nm")


@pytest.mark.parametrize(
    ("shape", "given"), [((1, 120), (None, NM)), ((120, 1), (NM, None)), ((1, 5), (Scaling(1.0), NM))]
)
def test_a_line_scan_is_as_wide_as_its_step(shape, given):
    made = axes((*shape, 8, 8), (*given, INM, INM))
    assert [(a.scale, a.unit) for a in made[:2]] == [(2.0, "nm")] * 2
    assert sorted(a.assumed for a in made[:2]) == [False, True]
    (said,) = odd_axes(made)
    assert "line scan" in said
    assert "2 nm wide" in said


def test_a_scan_with_a_step_along_one_axis_only_stays_in_pixels_and_is_told():
    made = axes((20, 30, 8, 8), (None, NM, INM, INM))
    assert made[0].unit == "px"
    assert "a step along scan_x (2 nm) but none along scan_y" in odd_axes(made)[0]


@pytest.mark.parametrize("shape", [(20, 30), (1, 1)])
def test_nothing_is_odd_about_square_pixels_and_plain_steps(shape):
    assert odd_axes(axes((*shape, 8, 8), (NM, NM, INM, INM))) == ()
    assert odd_axes(axes((*shape, 8, 8), (None, None, None, None))) == ()
    assert odd_axes(axes((*shape, 8, 8), (NM, Scaling(3.0, "nm"), INM, Scaling(0.10001, "1/nm")))) == ()


def test_rectangular_detector_pixels_are_told():
    made = axes((2, 2, 8, 8), (NM, NM, Scaling(0.2, "1/nm"), Scaling(0.03, "1/Å")))
    assert pixel_ratio(made) == pytest.approx(1.5)
    assert pixel_size(made) == pytest.approx(0.06**0.5)
    assert "rectangular, 0.2 x 0.3 1/nm" in odd_axes(made)[0]


def test_pixel_sizes_in_two_units_or_one_only_are_told():
    assert "in 1/nm and mrad" in odd_axes(axes((2, 2, 8, 8), (NM, NM, INM, Scaling(1.0, "mrad"))))[0]
    assert "along q_x (0.1 1/nm) but none along q_y" in odd_axes(axes((2, 2, 8, 8), (NM, NM, None, INM)))[0]


@pytest.mark.parametrize(
    ("scaling", "real"),
    [
        (Scaling(0.2, "Å"), True),
        (Scaling(1e-10, "m"), True),
        (INM, False),
        (None, False),
        (Scaling(0.016, "cm"), False),
        (Scaling(15.0, "µm"), False),
        (Scaling(1.0, ""), False),
    ],
)
def test_steps_of_a_length_below_a_micrometre_are_in_the_specimen(scaling, real):
    assert is_real_space(scaling) is real


@pytest.mark.parametrize(
    ("unit", "expected"), [("1/nm/px", (1.0, "1/nm")), ("Å/pixel", (0.1, "nm")), ("mrad per pixel", (1.0, "mrad"))]
)
def test_a_unit_may_be_of_a_pixel(unit, expected):
    assert normalise(unit) == expected
