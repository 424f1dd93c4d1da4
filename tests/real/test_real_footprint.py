"""Footprints against outputs of FFP v1.42, and turbulence estimates against a tower that measured it."""

from __future__ import annotations

import json

import contourpy
import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401
import xarray as xr
from pyproj import Transformer

from ecoembed.archives.flux.reader import open_halfhours
from ecoembed.cubes.grid import true_north
from ecoembed.footprints.climatology import footprint_climatology
from ecoembed.footprints.contours import source_area
from ecoembed.footprints.kljun import footprint
from ecoembed.footprints.maps import footprint_map
from ecoembed.footprints.tower import tower_footprint
from ecoembed.footprints.turbulence import daytime, turbulence


@pytest.fixture(params=range(5))
def case(request, real):
    folder = real / "footprint"
    summary = json.loads((folder / "kljun_ffp_v1.42_cases.json").read_text())[request.param]
    with np.load(folder / f"case{request.param}.npz") as arrays:
        return summary, arrays["x_ci"], arrays["f_ci"]


def test_footprint_equals_ffp(case):
    summary, x_ci, f_ci = case
    ours = footprint(**summary["input"], rs=summary["rs"])
    assert ours.x_ci_max == pytest.approx(summary["x_ci_max"], rel=1e-9)
    np.testing.assert_allclose(ours.x_ci, x_ci, rtol=1e-12)
    np.testing.assert_allclose(ours.f_ci, f_ci, rtol=0, atol=1e-9 * f_ci.max())
    assert ours.f_ci.max() == pytest.approx(summary["f_ci_max"], rel=1e-9)
    assert ours.f_2d.max() == pytest.approx(summary["f_2d_max"], rel=1e-9)
    assert np.trapezoid(ours.f_ci, ours.x_ci) == pytest.approx(summary["f_ci_integral"], rel=1e-9)
    np.testing.assert_allclose(list(ours.fr.values()), summary["fr"], rtol=1e-9)


def test_the_80_percent_source_area_lies_where_ffp_has_it(case):
    summary, _, _ = case
    ours = footprint(**summary["input"], rs=[0.8])
    line = contourpy.contour_generator(ours.x_2d, ours.y_2d, ours.f_2d).lines(ours.fr[0.8])[0]
    found = [line[:, 0].min(), line[:, 0].max(), line[:, 1].min(), line[:, 1].max()]
    np.testing.assert_allclose(found, summary["contour80_bbox"], rtol=0, atol=0.01 * ours.x_ci_max)


def test_climatology_holds_what_the_curve_holds_within_the_grid(case):
    """On a grid that reaches as far as FFP's own curve, the weights sum to its integral."""
    summary, x_ci, _ = case
    reach = x_ci[-1] * 1.05
    centres = np.linspace(-reach, reach, 401)
    one = {**summary["input"], "wind_dir": 0.0}
    weights = footprint_climatology(**one, grid={"x": centres, "y": centres})
    within = float(weights.sel(y=slice(None, x_ci[-1])).sum())
    assert within == pytest.approx(summary["f_ci_integral"], abs=2e-3)


SITE = pd.Series(
    {"latitude": 38.1152, "longitude": -121.6469, "utc_offset": -8.0, "measurement_height": 2.8, "canopy_height": 0.35},
    name="US-Tw3",
)


@pytest.fixture(scope="module")
def tower(real):
    """Half-hours of US-Tw3 (alfalfa), whose turbulence was measured."""
    return open_halfhours(real / "flux" / "AMF_US-Tw3_BASE_HH_5-5.zip")


@pytest.fixture(scope="module")
def grid():
    """101 x 101 pixels of 10 m around the tower, in its UTM zone."""
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32610", always_xy=True).transform(SITE.longitude, SITE.latitude)
    axis = 10.0 * np.arange(-50, 51)
    coords = {"y": round(y, -1) - axis, "x": round(x, -1) + axis}
    return xr.DataArray(np.zeros((101, 101), "float32"), coords, ("y", "x")).rio.write_crs("EPSG:32610")


@pytest.fixture(scope="module")
def year(tower):
    return tower.sel(time="2015")


@pytest.fixture(scope="module")
def measured(year, grid):
    """The footprint of a year, all of whose inputs but the boundary layer's height were measured."""
    return tower_footprint(SITE, year, grid)


