"""Pictures of an embedding: colours that mean the same on every date, and true colour of the date that is named."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoembed.cubes.store import load_cube, save_cubes
from ecoembed.embeddings.pictures import maps
from ecoembed.embeddings.pictures.colours import fit_colours
from ecoembed.embeddings.pictures.maps import dates_picture, save_picture, season_strip
from ecoembed.errors import ConfigError, GridError, TableError
from tests.embeddings.conftest import make_cube

ATTRS = {"sensor": "embedding", "units": "1", "weights": "0123456789abcdef", "window": "centred"}


def embedding(s2: xr.DataArray, seed: int = 0) -> xr.DataArray:
    """Seven mixtures of the bands."""
    mixing = np.random.default_rng(seed).normal(size=(7, 10)).astype("f4")
    z = np.einsum("db,tbyx->tdyx", mixing, s2.values)
    coords = {"time": s2["time"], "band": [f"z{i + 1}" for i in range(7)], "y": s2["y"], "x": s2["x"]}
    return xr.DataArray(z, coords, s2.dims, attrs={"site": "XX-T00", **ATTRS}).rio.write_crs(s2.rio.crs)


def with_error(z: xr.DataArray) -> xr.DataArray:
    """Embedded on chosen dates: nothing is missing, and a band tells the expected error, 0.01 in all of it."""
    error = xr.full_like(z[:, :1], 0.01).assign_coords(band=["error"])
    both = xr.concat([z.fillna(0.0), error], "band").transpose(*z.dims)
    return both.assign_attrs(**z.attrs, error_unit="reflectance").rio.write_crs(z.rio.crs)


@pytest.fixture(scope="module")
def z(s2):
    return embedding(s2)


@pytest.fixture
def drawn(monkeypatch):
    """The figure that was drawn last."""
    seen, png, save = [], maps.figure_png, maps.save_figure
    monkeypatch.setattr(maps, "figure_png", lambda figure, *how: seen.append(figure) or png(figure, *how))
    monkeypatch.setattr(maps, "save_figure", lambda figure, *how: seen.append(figure) or save(figure, *how))
    return lambda: seen[-1]


def titles(figure):
    return [axis.get_title() for axis in figure.axes if axis.get_title()]


def test_the_same_embedding_is_the_same_colour_on_every_date_and_in_both_pictures(s2, z, drawn):
    twin = z.copy()
    days = [str(t)[:10] for t in twin["time"].values[[3, 20]]]
    twin[20] = twin[3] = twin[3].fillna(0.0)
    seen = s2.fillna(0.1)
    dates_picture(twin, seen, dates=days)
    first, second = (axis.images[0].get_array() for axis in drawn().axes[2:4])
    np.testing.assert_array_equal(first, second)
    season_strip(twin, seen, row=5)
    strip = drawn().axes[1].collections[0].get_array()  # (x, time and gaps, rgb)
    np.testing.assert_array_equal(strip[:, 2 * 3], first[5])
    np.testing.assert_array_equal(strip[:, 2 * 20], first[5])


def test_colours_hold_most_of_what_a_pca_holds(z):
    from sklearn.decomposition import PCA

    values = z.transpose("time", "y", "x", "band").values.reshape(-1, 7)
    values = values[np.isfinite(values).all(axis=1)]
    every = PCA(3).fit(values)
    colours = fit_colours(z)  # of a part of the dates
    np.testing.assert_allclose(colours.shares, every.explained_variance_ratio_, atol=0.02)
    assert abs(colours.axes[:, 0] @ every.components_[0]) > 0.999
    np.testing.assert_allclose(np.linalg.norm(colours.axes, axis=0), 1)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_signs_are_no_chance_and_colours_use_each_channel(seed, flip):
    """Colours of -z are the complement; those of z in another order of its dimensions are the same."""
    cube = make_cube("S2_L2A", n=4, side=12, seed=seed % 50)
    z = embedding(cube, seed)
    colours = fit_colours(z)
    assert (colours.axes[np.abs(colours.axes).argmax(axis=0), range(3)] > 0).all()
    image = z.transpose("time", "y", "x", "band").values
    rgb = colours.rgb(image)
    valid = np.isfinite(image).all(axis=-1)
    assert rgb.min() >= 0
    assert rgb.max() <= 1
    assert (rgb[~valid] == 0.75).all()
    assert (np.ptp(rgb[valid], axis=0) == 1).all()
    order = np.random.default_rng(seed).permutation(7)
    other = z.copy(data=z.values[:, order] * (-1 if flip else 1))
    again = fit_colours(other).rgb(other.transpose("time", "y", "x", "band").values)
    np.testing.assert_allclose(again[valid], 1 - rgb[valid] if flip else rgb[valid], atol=2e-3)


def test_dates_are_clear_ones_of_one_year_in_their_order(s2, z, drawn):
    cloudy = s2.copy()
    cloudy[:25, :, :15] = np.nan  # three quarters of these dates
    assert dates_picture(z, cloudy, n=3).startswith(b"\x89PNG")
    days = [np.datetime64(title) for title in titles(drawn())]
    assert len(days) == 3
    assert days == sorted(days)
    assert set(days) <= set(s2["time"].values[25:].astype("datetime64[D]"))


def test_true_colour_of_another_date_is_named(s2, z, drawn):
    cloudy = s2.fillna(0.1)
    cloudy[10, :, :15] = np.nan
    asked, near = (str(s2["time"].values[i])[:10] for i in (10, 9))
    dates_picture(with_error(z), cloudy, dates=[asked, near])
    assert titles(drawn()) == [near, f"{asked}\n(true colour: {near})"]
    optical = [axis.images[0].get_array() for axis in drawn().axes[:2]]
    np.testing.assert_array_equal(*optical)


def test_the_expected_error_has_one_scale_and_its_unit(s2, z, drawn, tmp_path):
    save_picture(with_error(z), s2, tmp_path / "a.png")
    limits = [axis.images[0].get_clim() for axis in drawn().axes if axis.images and axis.images[0].colorbar]
    limits += [c.get_clim() for axis in drawn().axes for c in axis.collections if c.colorbar]
    assert len(limits) == 2
    np.testing.assert_allclose(limits, [(0, 0.01)] * 2, rtol=1e-5)
    assert [axis.get_ylabel() for axis in drawn().axes].count("expected error (reflectance)") == 2


def test_of_few_dates_the_page_is_their_maps_and_no_room_is_left_for_a_line_through_time(s2, z, drawn, tmp_path):
    for n in (1, 3, 4):
        save_picture(with_error(z)[:n], s2, tmp_path / "a.png")
        assert sum(bool(axis.images) for axis in drawn().axes) == 3 * n
        assert all(axis.get_visible() for axis in drawn().axes)
        assert any("the line from west to east" in title for title in titles(drawn())) == (n == 4)


def test_the_strip_stands_on_a_true_time_axis(s2, z, drawn):
    some = z.isel(time=[0, 1, 2, 10, 11])  # 5 days apart, then 40
    season_strip(some, s2)
    mesh = drawn().axes[1].collections[0]
    edges = mesh.get_coordinates()[0, :, 0]
    days = (some["time"].values - np.datetime64("1970-01-01")) / np.timedelta64(1, "D")
    np.testing.assert_allclose((edges[::2] + edges[1::2]) / 2, days, atol=0.01)
    np.testing.assert_allclose(np.diff(edges)[::2], 5, atol=0.01)
    assert (mesh.get_array()[:, 5] == 0.75).all()  # the 35 days between
    assert drawn().axes[1].get_ylim() == (0, 200)
    assert "95 m south of the northern edge" not in titles(drawn())[0]
    assert "105 m south of the northern edge" in titles(drawn())[0]


def test_a_lazy_cube_gives_the_same_picture(s2, z, tmp_path):
    save_cubes({"S2_L2A": s2, "embeddings": z}, tmp_path / "a.zarr")
    lazy = [load_cube(tmp_path / "a.zarr", group, lazy=True) for group in ("embeddings", "S2_L2A")]
    assert all(cube.chunks for cube in lazy)
    assert dates_picture(*lazy) == dates_picture(z, s2)
    assert all(cube.chunks for cube in lazy)


def test_a_wide_place_is_shown_as_means_over_blocks(s2, monkeypatch, drawn):
    from ecoembed.embeddings.pictures import panels

    monkeypatch.setattr(panels, "_SIDE", 10)
    seen = s2.fillna(0.2)
    wide = embedding(seen)
    dates_picture(wide, seen, dates=[wide["time"].values[4]])
    blocks = wide[4].coarsen(x=2, y=2).mean().transpose("y", "x", "band").values
    np.testing.assert_allclose(drawn().axes[1].images[0].get_array(), fit_colours(wide).rgb(blocks), atol=1e-5)
    assert drawn().axes[1].images[0].get_extent() == [0, 200, 0, 200]


def test_what_cannot_be_drawn_is_refused_before_anything_is_written(s2, z, tmp_path):
    with pytest.raises(ConfigError, match=r"a\.jpg: not a picture's file"):
        save_picture(z, s2, tmp_path / "a.jpg")
    with pytest.raises(GridError, match="different grids"):
        save_picture(z, s2.assign_coords(x=s2["x"] + 10), tmp_path / "a.png")
    with pytest.raises(TableError, match=r"no date clear enough for a picture \(found 25 % at most, on 30 dates"):
        save_picture(z, s2.fillna(0.1).where(s2["y"] < s2["y"][14]), tmp_path / "a.png")
    with pytest.raises(TableError, match=r"no embedding on 2020-01-02 \(found 2020-01-01 as the nearest"):
        save_picture(z, s2, tmp_path / "a.png", dates=["2020-01-02"])
    with pytest.raises(ConfigError, match="not a date"):
        dates_picture(z, s2, dates=["2020-13-01"])
    with pytest.raises(ConfigError, match="expected 1 to 8"):
        dates_picture(z, s2, dates=z["time"].values[:9])
    with pytest.raises(TableError, match="0 valid pixels"):
        season_strip(z.where(False), s2)
    with pytest.raises(GridError, match="no such row"):
        season_strip(z, s2, row=20)
    assert not list(tmp_path.iterdir())


def test_pictures_need_no_torch():
    names = "ecoembed.validation.report.pictures", "ecoembed.embeddings.pictures.figures"
    code = f"import sys, {', '.join(names)}; print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "False"
