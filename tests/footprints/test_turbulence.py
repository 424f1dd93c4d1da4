"""The estimates of what a tower did not measure, and the arguments they make."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ecoembed.errors import ConfigError, FootprintError, UnitError, VariableError
from ecoembed.footprints.climatology import footprint_climatology
from ecoembed.footprints.estimates import (
    boundary_layer_height,
    displacement_height,
    obukhov_length,
    roughness_length,
    sigma_v,
)
from ecoembed.footprints.turbulence import daytime, step_minutes, turbulence

SITE = pd.Series({"measurement_height": 3.0, "canopy_height": 0.6, "latitude": 47.2}, name="XX-V01")


@pytest.fixture
def halfhours():
    """Two days of half-hours under FLUXNET's names."""
    hour = np.arange(96) / 2 % 24
    light = np.maximum(0, 900 * np.sin((hour - 6) * np.pi / 12))
    columns = {
        "USTAR": (0.2 + light / 3000, "m s-1"),
        "WD": (hour * 15, "degree"),
        "WS": (2 + light / 400, "m s-1"),
        "H": (light / 4 - 20, "W m-2"),
        "TA": (15 + light / 100, "degC"),
        "PA": (np.full(96, 96.0), "kPa"),
        "SW_IN": (light, "W m-2"),
    }
    time = pd.date_range("2020-06-01", periods=96, freq="30min")
    data = {name: ("time", values, {"units": unit}) for name, (values, unit) in columns.items()}
    return xr.Dataset(data, {"time": time}, {"site": "XX-V01"})


def test_obukhov_length_by_hand():
    # rho = 101300 / (287.05 * 293.15) = 1.2038; 1.2038 * 1005 * 293.15 * 0.027 / (0.4 * 9.81 * 150) = 16.27
    assert obukhov_length(0.3, 150.0, 20.0, 101.3) == pytest.approx(-16.27, abs=0.01)
    assert obukhov_length(0.3, -150.0, 20.0, 101.3) == pytest.approx(16.27, abs=0.01)
    assert np.isinf(obukhov_length(0.3, np.array(0.0), 20.0, 101.3))
    assert np.isnan(obukhov_length(0.3, np.array(np.nan), 20.0, 101.3))


def test_latent_heat_adds_to_the_buoyancy():
    # Hv = 150 + 0.61 * 1005 * 293.15 * 300 / (2.501e6 - 2361 * 20) = 150 + 21.97
    moist = obukhov_length(0.3, 150.0, 20.0, 101.3, 300.0)
    assert moist == pytest.approx(obukhov_length(0.3, 171.97, 20.0, 101.3), rel=1e-4)
    assert obukhov_length(0.3, 150.0, 20.0, 101.3, 0.0) == obukhov_length(0.3, 150.0, 20.0, 101.3)


def test_boundary_layer_height_follows_nieuwstadt_and_its_neutral_limit():
    f, ustar, ol = 2 * 7.2921e-5 * np.sin(np.radians(50)), 0.35, np.array([20.0, 200.0, 4000.0])
    written = ol / 3.8 * (-1 + np.sqrt(1 + 2.28 * ustar / (f * ol)))
    np.testing.assert_allclose(boundary_layer_height(ol, ustar, 50), written, rtol=1e-12)
    np.testing.assert_allclose(boundary_layer_height(ol, ustar, -50), written, rtol=1e-12)
    assert boundary_layer_height(np.inf, ustar, 50) == pytest.approx(0.3 * ustar / f)
    assert boundary_layer_height(-50.0, ustar, 50) == 1000
    assert boundary_layer_height(np.inf, ustar, 0) == 3000
    assert np.isnan(boundary_layer_height(np.nan, ustar, 50))


def test_sigma_v_by_hand():
    assert sigma_v(0.4, 30.0, 200.0) == pytest.approx(0.768)
    assert sigma_v(0.4, -50.0, 1000.0) == pytest.approx(0.4 * 22 ** (1 / 3))
    assert np.isnan(sigma_v(0.4, np.nan, 1000.0))


