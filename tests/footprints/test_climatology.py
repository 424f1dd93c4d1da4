"""Climatologies against the authors' code and against exact pixel integrals; exclusions, errors."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
import rioxarray  # noqa: F401
import xarray as xr

from ecoembed.errors import FootprintError, GridError
from ecoembed.footprints.climatology import footprint_climatology
from ecoembed.footprints.kljun import scales
from tests.footprints.oracle import ffp_climatology, northerly_pixels, record


def square(half, step):
    """A grid of pixel centres whose middle pixel is the tower's; y descends, as in cubes."""
    centres = np.arange(-half, half + 1) * float(step)
    return {"x": centres, "y": centres[::-1]}


@pytest.mark.parametrize("direction", [0.0, 90.0, 217.0])
def test_weights_equal_the_authors_density_where_pixels_are_fine(direction):
    """With pixels of 0.05 m and a plume tens of m wide, a pixel's mean is its centre's value."""
    one = {"zm": 20.0, "z0": 0.1, "h": 2000.0, "ol": -100.0, "sigmav": 0.6, "ustar": 0.4}
    one["wind_dir"] = direction
    upwind = np.array([np.sin(np.radians(direction)), np.cos(np.radians(direction))]) * 84
    wide = {k: np.arange(min(0, v) - 2, max(0, v) + 2, 0.05) for k, v in zip("xy", upwind, strict=True)}
    weights = footprint_climatology(**one, grid=wide, x=0.0, y=0.0)
    theirs = ffp_climatology({k: [v] for k, v in one.items()}, wide["x"], wide["y"])
    np.testing.assert_allclose(weights.values / 0.05**2, theirs, rtol=0, atol=1e-6 * theirs.max())


@pytest.mark.parametrize("zm", [1.2, 2.5, 6, 20, 60])
@pytest.mark.parametrize("pixel", [10.0, 20.0])
@pytest.mark.parametrize("sigmav", [0.7, 2.8])
def test_weights_are_pixel_integrals_however_sharp_the_peak(zm, pixel, sigmav):
    """Against exact integrals: a tower of 1 m has its peak 4 m away, inside the tower's own pixel; with a crosswind
    as strong as the wind, the plume is a thin band across it."""
    one = {"zm": zm, "umean": 3.0, "h": 1000.0, "ol": -15 * zm, "sigmav": sigmav, "ustar": 0.3, "wind_dir": 0.0}
    grid = square(40, pixel)
    s, t = (float(v) for v in scales({k: np.asarray(v, float) for k, v in one.items()}))
    edges = (np.arange(-40, 42) - 0.5) * pixel
    exact = northerly_pixels(s, t, edges, edges)
    weights = footprint_climatology(**one, grid=grid)[::-1].values
    assert np.abs(weights - exact).max() < 3e-3 * exact.max()
    assert np.abs(weights - exact).sum() < 3e-3
    assert weights.sum() == pytest.approx(exact.sum(), abs=1e-3)


def test_the_sum_converges_to_the_whole_footprint_and_never_exceeds_it():
    one = {"zm": 2.5, "umean": 3.0, "h": 1000.0, "ol": -30.0, "sigmav": 0.7, "ustar": 0.3, "wind_dir": 45.0}
    sums = [float(footprint_climatology(**one, grid=square(n, 20.0)).sum()) for n in (5, 20, 100, 700)]
    assert sums == sorted(sums)
    assert 0.999 < sums[-1] <= 1


def test_one_tiny_footprint_does_not_make_a_wide_coarse_grid_fine_everywhere():
    """Far out a narrow plume has widened: only near the tower does it need a fine lattice."""
    n = 300
    winds = {"umean": np.r_[np.full(n, 4.0), 0.1], "ustar": np.r_[np.full(n, 0.4), 0.3]}
    spread = {"sigmav": np.r_[np.full(n, 0.6), 0.15], "wind_dir": np.linspace(0, 359, n + 1)}
    inputs = {"zm": 2.5, "h": 1000.0, "ol": -30.0, **winds, **spread, "grid": square(100, 30)}
    footprint_climatology(**inputs)  # makes the kernels, which are kept
    tracemalloc.start()
    weights = footprint_climatology(**inputs)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50 << 20  # 106 MiB with a lattice that stayed fine, and without bound on larger grids
    assert 0.99 < float(weights.sum()) < 1


