"""Footprints against outputs of FFP v1.42, and turbulence estimates against a tower that measured it."""

from __future__ import annotations

import json
import zipfile

import contourpy
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ecoembed import units
from ecoembed.footprints.climatology import footprint_climatology
from ecoembed.footprints.kljun import footprint
from ecoembed.footprints.turbulence import turbulence


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


@pytest.fixture(scope="module")
def tower(real):
    """Half-hours of US-Tw3 (alfalfa, 38.1 N), whose turbulence was measured."""
    with zipfile.ZipFile(real / "flux" / "AMF_US-Tw3_BASE_HH_5-5.zip") as archive:
        name = next(n for n in archive.namelist() if n.endswith(".csv"))
        kept = ["TIMESTAMP_START", *(name for name in units.HALF_HOURLY if name != "SW_IN_POT")]
        frame = pd.read_csv(archive.open(name), comment="#", na_values=-9999, usecols=kept)
    time = pd.to_datetime(frame.pop("TIMESTAMP_START").astype(str), format="%Y%m%d%H%M").astype("datetime64[ns]")
    return xr.Dataset.from_dataframe(frame.set_index(time.rename("time")))


SITE = {"measurement_height": 2.8, "canopy_height": 0.5, "latitude": 38.1}


def test_estimates_are_close_to_what_the_tower_measured(tower):
    measured = turbulence(tower, SITE)
    estimated = turbulence(tower.drop_vars(["MO_LENGTH", "V_SIGMA"]), SITE)
    both = np.isfinite(measured["ol"]) & np.isfinite(estimated["ol"]) & (measured["ustar"] > 0.1)
    assert both.sum() > 30_000
    assert np.median((estimated["ol"] / measured["ol"])[both]) == pytest.approx(1.0, abs=0.1)
    unstable = both & (measured["ol"] < 0)
    assert np.nanmedian((estimated["sigmav"] / measured["sigmav"])[unstable]) == pytest.approx(1.1, abs=0.1)
    stable = both & (measured["ol"] > 0)
    assert np.nanmedian((estimated["sigmav"] / measured["sigmav"])[stable]) == pytest.approx(1.0, abs=0.1)


def test_footprint_of_a_real_year_and_what_the_estimates_change(tower):
    year = tower.sel(time="2015")
    centres = np.arange(-50, 51) * 10.0
    grid = {"x": centres, "y": centres[::-1]}
    measured = footprint_climatology(**turbulence(year, SITE), grid=grid)
    estimated = footprint_climatology(**turbulence(year.drop_vars(["MO_LENGTH", "V_SIGMA"]), SITE), grid=grid)
    counts = json.loads(measured.attrs["excluded"])
    daytime = int(json.loads(measured.attrs["notes"])["half-hours"].split()[0])
    assert measured.attrs["n"] + sum(counts.values()) == daytime
    assert measured.attrs["n"] > 4000
    assert 0.9 < measured.attrs["inside"] <= 1
    assert measured[:, 40:].sum() < measured[:, :61].sum()  # the Delta's wind is westerly: more lies to the west
    assert np.abs(measured - estimated).sum() < 0.2