def test_arguments_are_the_daytime_half_hours_and_say_what_was_estimated(halfhours):
    arguments = turbulence(halfhours, SITE)
    day = halfhours["SW_IN"].values > 20
    assert set(arguments) <= set(inspect.signature(footprint_climatology).parameters)
    assert arguments["zm"] == pytest.approx(3.0 - 0.67 * 0.6)
    np.testing.assert_array_equal(arguments["ustar"], halfhours["USTAR"].values[day])
    np.testing.assert_array_equal(arguments["umean"], halfhours["WS"].values[day])
    assert "z0" not in arguments
    notes = arguments["notes"]
    assert notes["half-hours"] == f"{day.sum()} of 96: daytime, radiation > 20 W m-2 (96 by SW_IN)"
    assert all(notes[name].startswith("estimated") for name in ("ol", "h", "sigmav"))
    grid = {"x": np.arange(-200.0, 201, 10), "y": np.arange(-200.0, 201, 10)}
    weights = footprint_climatology(**arguments, grid=grid)
    assert weights.attrs["n"] == day.sum()
    assert json.loads(weights.attrs["notes"]) == notes


def test_measured_turbulence_is_used_and_its_gaps_are_counted(halfhours):
    measured = np.full(96, 0.55)
    measured[:30] = np.nan
    halfhours["V_SIGMA"] = ("time", measured, {"units": "m s-1"})
    halfhours["MO_LENGTH"] = ("time", np.full(96, -33.0), {"units": "m"})
    arguments, day = turbulence(halfhours, SITE), halfhours["SW_IN"].values > 20
    missing = np.isnan(measured[day])
    assert (arguments["ol"] == -33).all()
    assert arguments["notes"]["ol"] == "MO_LENGTH"
    assert (arguments["sigmav"][~missing] == 0.55).all()
    np.testing.assert_allclose(arguments["sigmav"][missing], sigma_v(arguments["ustar"], -33.0, 1000.0)[missing])
    assert f"estimated in {missing.sum()} of {day.sum()}" in arguments["notes"]["sigmav"]


def test_without_wind_speed_roughness_comes_from_the_canopy(halfhours):
    arguments = turbulence(halfhours.drop_vars("WS"), SITE)
    assert arguments["z0"] == pytest.approx(0.15 * 0.6)
    assert "umean" not in arguments
    assert "estimated" in arguments["notes"]["z0"]
    assert (displacement_height(10.0), roughness_length(10.0)) == (pytest.approx(6.7), pytest.approx(1.5))


def test_an_empty_wind_speed_counts_as_none(halfhours):
    empty = halfhours.assign(WS=(halfhours["WS"] * np.nan).assign_attrs(units="m s-1"))
    assert "umean" not in turbulence(empty, SITE)
    assert turbulence(empty, SITE)["z0"] == turbulence(halfhours.drop_vars("WS"), SITE)["z0"]


def test_only_what_an_estimate_fills_is_called_estimated(halfhours):
    """Where USTAR is missing too, the estimate of MO_LENGTH is as missing as the measurement."""
    measured = np.full(96, -33.0)
    measured[22:26] = np.nan
    halfhours["MO_LENGTH"] = ("time", measured.copy(), {"units": "m"})
    halfhours["LE"] = ("time", np.where(np.arange(96) < 24, 50.0, np.nan), {"units": "W m-2"})
    size = int((halfhours["SW_IN"] > 20).sum())
    note = turbulence(halfhours, SITE)["notes"]["ol"]
    assert note == f"MO_LENGTH, estimated in 4 of {size} half-hours: USTAR, H, TA, PA, LE (2 without LE)"
    halfhours["USTAR"][22:26] = np.nan
    assert turbulence(halfhours, SITE)["notes"]["ol"] == "MO_LENGTH"


