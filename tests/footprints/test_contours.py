"""Source-area contours against analytical ones, against the authors' code, and against their own weights."""

from __future__ import annotations

from itertools import pairwise

import geopandas as gpd
import numpy as np
import pytest
import rioxarray  # noqa: F401
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf

from ecoembed.errors import FootprintError
from ecoembed.footprints.climatology import footprint_climatology
from ecoembed.footprints.contours import source_area
from ecoembed.footprints.extents import fixed_radius
from tests.footprints.oracle import ffp, record
from tests.footprints.test_climatology import square


def gaussian(sigma_x, sigma_y, x=0.0, y=0.0, half=60, pixel=10.0):
    """Exact pixel integrals of a normal density around (x, y)."""
    edges = (np.arange(-half, half + 2) - 0.5) * pixel
    along, across = (np.diff(erf((edges - at) / np.sqrt(2) / s)) / 2 for at, s in ((x, sigma_x), (y, sigma_y)))
    grid = square(half, pixel)
    return xr.DataArray(across[::-1, None] * along, grid, ("y", "x"))


def enclosed(weights, polygon):
    """Weights times their pixels' overlap with a polygon."""
    x, y = np.meshgrid(weights["x"], weights["y"])
    half = abs(float(weights["x"][1] - weights["x"][0])) / 2
    pixels = shapely.box(x - half, y - half, x + half, y + half)
    shapely.prepare(polygon)
    shares = shapely.contains(polygon, pixels).astype(float)
    cut = shapely.intersects(polygon, pixels) & (shares == 0)
    shares[cut] = shapely.area(shapely.intersection(pixels[cut], polygon)) / (2 * half) ** 2
    return float((weights.values * shares).sum())


@pytest.mark.parametrize(("sigma", "within"), [(20, 0.045), (40, 0.006), (80, 0.002), (120, 0.001)])
def test_a_gaussian_has_its_analytical_radius(sigma, within):
    """The normal density encloses p within sigma sqrt(-2 ln(1 - p))."""
    areas = source_area(gaussian(sigma, sigma), (0.1, 0.5, 0.8, 0.9))
    radius = sigma * np.sqrt(-2 * np.log(1 - areas["share"]))
    np.testing.assert_allclose(np.sqrt(areas["area_m2"] / np.pi), radius, rtol=within)
    np.testing.assert_allclose(areas.geometry[2].bounds, np.array([-1, -1, 1, 1]) * radius[2], rtol=2 * within)


def test_an_ellipse_off_the_centre():
    polygon = source_area(gaussian(90.0, 45.0, x=33.0, y=-71.0), [0.5]).geometry[0]
    radius = np.sqrt(-2 * np.log(0.5))
    expected = [33 - 90 * radius, -71 - 45 * radius, 33 + 90 * radius, -71 + 45 * radius]
    np.testing.assert_allclose(polygon.bounds, expected, atol=1.0)
    assert polygon.centroid.x == pytest.approx(33, abs=0.1)
    assert polygon.centroid.y == pytest.approx(-71, abs=0.1)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2.5, 6.0, 15.0]), st.sampled_from(["kljun", "kormann"]))
def test_areas_are_nested_and_enclose_their_share_of_the_whole_footprint(seed, zm, model):
    weights = footprint_climatology(**record(30, zm, seed), grid=square(40, 25), model=model)
    areas = source_area(weights, (0.2, 0.5, 0.8))
    for share, area, reason, polygon in zip(
        *(areas[c] for c in ("share", "area_m2", "reason", "geometry")), strict=True
    ):
        if polygon is None:
            assert reason is not None
            assert np.isnan(area)
            continue
        assert reason is None
        assert polygon.is_valid
        assert polygon.area == area
        assert enclosed(weights, polygon) == pytest.approx(share, abs=0.5 * float(weights.max()) + 1e-3)
    drawn = areas[areas["reason"].isna()].geometry
    assert all(b.buffer(1e-6).covers(a) for a, b in pairwise(drawn))


def test_the_share_is_of_the_whole_footprint_not_of_what_the_grid_holds():
    whole, cut = (gaussian(80.0, 80.0, half=n) for n in (60, 16))
    assert float(cut.sum()) < 0.94
    areas = source_area(cut, (0.5, 0.8, 0.95))
    np.testing.assert_allclose(areas["area_m2"][:2], source_area(whole)["area_m2"], rtol=1e-6)
    assert areas.geometry[2] is None
    assert areas["reason"][2] == f"the grid holds {100 * float(cut.sum()):.1f} % of the footprint"