def overlap(a, b):
    """Share that two footprints have in common."""
    return float(np.minimum(a.values / a.values.sum(), b.values / b.values.sum()).sum())


def test_estimates_are_close_to_what_the_tower_measured(tower):
    measured = turbulence(tower, SITE)
    estimated = turbulence(tower.drop_vars(["MO_LENGTH", "V_SIGMA"]), SITE)
    dry = turbulence(tower.drop_vars(["MO_LENGTH", "V_SIGMA", "LE"]), SITE)
    has = [np.isfinite(tower[name].values) for name in ("MO_LENGTH", "LE", "H", "TA", "PA", "V_SIGMA")]
    bright, _ = daytime(tower, SITE)
    both = np.logical_and.reduce(has)[bright] & (measured["ustar"] > 0.1)
    assert both.sum() > 25_000
    ratio = (estimated["ol"] / measured["ol"])[both]
    assert np.median(ratio) == pytest.approx(0.98, abs=0.02)
    assert np.median((dry["ol"] / measured["ol"])[both]) == pytest.approx(1.06, abs=0.02)
    assert (ratio > 0).mean() > 0.99  # moisture also settles which way the air is stratified
    for stable, expected in ((False, 1.15), (True, 0.99)):
        like = both & ((measured["ol"] > 0) == stable)
        assert np.median((estimated["sigmav"] / measured["sigmav"])[like]) == pytest.approx(expected, abs=0.03)


def test_every_half_hour_is_used_or_counted(measured):
    counts = json.loads(measured.attrs["excluded"])
    note = json.loads(measured.attrs["notes"])["half-hours"]
    assert measured.attrs["n"] + sum(counts.values()) == int(note.split()[0])
    assert measured.attrs["n"] > 7000
    assert 0.95 < measured.attrs["inside"] < 1
    middle = measured.sizes["x"] // 2
    assert measured[:, :middle].sum() > 2 * measured[:, middle + 1 :].sum()  # the Delta's wind is westerly


@pytest.mark.parametrize(
    ("without", "least"),
    [(["MO_LENGTH"], 0.995), (["V_SIGMA"], 0.97), (["MO_LENGTH", "V_SIGMA"], 0.97), (["WS"], 0.94)],
)
def test_what_an_estimate_changes_in_the_footprint_of_a_year(year, measured, grid, without, least):
    assert least < overlap(tower_footprint(SITE, year.drop_vars(without), grid), measured) < 1 - 1e-4


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_the_footprint_hardly_depends_on_the_guessed_boundary_layer(year, measured, grid, factor):
    inputs = turbulence(year, SITE, north=true_north("EPSG:32610", SITE.latitude, SITE.longitude))
    at = {name: measured.attrs[f"tower_{name}"] for name in ("x", "y")}
    other = footprint_climatology(**{**inputs, "h": factor * inputs["h"]}, grid=grid, **at)
    assert 0.995 < overlap(other, measured) < 1 - 1e-5


def test_footprints_by_month_of_a_real_tower(year, measured, grid):
    """In summer the sea breeze narrows the footprint to the west; in winter it reaches out all around."""
    monthly = tower_footprint(SITE, year, grid, period="month")
    assert "stand_in" not in monthly.attrs
    assert int(monthly["n"].sum()) == measured.attrs["n"]
    pooled = (monthly * monthly["n"]).sum("month") / monthly["n"].sum()
    np.testing.assert_allclose(pooled, measured, rtol=0, atol=5e-3 * float(measured.max()))
    january, july = monthly.sel(month=1), monthly.sel(month=7)
    assert overlap(january, july) < 0.5
    assert min(overlap(one, measured) for one in monthly) < 0.7
    areas = {month: source_area(monthly.sel(month=month), [0.8])["area_m2"][0] for month in (1, 7)}
    assert areas[1] > 2 * areas[7]
    assert footprint_map(monthly, title="US-Tw3").startswith(b"\x89PNG")


def test_footprints_of_overpasses_of_a_real_tower(year, measured, grid):
    times = pd.date_range("2015-06-01T18:50", periods=12, freq="10D").astype("datetime64[ns]")
    passes = tower_footprint(SITE, year, grid.expand_dims(time=times), period="overpass")
    assert passes.sizes["time"] == 12
    used = passes["n"].values[~passes["stand_in"].values]
    assert used.size > 8
    assert used.max() == 6
    assert np.median([overlap(one, measured) for one in passes]) < 0.8  # six half-hours are no climatology