def test_what_is_no_direction_is_counted_and_not_turned_into_one(halfhours):
    halfhours["WD"][20:23] = [-50.0, 400.0, -6999.0]
    arguments = turbulence(halfhours, SITE, north=2.0)
    grid = {"x": np.arange(-200.0, 201, 10), "y": np.arange(-200.0, 201, 10)}
    excluded = json.loads(footprint_climatology(**arguments, grid=grid).attrs["excluded"])
    assert excluded == {"wind_dir not in 0 to 360 degree": 3}


def test_a_file_of_nights_is_said_to_hold_no_day(halfhours):
    night = halfhours.assign(SW_IN=xr.zeros_like(halfhours["SW_IN"]).assign_attrs(units="W m-2"))
    with pytest.raises(VariableError, match=r"no half-hour of daytime \(found 0 of 96: .*when='all'"):
        turbulence(night, SITE)
    assert len(turbulence(night, SITE, when="all")["ustar"]) == 96


def test_gaps_stay_gaps(halfhours):
    halfhours["USTAR"][22:26] = np.nan
    arguments = turbulence(halfhours, SITE)
    assert np.isnan(arguments["ustar"]).sum() == np.isnan(arguments["ol"]).sum() == 4
    grid = {"x": np.arange(-200.0, 201, 10), "y": np.arange(-200.0, 201, 10)}
    assert sum(json.loads(footprint_climatology(**arguments, grid=grid).attrs["excluded"]).values()) == 4


def test_units_are_converted_assumed_or_refused(halfhours):
    expected = turbulence(halfhours, SITE)["ol"]
    kelvin = halfhours.assign(TA=(halfhours["TA"] + 273.15).assign_attrs(units="K"))
    np.testing.assert_allclose(turbulence(kelvin, SITE)["ol"], expected)
    np.testing.assert_allclose(turbulence(halfhours.drop_attrs(), SITE)["ol"], expected)
    with pytest.raises(UnitError, match="mmHg"):
        turbulence(halfhours.assign(PA=halfhours["PA"].assign_attrs(units="mmHg")), SITE)


@pytest.mark.parametrize("name", ["USTAR", "WD", "H", "TA", "PA"])
def test_an_absent_variable_is_named(halfhours, name):
    with pytest.raises(VariableError, match=f"XX-V01: {name} absent"):
        turbulence(halfhours.drop_vars(name), SITE)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"measurement_height": np.nan}, VariableError, "no measurement_height in the site table"),
        ({"canopy_height": None}, VariableError, "no canopy_height"),
        ({"measurement_height": "?", "canopy_height": None}, VariableError, "no measurement_height and canopy_height"),
        ({"canopy_height": 20.0}, FootprintError, "below the displacement height"),
    ],
)
def test_heights_that_make_no_footprint_name_the_site(halfhours, change, error, says):
    site = pd.Series({**SITE, **change}, name="XX-V01")
    with pytest.raises(error, match=f"XX-V01: .*{says}"):
        turbulence(halfhours, site)


def test_aerodynamic_height_of_the_site_table_is_used_where_it_is_known(halfhours):
    site = pd.Series({"aerodynamic_height": "2.57", "latitude": 47.2}, name="XX-V01")
    arguments = turbulence(halfhours, site)
    assert arguments["zm"] == 2.57
    assert "aerodynamic" in arguments["notes"]["zm"]
    with pytest.raises(VariableError, match="no canopy_height in the site table"):  # which the roughness length needs
        turbulence(halfhours.drop_vars("WS"), site)
    with pytest.raises(FootprintError, match=r"XX-V01: .*found aerodynamic height -1 m"):
        turbulence(halfhours, site.replace("2.57", "-1"))


def test_heights_go_before_an_aerodynamic_height_that_contradicts_them(halfhours):
    plain = turbulence(halfhours, SITE)
    other = turbulence(halfhours, {**SITE, "aerodynamic_height": 0.5 * plain["zm"]})
    assert other["zm"] == plain["zm"]
    assert "is not used" in other["notes"]["zm"]
    assert "aerodynamic" not in turbulence(halfhours, {**SITE, "aerodynamic_height": plain["zm"]})["notes"]["zm"]