def test_a_contour_that_the_grid_cuts_is_not_drawn():
    beside = gaussian(40.0, 40.0, x=100.0, half=14)
    areas = source_area(beside, (0.3, 0.8))
    assert areas["reason"].isna().tolist() == [True, False]
    assert areas["reason"][1] == "the 80 % contour reaches the grid's edge"
    assert areas.geometry[1] is None


def test_two_winds_make_two_parts_and_all_winds_a_ring():
    one = {"zm": 20.0, "umean": 4.0, "h": 1500.0, "ol": -100.0, "sigmav": 0.3, "ustar": 0.4}
    two = source_area(footprint_climatology(**one, wind_dir=[90.0, 270.0], grid=square(60, 10)), [0.5]).geometry[0]
    assert len(two.geoms) == 2
    ring = source_area(footprint_climatology(**one, wind_dir=np.arange(0.0, 360), grid=square(60, 10)), [0.3])
    (part,) = ring.geometry[0].geoms
    assert len(part.interiors) == 1
    assert not part.contains(shapely.Point(0, 0))
    assert ring["area_m2"][0] < shapely.Polygon(part.exterior).area


def test_a_fixed_extent_has_no_contour():
    areas = source_area(fixed_radius(square(20, 10), 120.0))
    assert areas["area_m2"].isna().all()
    assert set(areas["reason"]) == {"a fixed extent weighs evenly: no contour within it"}


@pytest.mark.parametrize("driver", ["GPKG", "GeoJSON"])
def test_areas_are_written_in_longitude_and_latitude(tmp_path, driver):
    weights = gaussian(80.0, 80.0, half=30)
    weights = weights.assign_coords(x=weights["x"] + 500_000, y=weights["y"] + 5_600_000).rio.write_crs("EPSG:32631")
    areas, path = source_area(weights, (0.5, 0.9999)), tmp_path / f"area.{driver.lower()}"
    assert areas.crs == weights.rio.crs
    areas.to_crs("EPSG:4326").to_file(path, driver=driver)
    read = gpd.read_file(path)
    assert read.crs.to_epsg() == 4326
    lon, lat = read.geometry[0].centroid.coords[0]
    assert (lon, lat) == (pytest.approx(3.0, abs=1e-3), pytest.approx(50.55, abs=1e-2))
    assert read["area_m2"][0] == pytest.approx(read.geometry[:1].to_crs("EPSG:32631").area[0], rel=1e-4)
    assert read.geometry[1] is None
    assert "holds" in read["reason"][1] or "edge" in read["reason"][1]


def test_axes_may_run_either_way():
    down = gaussian(50.0, 30.0, x=40.0, y=80.0)
    up = source_area(down[::-1])
    assert shapely.equals_exact(up.geometry.values, source_area(down).geometry.values, 1e-9).all()


@pytest.mark.parametrize(
    "inputs",
    [
        {"zm": 20.0, "h": 2000.0, "ol": -100.0, "sigmav": 0.6, "ustar": 0.4, "umean": 4.0},
        {"zm": 3.0, "h": 1000.0, "ol": -20.0, "sigmav": 0.5, "ustar": 0.3, "umean": 2.5},
        {"zm": 40.0, "h": 900.0, "ol": 400.0, "sigmav": 0.7, "ustar": 0.35, "umean": 5.0},
        {"zm": 10.0, "h": 1200.0, "ol": -5000.0, "sigmav": 0.9, "ustar": 0.5, "umean": 5.0},
    ],
)
def test_areas_agree_with_the_authors_contours(inputs):
    """Wind from the north, on pixels of a twelfth of the peak's distance; 2 % for the pixels and for their steps."""
    theirs = ffp(**inputs, rs=[0.5, 0.8], nx=2000)
    pixel = theirs["x_ci_max"] / 12
    x, y = np.arange(-90, 91) * pixel, np.arange(-20, 240) * pixel
    weights = footprint_climatology(**inputs, wind_dir=0.0, grid={"x": x, "y": y}, x=0.0, y=0.0)
    areas = source_area(weights, (0.5, 0.8))
    for i, area in enumerate(areas["area_m2"]):
        contour = shapely.Polygon(np.column_stack([theirs["xr"][i], theirs["yr"][i]]))
        assert area == pytest.approx(contour.area, rel=0.02)
        ours = areas.geometry[i].bounds
        assert ours[3] == pytest.approx(contour.bounds[2], rel=0.02)


def test_what_is_no_single_footprint_or_no_share_is_refused():
    weights = gaussian(80.0, 80.0)
    with pytest.raises(FootprintError, match=r"sel\(month=7\)"):
        source_area(weights.expand_dims(month=[1, 2]))
    with pytest.raises(FootprintError, match="between 0 and 1"):
        source_area(weights, (0.5, 80))
