"""An embedding on any date, cloudy ones too, from any sensors of the model, with its expected error."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoembed.cubes.store import load_cube, save_cubes
from ecoembed.embeddings import codes, encode, parts
from ecoembed.errors import ConfigError, EcoembedError, TableError, VariableError
from ecoembed.schema import check_embedding_cube

from .conftest import make_cube, make_encoder
from .plain import embedded

DAY = np.timedelta64(1, "D")
BANDS = [*(f"z{i}" for i in range(1, 8)), "error"]
WINDOWS = st.sampled_from(["centred", "causal"])


def days(first: str, last: str) -> np.ndarray:
    return np.arange(first, last, dtype="datetime64[D]")


@pytest.fixture(scope="module")
def daily(encoder, s2, s1):
    return {w: encoder.encode(s2, s1, dates=days("2020-01-03", "2020-03-20"), window=w) for w in ("centred", "causal")}


def test_every_day_has_an_embedding_with_its_error(daily, s2):
    z = check_embedding_cube(daily["centred"])
    assert list(z["band"].values) == BANDS
    assert z.attrs["error_unit"] == "reflectance"
    assert z.attrs["window"] == "centred"
    assert np.isfinite(z.values).all()
    assert (z.sel(band="error").values > 0).all()
    asked = days("2020-01-03", "2020-03-20")
    passed = {str(t)[:10]: t for t in s2["time"].values}
    assert (z["time"].values == [passed.get(str(d), d.astype("datetime64[ns]")) for d in asked]).all()


@pytest.mark.parametrize("window", ["centred", "causal"])
def test_where_the_date_was_clear_it_is_the_embedding_of_that_acquisition(encoder, daily, s2, s1, window):
    own = encoder.encode(s2, s1, window=window).sel(time=slice("2020-01-03", "2020-03-19"))
    same = daily[window].sel(band=BANDS[:7], time=own["time"].values)
    np.testing.assert_allclose(same.where(np.isfinite(own)), own, atol=1e-6)
    # under cloud there is one, too
    assert np.isnan(own.values).any()
    assert np.isfinite(same.values).all()


@settings(max_examples=40, deadline=None)
@given(
    day=st.floats(-30, 190),
    y=st.integers(0, 5),
    x=st.integers(0, 5),
    window=WINDOWS,
    seed=st.integers(0, 50),
    cloud=st.sampled_from([0.2, 0.9]),
    left_out=st.sampled_from([(), ("S1",), ("HLS",), ("S2_L2A",), ("S2_L2A", "HLS")]),
    snap=st.booleans(),
)
def test_the_numbers_are_those_of_the_pixels_own_patches(three, day, y, x, window, seed, cloud, left_out, snap):
    """Its 11 x 15 x 15 values, one by one, through the layers as training calls them."""
    every, n = {"S2_L2A": 5.0, "S1": 6.0, "HLS": 8.0}, {"S2_L2A": 30, "S1": 25, "HLS": 14}
    cubes = {
        name: make_cube(name, n=n[name], every=every[name], side=6, seed=seed, cloud=cloud)
        for name in every
        if name not in left_out
    }
    when = np.datetime64("2020-01-01", "ns") + np.timedelta64(round(day * 86_400), "s")
    if snap and "S2_L2A" in cubes:
        when = cubes["S2_L2A"]["time"].values[int(np.clip(day / 5, 0, 29))]
    given = cubes.get("S2_L2A"), cubes.get("S1"), [cubes["HLS"]] if "HLS" in cubes else []
    try:
        z = three.encode(*given[:2], dates=[when], more=given[2], window=window)
    except ConfigError:
        assert np.isnan(embedded(three, cubes, when, y, x, window)).all()
        return
    expected = embedded(three, cubes, z["time"].values[0], y, x, window)
    np.testing.assert_allclose(z.values[0, :, y, x], expected, atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def three():
    return make_encoder("S2_L2A", "S1", "HLS", error_calibration=((0.0, 0.01), (1.0, 0.5), (2.0, 3.0)))


def test_a_frame_in_which_nothing_is_seen_changes_no_other_date(encoder, s2, s1, daily):
    when = s2["time"].values[12] + 2 * DAY
    nothing = s2[:1].assign_coords(time=[when]).where(False).astype("float32")
    with_it = xr.concat([s2[:13], nothing, s2[13:]], "time").assign_attrs(s2.attrs)
    z = encoder.encode(with_it, s1)
    assert np.isnan(z.values[13]).all()
    np.testing.assert_allclose(z.drop_sel(time=when), encoder.encode(s2, s1), atol=1e-6)
    asked = days("2020-01-03", "2020-03-20")
    np.testing.assert_allclose(encoder.encode(with_it, s1, dates=asked), daily["centred"], atol=1e-6)


@settings(max_examples=6, deadline=None)
@given(cut=st.integers(3, 28), seed=st.integers(0, 99))
def test_causal_dates_never_change_when_later_frames_do(encoder, s2, s1, daily, cut, seed):
    """Not even when they vanish."""
    when = s2["time"].values[cut]
    later = np.random.default_rng(seed).choice([0.05, 0.9, np.nan])
    changed = s2.where(s2["time"] <= when, later).astype("float32")
    radar = s1.where(s1["time"] <= when, -28.0).astype("float32")
    asked = days("2020-01-03", min(str(when)[:10], "2020-03-20"))[-12:]
    z = encoder.encode(changed, radar, dates=asked, window="causal")
    assert z.identical(encoder.encode(changed.sel(time=slice(None, when)), radar, dates=asked, window="causal"))
    np.testing.assert_allclose(z, daily["causal"].sel(time=z["time"]), atol=1e-6)


@pytest.mark.parametrize("s1_seen", [True, False])
def test_missing_only_where_no_sensor_saw_the_pixel_in_the_whole_window(encoder, s2, s1, s1_seen):
    hole = s2.copy(deep=True)
    hole.values[:, :, 3:6, 3:6] = np.nan
    radar = s1 if s1_seen else s1.where((s1["x"] != s1["x"][4]) | (s1["y"] != s1["y"][4])).astype("float32")
    z = encoder.encode(hole, radar, dates=["2020-02-02", "2020-03-01"])
    empty = np.zeros((20, 20), dtype=bool)
    empty[4, 4] = not s1_seen
    assert (np.isnan(z.values) == empty).all()


def test_before_the_first_and_after_the_last_acquisition_as_far_as_a_window_reaches(encoder, s2, s1):
    first, last = s2["time"].values[[0, -1]]
    z = encoder.encode(s2, s1, dates=[first - 250 * DAY, first - 150 * DAY, last + 150 * DAY, last + 250 * DAY])
    assert z.attrs["dates_without"] == 2
    assert (np.isfinite(z.values).all(axis=(1, 2, 3)) == [False, True, True, False]).all()
    assert np.isnan(z["s1_gap"].values).all()
    past = encoder.encode(s2, s1, dates=[first - 2 * DAY, last + 2 * DAY], window="causal")
    assert past.attrs["dates_without"] == 1
    assert (np.isfinite(past.values).all(axis=(1, 2, 3)) == [False, True]).all()
    with pytest.raises(
        ConfigError, match=r"no acquisition in reach of any date.*200 days of 2020-01-01 to 2020-05-30"
    ) as e:
        encoder.encode(s2, s1, dates=["2023-01-01"])
    assert "XX-T00" in str(e.value)


def test_without_sentinel_2_where_another_sensor_passed_near(encoder, s1):
    z = encoder.encode(None, s1, dates=days("2020-01-05", "2020-01-20"))
    assert np.isfinite(z.values).all()
    assert np.abs(z["s1_gap"]).max() <= 3.1
    late = s1["time"].values[-1] + 9 * DAY
    mixed = encoder.encode(None, s1, dates=[*z["time"].values, late])
    assert np.isnan(mixed.values[-1]).all()
    with pytest.raises(ConfigError, match="without S2_L2A there are no dates"):
        encoder.encode(None, s1)
    with pytest.raises(TableError, match="no acquisition of any sensor"):
        encoder.encode(None, None, dates=["2020-01-05"])


def test_a_third_sensor_enters_and_may_be_missing(three, s2, s1):
    hls = make_cube("HLS", n=20, every=8.0)
    without, with_it = three.encode(s2, s1), three.encode(s2, s1, more=[hls])
    assert (np.isfinite(without.values) == np.isfinite(with_it.values)).all()
    assert np.nanmax(np.abs(without.values - with_it.values)) > 1e-4
    assert np.isnan(without["hls_gap"]).all()
    assert np.isfinite(with_it["hls_gap"]).all()
    # farther than it may be paired, it is as good as missing
    late = hls.assign_coords(time=hls["time"] + np.timedelta64(3000, "D"))
    xr.testing.assert_allclose(three.encode(s2, s1, more=[late]), without)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda e, s2, s1: e.encode(s2, s1, more=[make_cube("HLS")]),
            "the weights know no such sensor.*HLS.*S2_L2A, S1",
        ),
        (lambda e, s2, s1: e.encode(s2, s1, more=[s1]), "two cubes of one sensor.*S1"),
        (lambda e, s2, s1: e.encode(s2, None, more=[s2]), "two cubes of one sensor.*S2_L2A"),
        (lambda e, s2, s1: make_encoder("S2_L2A").encode(s2, s1), "the weights know no such sensor.*S1"),
    ],
)
def test_a_sensor_that_the_model_does_not_know_is_refused(encoder, s2, s1, call, says):
    with pytest.raises(VariableError, match=says):
        call(encoder, s2, s1)


def test_dates_may_be_written_in_any_usual_way(encoder, s2, s1):
    texts = ["2020-02-02", "2020-02-03", "2020-03-08T12:00"]
    z = encoder.encode(s2, s1, dates=texts)
    ways = [
        [dt.date(2020, 2, 2), dt.date(2020, 2, 3), dt.datetime(2020, 3, 8, 12)],
        np.array(texts, dtype="datetime64[s]"),
        pd.DatetimeIndex(texts),
        pd.DatetimeIndex(texts, tz="UTC").tz_convert("Europe/Berlin"),
        ["2020-02-02T01:00+01:00", "2020-02-02T20:00-04:00", "2020-03-08T12:00Z"],
        pd.Series(pd.DatetimeIndex(texts)),
        xr.DataArray(np.array(texts, dtype="datetime64[ns]"), dims="time"),
        tuple(texts),
        iter(texts),
    ]
    for way in ways:
        assert encoder.encode(s2, s1, dates=way).identical(z), way
    assert encoder.encode(s2, s1, dates="2020-02-02").identical(z[:1])


def test_a_day_is_that_of_utc(encoder, s2, s1):
    """Sentinel-2 passed on 2020-01-11 at 10:48 UTC."""
    passed = s2["time"].values[2]
    for asked, expected in [
        ("2020-01-11", passed),
        ("2020-01-11T23:59", passed),
        ("2020-01-12T00:30+01:00", passed),
        ("2020-01-11T00:30+01:00", np.datetime64("2020-01-10T23:30")),
        ("2020-01-12", np.datetime64("2020-01-12")),
    ]:
        assert encoder.encode(s2, s1, dates=[asked])["time"].values[0] == expected


@pytest.mark.parametrize(
    ("dates", "says"),
    [
        ([], "found none"),
        (["2020-02-02", "2020-02-02"], "a date stands twice.*2020-02-02"),
        (["2020-02-03", "2020-02-02"], "do not increase.*2020-02-03.*2020-02-02"),
        (["2020-01-11T02:00", "2020-01-11T12:00"], "two dates are one acquisition.*once for each UTC day"),
        (["2020-02-30"], "not dates"),
        (["02/03/2020"], "not dates.*such as 2020-06-15"),
        (["soon"], "not dates"),
        ([20200202], "not dates"),
        ([20200202.0], "not dates"),
        (np.array([18_300.0]), "not dates"),
        (5, "not dates"),
        ([None], "without a value"),
        (["2020-02-02", np.datetime64("NaT")], "without a value"),
        (["9999-01-01"], "not dates"),
        (["2604-08-23"], "not dates"),  # 2**64 ns after one that could be embedded
        ([["2020-02-02"]], "not dates"),
    ],
)
def test_wrong_dates_are_refused(encoder, s2, s1, dates, says):
    with pytest.raises(ConfigError, match=says):
        encoder.encode(s2, s1, dates=dates)


def test_the_expected_error_is_calibrated(encoder, s2, s1, daily):
    knots = ((0.0, 0.01), (0.9, 0.02), (1.1, 0.2), (5.0, 0.3))
    z = make_encoder("S2_L2A", "S1", error_calibration=knots).encode(s2, s1, dates=daily["centred"]["time"])
    raw, error = daily["centred"].sel(band="error"), z.sel(band="error")
    np.testing.assert_allclose(error, np.interp(raw, *np.array(knots).T), rtol=1e-6)
    np.testing.assert_array_equal(z[:, :7], daily["centred"][:, :7])
    assert z.attrs["weights"] != daily["centred"].attrs["weights"]


@settings(max_examples=8, deadline=None)
@given(
    part=st.integers(5, 12), tile=st.integers(4, 12), dates=st.integers(2, 60), block=st.integers(20, 150), w=WINDOWS
)
def test_seamless_from_store_to_store(encoder, daily, place, tmp_path_factory, part, tile, dates, block, w):
    s2, s1 = (load_cube(place, name, lazy=True) for name in ("S2_L2A", "S1"))
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in [
            (parts, "PART_SIDE", part), (parts, "FEWEST_DATES", dates), (parts, "PART_BYTES", 1),
            (encode, "TILE", tile), (codes, "BLOCK_PIXELS", block),
        ]:  # fmt: skip
            patch.setattr(module, name, value)
        z = encoder.encode(s2, s1, dates=daily[w]["time"], window=w)
        assert z.chunks
        store = tmp_path_factory.mktemp("z") / "z.zarr"
        save_cubes({"embeddings": z}, store)
    xr.testing.assert_allclose(check_embedding_cube(load_cube(store, "embeddings")), daily[w], atol=1e-5)


@settings(max_examples=10, deadline=None)
@given(n=st.integers(1, 11), window=WINDOWS, radar=st.booleans())
def test_any_number_of_frames_serves(encoder, s2, s1, n, window, radar):
    few = s2[:n]
    asked = few["time"].values[-1] + 3 * DAY
    z = encoder.encode(few, s1 if radar else None, dates=[asked], window=window)
    saw = np.isfinite(few.values).all(axis=1).any(axis=0)
    assert (np.isfinite(z.values[0]) == (saw | radar)).all()


def test_a_cloudy_cube_of_one_clear_pixel_still_gives_what_it_can(encoder):
    cube = make_cube("S2_L2A", n=4, side=9)
    only = cube.where((cube["x"] == cube["x"][4]) & (cube["y"] == cube["y"][4])).astype("float32")
    z = encoder.encode(only, None, dates=["2020-01-09"])
    assert np.isfinite(z.values[0, 0]).sum() == np.isfinite(only.values).all(axis=1).any(axis=0).sum()
    with pytest.raises(EcoembedError, match="no clear pixel"):
        encoder.encode(cube.where(False).astype("float32"), None, dates=["2020-01-09"])