def test_moisture_enters_where_latent_heat_is_there(halfhours):
    dry = turbulence(halfhours, SITE)
    latent = np.where(np.arange(96) % 2, 2 * halfhours["SW_IN"] / 5, np.nan)
    moist = turbulence(halfhours.assign(LE=("time", latent, {"units": "W m-2"})), SITE)
    ratio = moist["ol"] / dry["ol"]
    odd = (np.arange(96) % 2)[halfhours["SW_IN"].values > 20] == 1
    assert (ratio[~odd] == 1).all()
    unstable = odd & (dry["ol"] < 0)
    assert ((ratio > 0.5) & (ratio < 1))[unstable].all()
    assert moist["notes"]["ol"] == f"estimated: USTAR, H, TA, PA, LE ({(~odd).sum()} without LE)"


def test_wind_directions_are_turned_onto_the_grid(halfhours):
    plain, turned = turbulence(halfhours, SITE), turbulence(halfhours, SITE, north=-1.5)
    np.testing.assert_allclose(turned["wind_dir"], (plain["wind_dir"] - 1.5) % 360)
    assert ((turned["wind_dir"] >= 0) & (turned["wind_dir"] < 360)).all()


def test_day_or_all(halfhours):
    everything = turbulence(halfhours, SITE, when="all")
    assert everything["ustar"].size == 96
    assert everything["notes"]["half-hours"] == "96: day and night"
    with pytest.raises(ConfigError, match="night"):
        turbulence(halfhours, SITE, when="night")


def test_without_radiation_the_sun_tells_day_from_night(halfhours):
    place = {**SITE, "longitude": 15.0, "utc_offset": 1.0}
    bright, note = daytime(halfhours.drop_vars("SW_IN"), place)
    hour = halfhours["time"].dt.hour.values[bright]
    assert bright.sum() == pytest.approx(2 * 2 * 15.5, abs=4)  # 15.5 h of day on 1 June at 47.2 N
    assert (hour.min(), hour.max()) == (4, 19)
    assert note.endswith("(96 by the sun's height)")
    gappy = halfhours.assign(SW_IN=halfhours["SW_IN"].copy(), SW_IN_POT=halfhours["SW_IN"] * 1.2)
    gappy["SW_IN"][20:40] = np.nan
    gappy["SW_IN_POT"][30:35] = np.nan
    bright, note = daytime(gappy, place)
    assert bright[20:36].all()
    assert note.endswith("(76 by SW_IN, 15 by SW_IN_POT, 5 by the sun's height)")
    fewer, note = daytime(gappy, SITE)
    np.testing.assert_array_equal(np.flatnonzero(bright & ~fewer), np.arange(30, 35))
    assert note.endswith("15 by SW_IN_POT, 5 unknown, left out)")
    with pytest.raises(VariableError, match=r"no radiation to tell day from night .*utc_offset nan"):
        daytime(gappy.drop_vars(["SW_IN", "SW_IN_POT"]), SITE)
    assert (step_minutes(halfhours), step_minutes(halfhours.isel(time=slice(None, None, 2)))) == (30, 60)


def test_footprints_hardly_depend_on_the_guessed_boundary_layer_height(halfhours):
    """Where sigma_v was measured: the weights of a factor two in h differ by little; that of zm is felt."""
    halfhours["V_SIGMA"] = ("time", np.full(96, 0.6), {"units": "m s-1"})
    grid = {"x": np.arange(-300.0, 301, 10), "y": np.arange(-300.0, 301, 10)}
    arguments = turbulence(halfhours, SITE)
    guess = footprint_climatology(**arguments, grid=grid)
    for factor in (0.5, 2.0):
        other = footprint_climatology(**{**arguments, "h": factor * arguments["h"]}, grid=grid)
        assert np.minimum(guess, other).sum() > 0.995 * guess.sum()
    taller = footprint_climatology(**{**arguments, "zm": 2 * arguments["zm"]}, grid=grid)
    assert np.minimum(guess, taller).sum() < 0.8 * guess.sum()
