"""The clock of a flux file: what is not local standard time on its grid is refused or said."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoembed import open_flux
from ecoembed.archives.flux.sun import below_horizon, check_clock, tell_night
from ecoembed.archives.flux.times import gaps, put_in_order
from ecoembed.errors import FileError
from tests.archives import fakes, towers

PLACE = {"latitude": towers.LATITUDE, "longitude": towers.LONGITUDE, "utc_offset": towers.OFFSET}


_FEW = ["TIMESTAMP_START", "TIMESTAMP_END", "SW_IN_F", "NEE_VUT_REF_QC", "GPP_NT_VUT_REF"]


def _year(first: str = "2019-01-01", days: int = 365) -> pd.DataFrame:
    return towers.oneflux(towers.exchange(towers.halfhours(first, days)))[_FEW]


def _civil(table: pd.DataFrame, keep_autumn: bool = True) -> pd.DataFrame:
    """The same rows under German civil time: 23 hours on 31 March, 25 on 27 October."""
    start = pd.to_datetime(table["TIMESTAMP_START"]) - pd.Timedelta(hours=1)
    local = start.dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin").dt.tz_localize(None)
    civil = table.assign(**towers.stamps(pd.DatetimeIndex(local)))
    return civil if keep_autumn else civil[~civil["TIMESTAMP_START"].duplicated()]


def test_a_day_of_23_and_one_of_25_hours_are_civil_time(tmp_path: Path) -> None:
    path = towers.write(tmp_path, _civil(_year()))
    with pytest.raises(
        FileError, match=r"civil time.*after 2019-03-31 01:30.*twice at 2019-10-27 02:00.*standard time"
    ):
        open_flux(path)


@pytest.mark.filterwarnings("ignore:.*the sun stands")
def test_an_hour_missing_each_spring_is_asked_about(tmp_path: Path) -> None:
    path = towers.write(tmp_path, _civil(_year("2018-01-01", 730), keep_autumn=False))
    with pytest.warns(UserWarning, match=r"hour is missing after 2018-03-25 01:30 .* 1 more years: are these.*civil"):
        open_flux(path)


def test_one_day_of_23_hours_is_a_gap(tmp_path: Path) -> None:
    table = _year("2019-03-20", 20)
    flux = open_flux(towers.write(tmp_path, table.drop(index=[48 * 11 + 4, 48 * 11 + 5])), min_qc=0)
    assert flux.attrs["rows"]["incomplete day"] == 1
    assert flux.attrs["gaps"] == {"missing": 2, "gaps": 1, "longest_days": pytest.approx(1 / 24)}


def test_stamps_off_the_grid(tmp_path: Path) -> None:
    table = _year(days=3)
    table.loc[7, "TIMESTAMP_START"] = "201901010331"
    with pytest.raises(FileError, match=r"1 of 144 time stamps lie off the 30-minute grid.*2019-01-01 03:31"):
        open_flux(towers.write(tmp_path, table))


def test_daylight_saving_without_a_trace_in_the_stamps_is_seen_by_the_sun(tmp_path: Path) -> None:
    table = _year()
    time = towers.halfhours("2019-01-01", 365)
    summer = (time >= "2019-03-31") & (time < "2019-10-27")
    table["SW_IN_F"] = np.where(summer, towers.sunshine(time, shift=1.0), towers.sunshine(time))
    with pytest.warns(UserWarning, match=r"XX-T01: the sun stands \d+ minutes later from May to August"):
        flux = open_flux(towers.write(tmp_path, table))
    assert 45 < flux.attrs["sun"]["summer_minus_winter"] < 75  # the fake sun keeps to its mean


@pytest.mark.parametrize(("shift", "said"), [(1.0, r"\+(5|6)\d minutes"), (-1.0, r"-(5|6)\d minutes")])
def test_a_wrong_offset_or_convention_is_seen_by_the_sun(tmp_path: Path, shift: float, said: str) -> None:
    table = _year("2019-04-01", 60)
    table["SW_IN_F"] = towers.sunshine(towers.halfhours("2019-04-01", 60), shift=shift)
    path = towers.write(tmp_path, table)
    with pytest.warns(UserWarning, match=said):
        open_flux(path, **PLACE)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        open_flux(path)  # without coordinates nothing can be told


def test_the_right_clock_passes(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        flux = open_flux(towers.write(tmp_path, _year()), **PLACE)
    assert abs(flux.attrs["sun"]["noon_error"]) < 20
    assert abs(flux.attrs["sun"]["summer_minus_winter"]) < 15
    assert flux.attrs["utc_offset"] == 1.0


@given(st.floats(-60, 78), st.floats(-180, 180), st.floats(-0.4, 0.4), st.floats(-11.9, 11.9))
@settings(max_examples=30, deadline=None)
@pytest.mark.filterwarnings("ignore:anywhere")
def test_the_clock_error_is_found_to_the_minute(latitude: float, longitude: float, beyond: float, wrong: float) -> None:
    """pvlib's own sun, anywhere, midnight sun too, in any offset near the meridian's; and however wrong it is told."""
    from pvlib.location import Location

    offset = longitude / 15 + beyond
    time = pd.date_range("2020-04-01", periods=48 * 40, freq="30min")
    utc = (time + pd.Timedelta(minutes=15) - pd.Timedelta(hours=offset)).tz_localize("UTC")
    sun = Location(latitude, longitude).get_solarposition(utc, method="ephemeris")["elevation"].to_numpy()
    light = pd.Series(1000 * np.sin(np.radians(np.maximum(sun, 0))), time)
    found = check_clock(light, 30, "anywhere", longitude, offset)
    assert abs(found["noon_error"]) < 3
    misled = check_clock(light, 30, "anywhere", longitude, offset + wrong)["noon_error"]
    assert abs((misled + 60 * wrong + 720) % 1440 - 720) < 3
    dark = below_horizon(time, 30, latitude, longitude, offset)
    assert (dark == (sun <= 0)).mean() > 0.97


@pytest.mark.parametrize("days", [25, 365])
@pytest.mark.parametrize("weather", ["storms of summer afternoons", "fog of winter mornings", "a ridge in the west"])
def test_weather_and_shade_are_no_wrong_clock(weather: str, days: int) -> None:
    rng, time = np.random.default_rng(5), towers.halfhours("2019-01-01" if days > 99 else "2019-06-01", days)
    hour, often = time.hour.to_numpy(), (rng.random(days) < 0.7)[np.arange(time.size) // 48]
    dim = {
        "storms of summer afternoons": often & (hour >= 13) & time.month.isin(range(5, 11)),
        "fog of winter mornings": often & (hour < 11) & time.month.isin([11, 12, 1, 2]),
        "a ridge in the west": hour >= 16,
    }[weather]
    light = pd.Series(towers.sunshine(time) * np.where(dim, 0.3, 1.0), time)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        found = check_clock(light, 30, "anywhere", towers.LONGITUDE, towers.OFFSET)
    assert abs(found["noon_error"]) < 25
    with pytest.warns(UserWarning, match="from solar noon"):
        check_clock(light, 30, "anywhere", towers.LONGITUDE, towers.OFFSET + 1)


def test_night_by_the_first_light_that_was_measured() -> None:
    time = towers.halfhours(days=2)
    light = towers.sunshine(time)
    holed = np.where(np.arange(96) < 48, np.nan, light)
    night = tell_night({"SW_IN": holed, "PPFD_IN": np.full(96, np.nan)}, time, 30)
    assert night.known.sum() == 48
    assert "unknown, hence not used, in 50.0%" in night.origin
    whole = tell_night({"SW_IN": holed}, time, 30, (towers.LATITUDE, towers.LONGITUDE, towers.OFFSET))
    assert whole.known.all()
    assert (whole.dark == (light < 10)).mean() > 0.95


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_any_order_and_repetition_gives_the_same_table(days: list[int], random: object) -> None:
    time = pd.Timestamp("2020-02-10") + pd.to_timedelta(days, unit="D")
    frame = pd.DataFrame({"a": np.array(days, dtype=float), "b": np.nan}, index=pd.DatetimeIndex(time, name="time"))
    ordered, counts = put_in_order(frame, None, "file")
    assert ordered["a"].tolist() == sorted(set(days))
    assert counts.get("repeated", 0) == len(days) - len(set(days))
    assert ("rows out of order" in counts) == (days != sorted(days))
    holes = gaps(pd.DatetimeIndex(ordered.index), 1440)
    assert holes["missing"] == max(days) - min(days) + 1 - len(set(days))
    contradicted = pd.concat([frame, frame.iloc[:1] + 1.0])
    with pytest.raises(FileError, match=f"a is {days[0]} and {days[0] + 1}"):
        put_in_order(contradicted, None, "file")


def test_no_rows(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        open_flux(fakes.write_csv(tmp_path, fakes.daily().iloc[:0], fakes.name("DD")))
