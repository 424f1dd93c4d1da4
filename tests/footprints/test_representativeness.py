"""Does the footprint stand for its surroundings, and how far does it move with the tower's coordinates?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoembed import open_cube, read_sites
from ecoembed.archives.flux.reader import open_halfhours
from ecoembed.errors import VariableError
from ecoembed.footprints.climatology import footprint_climatology
from ecoembed.footprints.extents import fixed_radius
from ecoembed.footprints.extract import extract
from ecoembed.footprints.jitter import jitter, shifted
from ecoembed.footprints.representativeness import representativeness
from ecoembed.footprints.tower import tower_footprint


def cube(values, bands=("B04", "B08")):
    """A cube of 10 m pixels from values (time, band, y, x)."""
    times, _, n, m = values.shape
    coords = {
        "time": pd.date_range("2020-05-01T10:30", periods=times, freq="10D").astype("datetime64[ns]"),
        "band": list(bands),
        "y": 5_000_000.0 - 10 * np.arange(n),
        "x": 400_000.0 + 10 * np.arange(m),
    }
    attrs = {"sensor": "S2_L2A", "units": "1", "site": "XX-T01"}
    return xr.DataArray(values.astype("float32"), coords, ("time", "band", "y", "x"), attrs=attrs)


def two_halves(n=61, times=4):
    """NDVI 0.8 in the west and 0.4 in the east, the east growing by 0.1 a date."""
    ndvi = np.where(np.arange(n) < n // 2 + 1, 0.8, 0.4 + 0.1 * np.arange(times)[:, None, None] * np.ones((n, 1)))
    total = 0.5
    return cube(np.stack([total * (1 - ndvi) / 2, total * (1 + ndvi) / 2], axis=1)), ndvi


def westerly(grid):
    return footprint_climatology(
        zm=3, umean=3.0, h=900, ol=-30, sigmav=0.5, ustar=0.35, wind_dir=[250, 270, 290], grid=grid
    )


def test_bias_is_the_weighted_mean_less_the_areas():
    scene, ndvi = two_halves()
    weights = westerly(scene)
    found = representativeness(scene, weights, radii=[100, 250, 1000])
    assert list(found["target"].values) == ["100 m", "250 m", "cube"]  # 1000 m do not fit
    for date, field in enumerate(ndvi):
        own = float((weights.values * field).sum() / weights.values.sum())
        assert found["footprint"][date] == pytest.approx(own, abs=1e-6)
        assert found["area"].sel(target="cube")[date] == pytest.approx(field.mean(), abs=1e-6)
        assert found["spread"].sel(target="cube")[date] == pytest.approx(field.std(), abs=1e-4)
        disc = fixed_radius(scene, 100).values
        assert found["area"].sel(target="100 m")[date] == pytest.approx((disc * field).sum(), abs=1e-6)
    whole = found.sel(target="cube")
    expected = float(whole["footprint"].mean() - whole["area"].mean())
    assert whole["mean_bias"] == pytest.approx(expected, abs=1e-12)
    assert expected > 0.1  # it sees the greener half
    assert whole["location_bias"] == pytest.approx(expected / whole["area"].mean().item(), abs=1e-9)
    assert whole["bias_in_spreads"] == pytest.approx(expected / whole["spread"].mean().item(), abs=1e-9)
    assert (found.attrs["feature"], found["bias"].attrs["units"]) == ("NDVI", "1")


def test_a_uniform_place_is_represented_exactly():
    scene = cube(np.stack([np.full((3, 41, 41), 0.05), np.full((3, 41, 41), 0.4)], axis=1))
    found = representativeness(scene, westerly(scene), radii=[100])
    np.testing.assert_allclose(found["bias"], 0, atol=1e-7)


def test_dates_that_show_too_little_are_missing_and_counted():
    scene, _ = two_halves()
    scene[1, :, :, :40] = np.nan  # the footprint's side
    scene[2, 0, 31:] = np.nan
    scene[2, 0, :10] = np.nan  # most of the cube, not the footprint
    found = representativeness(scene, westerly(scene), radii=[100])
    assert list(found["n"].sel(target=["100 m", "cube"]).values) == [3, 2]
    assert np.isnan(found["bias"].sel(target="cube").values[[1, 2]]).all()
    whole = found.sel(target="cube")
    both = ~np.isnan(whole["bias"])
    assert whole["location_bias"] == pytest.approx(float(whole["mean_bias"] / whole["area"].where(both).mean()))


def test_any_index_of_one_band_and_refusal_of_others():
    scene, _ = two_halves()
    index = scene.isel(band=[0]).assign_coords(band=["EVI"])
    assert representativeness(index, westerly(scene)).attrs["feature"] == "EVI"
    with pytest.raises(VariableError, match=r"XX-T01: no NDVI in this cube \(found z1, z2"):
        representativeness(scene.assign_coords(band=["z1", "z2"]), westerly(scene))


@settings(max_examples=40, deadline=None)
@given(
    east=st.floats(-60, 60),
    north=st.floats(-60, 60),
    flips=st.tuples(st.booleans(), st.booleans()),
)
def test_a_moved_footprint_is_the_one_of_a_moved_tower(east, north, flips):
    """A disc is moved by 0 to 6 pixels: nothing is lost, its centre moves exactly, and its pixels nearly."""
    x, y = 400_000 + np.arange(-300.0, 301, 10), 5_000_000 + np.arange(-300.0, 301, 10)
    grid = {"x": x[:: -1 if flips[0] else 1], "y": y[:: -1 if flips[1] else 1]}
    moved = shifted(fixed_radius(grid, 150), east, north)
    assert float(moved.sum()) == pytest.approx(1, abs=1e-12)
    assert (moved.values >= 0).all()
    for name, by in (("x", east), ("y", north)):
        centre = float((moved * moved[name]).sum() - grid[name].mean())
        assert centre == pytest.approx(by, abs=1e-6)
    exact = fixed_radius(grid, 150, x=grid["x"].mean() + east, y=grid["y"].mean() + north)
    assert np.abs(moved - exact).sum() < 0.05
    assert moved.attrs["tower_x"] == pytest.approx(exact.attrs["tower_x"])


def test_whole_pixels_are_moved_exactly_and_back():
    scene, _ = two_halves()
    weights = westerly(scene)
    moved = shifted(weights, 30.0, -20.0)
    np.testing.assert_array_equal(moved.values[2:, 3:], weights.values[:-2, :-3])
    assert not moved.values[:2].any()
    assert not moved.values[:, :3].any()
    assert moved.attrs["inside"] == pytest.approx(float(moved.sum()))
    stacked = xr.concat([weights, weights[::-1].assign_coords(y=weights["y"])], pd.Index([1, 2], name="month"))
    np.testing.assert_allclose(shifted(stacked, 7.0, 11.0)[0], shifted(weights, 7.0, 11.0))


def test_jitter_by_hand():
    """On a plane that rises to the east, moving 30 m changes the value by the slope times what lies east."""
    slope, times = 0.001, np.array([1.0, 2.0, 4.0])
    x = 10 * np.arange(61)
    plane = np.stack([np.tile(a * slope * x, (61, 1)) for a in times])
    scene = cube(np.stack([plane, np.full_like(plane, 0.2)], axis=1))
    disc = fixed_radius(scene, 100)
    found = jitter(scene, disc)
    east = np.sin(np.radians(found["direction"].values))
    change = 30 * slope * np.abs(east)[:, None] * times
    np.testing.assert_allclose(found["mean_change"].sel(feature="B04"), change.mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(found["max_change"].sel(feature="B04"), change.max(axis=1), atol=1e-6)
    sd = (300 * slope * times).std()
    assert found["sd"].sel(feature="B04") == pytest.approx(sd, rel=1e-5)
    np.testing.assert_allclose(found["relative_mean"].sel(feature="B04"), change.mean(axis=1) / sd, atol=1e-4)
    np.testing.assert_allclose(found["mean_change"].sel(feature="B08"), 0, atol=1e-7)
    assert np.isnan(found["relative_max"].sel(feature="B08")).all()  # which does not vary
    assert (found["n"] == 3).all()
    np.testing.assert_allclose(jitter(scene, disc, distance=0.0)["max_change"], 0, atol=1e-12)


def test_thirty_metres_on_a_virtual_site(network):
    """Moved by its weights, a footprint gives what the tower would that stands there; and the series moves."""
    site, scene = read_sites(network / "sites.csv").loc["XX-V01"], open_cube(network / "satellite" / "XX-V01")
    halfhours = open_halfhours(next((network / "flux").glob("*XX-V01*.zip")))
    weights = tower_footprint(site, halfhours, scene)
    found = jitter(scene, weights)
    base = extract(scene, weights)["value"]
    moved = footprint_moved_north(site, halfhours, scene, 30.0)
    change = np.abs(extract(scene, moved)["value"] - base).mean("time")
    approximate = found["mean_change"].sel(direction=0.0)
    np.testing.assert_allclose(approximate, change, atol=0.25 * float(found["mean_change"].max()))
    assert 0.02 < float(found["relative_mean"].max()) < 2
    assert (found["max_change"] >= found["mean_change"]).all()


def footprint_moved_north(site, halfhours, scene, metres):
    from ecoembed.cubes.grid import tower_position, true_north
    from ecoembed.footprints.turbulence import turbulence

    x, y = tower_position(scene, site["latitude"], site["longitude"])
    north = true_north(scene.rio.crs, site["latitude"], site["longitude"])
    return footprint_climatology(**turbulence(halfhours, site, north=north), grid=scene, x=x, y=y + metres)