def test_every_half_hour_left_out_is_counted_once_under_its_first_reason():
    inputs = record(10, 2.5)
    inputs["ustar"][0] = np.nan
    inputs["sigmav"][0] = inputs["sigmav"][1] = np.nan
    inputs["ustar"][2] = 0.05
    inputs["ol"][3] = -0.1
    inputs["wind_dir"][4] = 400
    weights = footprint_climatology(**inputs, grid=square(20, 10))
    excluded = json.loads(weights.attrs["excluded"])
    assert weights.attrs["n"] == 5
    assert excluded == {
        "sigmav not present": 1,
        "ustar not present": 1,
        "ol not such that zm / ol >= -15.5": 1,
        "ustar not > 0.1 m s-1": 1,
        "wind_dir not in 0 to 360 degree": 1,
    }
    kept = {k: v[5:] if isinstance(v, np.ndarray) else v for k, v in inputs.items()}
    xr.testing.assert_allclose(weights, footprint_climatology(**kept, grid=square(20, 10)))


def test_a_profile_without_solution_is_counted():
    inputs = {"zm": 300.0, "z0": 0.1, "h": 3000.0, "ol": [5000.5, 100.0], "sigmav": 0.6, "ustar": 0.4, "wind_dir": 0.0}
    weights = footprint_climatology(**inputs, grid=square(20, 50))
    assert weights.attrs["n"] == 1
    assert list(json.loads(weights.attrs["excluded"]).values()) == [1]


def test_no_valid_half_hour_is_an_error_with_counts():
    inputs = record(3, 2.5) | {"ustar": np.array([0.01, 0.02, np.nan])}
    with pytest.raises(FootprintError, match=r'"ustar not present": 1.*"ustar not > 0.1 m s-1": 2'):
        footprint_climatology(**inputs, grid=square(20, 10))
    empty = {k: v[:0] if isinstance(v, np.ndarray) else v for k, v in inputs.items()}
    with pytest.raises(FootprintError, match="0 half-hours"):
        footprint_climatology(**empty, grid=square(20, 10))


def test_absent_inputs_and_shapes_that_differ_are_errors():
    inputs = record(3, 2.5)
    with pytest.raises(FootprintError, match="wind_dir"):
        footprint_climatology(**inputs | {"wind_dir": None}, grid=square(20, 10))
    with pytest.raises(FootprintError, match="sigmav"):
        footprint_climatology(**inputs | {"sigmav": None}, grid=square(20, 10))
    with pytest.raises(FootprintError, match="different shapes"):
        footprint_climatology(**inputs | {"ustar": np.ones(4)}, grid=square(20, 10))


def test_a_grid_that_does_not_fit_is_an_error():
    inputs = record(3, 2.5)
    with pytest.raises(GridError, match=r"found x = 250.0 m; expected x between -205.0 and 205.0 m"):
        footprint_climatology(**inputs, grid=square(20, 10), x=250)
    with pytest.raises(GridError, match="not regular"):
        footprint_climatology(**inputs, grid={"x": np.array([0.0, 10, 30]), "y": np.arange(3.0)})
    with pytest.raises(GridError, match="no coordinate y"):
        footprint_climatology(**inputs, grid={"x": np.arange(3.0)})
    degrees = xr.DataArray(np.zeros((5, 5)), square(2, 1e-4), ("y", "x")).rio.write_crs("EPSG:4326")
    with pytest.raises(GridError, match="metres"):
        footprint_climatology(**inputs, grid=degrees)


def test_weights_keep_the_grids_coordinates_crs_and_notes():
    cube = xr.DataArray(np.zeros((2, 21, 21)), square(10, 10), ("time", "y", "x")).rio.write_crs("EPSG:32631")
    weights = footprint_climatology(**record(3, 2.5), grid=cube, x=7.0, y=-3.0, notes={"h": "estimated"})
    assert weights.dims == ("y", "x")
    xr.testing.assert_equal(weights["x"], cube["x"])
    xr.testing.assert_equal(weights["y"], cube["y"])
    assert weights.rio.crs == cube.rio.crs
    assert (weights.attrs["tower_x"], weights.attrs["tower_y"]) == (7.0, -3.0)
    assert json.loads(weights.attrs["notes"]) == {"h": "estimated"}
    assert weights.attrs["inside"] == pytest.approx(float(weights.sum()), abs=1e-12)
