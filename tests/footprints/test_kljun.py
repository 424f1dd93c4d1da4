"""One footprint against the authors' code, and its bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from ecoembed.errors import FootprintError
from ecoembed.footprints.kljun import A, B, C, D, footprint, scaled_footprint, stability_correction
from tests.footprints.oracle import ffp, halfhour

GOOD = {"zm": 20.0, "z0": 0.1, "h": 2000.0, "ol": -100.0, "sigmav": 0.6, "ustar": 0.4, "wind_dir": 30.0}


@settings(max_examples=200, deadline=None)
@given(halfhour())
def test_equals_the_authors_code(inputs):
    if "z0" in inputs and np.log(inputs["zm"] / inputs["z0"]) <= stability_correction(inputs["zm"], inputs["ol"]):
        with pytest.raises(FootprintError, match="no solution"):
            footprint(**inputs)
        return
    theirs, ours = ffp(**inputs, nx=600), footprint(**inputs, nx=600)
    assert ours.x_ci_max == pytest.approx(theirs["x_ci_max"], rel=1e-12)
    np.testing.assert_allclose(ours.x_ci, theirs["x_ci"], rtol=1e-12)
    np.testing.assert_allclose(ours.f_ci, theirs["f_ci"], rtol=1e-11, atol=1e-14 * theirs["f_ci"].max())
    peak, far = theirs["f_2d"].max(), np.abs(theirs["x_2d"]).max()
    np.testing.assert_allclose(ours.f_2d, theirs["f_2d"], rtol=0, atol=1e-11 * peak)
    np.testing.assert_allclose(ours.x_2d, theirs["x_2d"], rtol=0, atol=1e-11 * far)
    np.testing.assert_allclose(ours.y_2d, theirs["y_2d"], rtol=0, atol=1e-11 * far)


def test_source_areas_equal_the_authors_levels():
    rs = [0.1, 0.5, 0.8]
    theirs = ffp(**GOOD, rs=rs)
    assert list(footprint(**GOOD, rs=rs).fr) == rs
    np.testing.assert_allclose(list(footprint(**GOOD, rs=rs).fr.values()), theirs["fr"], rtol=1e-9)


def test_a_share_that_the_field_does_not_hold_has_no_level():
    stretched = footprint(**GOOD | {"sigmav": 40.0}, rs=(0.1, 0.9))
    held = stretched.f_2d.sum() * (stretched.x_ci[1] - stretched.x_ci[0]) ** 2
    assert held < 0.9
    assert stretched.fr[0.9] is None
    assert stretched.fr[0.1] > 0


def test_accepts_ffps_positional_order():
    assert footprint(20, 0.1, None, 2000, -100, 0.6, 0.4).x_ci_max == pytest.approx(84.08498841598933, rel=1e-12)


def test_without_wind_x_is_upwind_and_with_it_the_peak_lies_upwind():
    plain, south = footprint(**GOOD | {"wind_dir": None}), footprint(**GOOD | {"wind_dir": 180.0})
    peak = np.unravel_index(plain.f_2d.argmax(), plain.f_2d.shape)
    assert plain.x_2d[peak] > 0
    assert plain.y_2d[peak] == 0
    assert south.x_2d[peak] == pytest.approx(0, abs=1e-9)
    assert south.y_2d[peak] == pytest.approx(-plain.x_2d[peak])


def test_z0_is_used_where_both_are_given_and_infinite_ol_is_neutral():
    assert footprint(**GOOD, umean=3.0).x_ci_max == footprint(**GOOD).x_ci_max
    neutral = footprint(**GOOD | {"ol": np.inf})
    assert neutral.x_ci_max == pytest.approx(footprint(**GOOD | {"ol": -1e12}).x_ci_max, rel=1e-9)


def test_the_scaled_curve_is_zero_up_to_d_and_peaks_where_its_derivative_vanishes():
    assert not scaled_footprint(np.linspace(-5, D, 50)).any()
    x = np.linspace(D + 1e-3, 5, 200_001)
    assert x[scaled_footprint(x).argmax()] == pytest.approx(-C / B + D, abs=1e-4)
    assert scaled_footprint(np.array(-C / B + D)) == pytest.approx(A * (-C / B) ** B * np.exp(B))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"zm": 0.0}, ["zm = 0 m", "zm > 0 m"]),
        ({"zm": -2.0}, ["zm = -2 m", "displacement height"]),
        ({"z0": 0.0}, ["z0 = 0 m", "z0 > 0 m"]),
        ({"z0": 1.6}, ["z0 = 1.6 m with zm = 20 m", "zm / 12.5", "roughness sublayer", "umean"]),
        ({"h": 10.0}, ["h = 10 m", "h > 10 m"]),
        ({"h": 20.0}, ["zm = 20 m with h = 20 m", "zm < h"]),
        ({"ol": 0.0}, ["ol = 0 m", "other than 0"]),
        ({"ol": -1.29}, ["ol = -1.29 m with zm = 20 m", "zm / ol >= -15.5"]),
        ({"sigmav": 0.0}, ["sigmav = 0 m s-1", "sigmav > 0 m s-1"]),
        ({"ustar": 0.1}, ["ustar = 0.1 m s-1", "ustar > 0.1 m s-1"]),
        ({"ustar": np.nan}, ["ustar = nan m s-1", "present"]),
        ({"wind_dir": 361.0}, ["wind_dir = 361 degree", "0 to 360 degree"]),
        ({"z0": None, "umean": 0.0}, ["umean = 0 m s-1", "umean > 0 m s-1"]),
        ({"ol": 5000.5, "zm": 300.0, "h": 3000.0}, ["no solution", "zm = 300 m"]),
        ({"h": None, "ol": None}, ["required input absent: h, ol"]),
        ({"z0": None}, ["required input absent: z0 or umean"]),
        ({"ustar": np.array([0.3, 0.4])}, ["more than one half-hour", "footprint_climatology"]),
        ({"rs": (0.95,)}, ["0.95", "(0, 0.9]"]),
        ({"nx": 100}, ["nx = 100", "nx >= 600"]),
    ],
)
def test_an_input_out_of_range_names_variable_value_unit_and_bound(change, says):
    with pytest.raises(FootprintError) as caught:
        footprint(**GOOD | change)
    assert all(words in str(caught.value) for words in says), str(caught.value)


def test_values_at_the_bounds_are_accepted():
    assert footprint(**GOOD | {"ol": -20 / 15.5}).x_ci_max > 0
    assert footprint(**GOOD | {"z0": 1.6}, rslayer=True).x_ci_max > 0
    assert footprint(**GOOD | {"h": 20.1}).x_ci_max > 0
