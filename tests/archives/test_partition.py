"""Files without ONEFlux's columns: the team's own GPP, and GPP partitioned here from measured net exchange."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ecoembed import open_flux
from ecoembed.archives.flux.quality import describe_quality
from ecoembed.archives.flux.reader import open_halfhours
from ecoembed.errors import ConfigError, FileError, VariableError
from tests.archives import towers

FACTOR = 12.011e-6 * 86_400
PLACE = {"latitude": towers.LATITUDE, "longitude": towers.LONGITUDE, "utc_offset": towers.OFFSET}
DAYS = 120


@pytest.fixture(scope="module")
def truth() -> pd.DataFrame:
    return towers.exchange(towers.halfhours("2019-04-15", DAYS))


@pytest.fixture(scope="module")
def measured(truth: pd.DataFrame) -> pd.DataFrame:
    """BASE with noise and gaps, and nights of weak turbulence in which the tower sees a third of the respiration."""
    rng = np.random.default_rng(5)
    table = towers.base(truth)
    night, calm = truth["SW_IN"].to_numpy() <= 0, truth["USTAR"].to_numpy() < 0.2
    table["FC"] = np.where(night & calm, table["FC"] / 3, table["FC"]) + rng.normal(0, 0.3, len(table))
    table.loc[rng.random(len(table)) < 0.15, "FC"] = np.nan
    return table


@pytest.fixture(scope="module")
def path(measured: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return towers.write_base(tmp_path_factory.mktemp("base"), measured)


def _day(values: pd.Series) -> np.ndarray:
    return values.to_numpy().reshape(-1, 48).mean(axis=1) * FACTOR


def test_the_known_gpp_comes_back(path: Path, truth: pd.DataFrame) -> None:
    flux = open_flux(path, "GPP_NT", **PLACE)
    kept = np.isfinite(flux["GPP_NT"].values)
    known = _day(truth["GPP"])
    assert kept.sum() > 0.8 * DAYS
    assert np.corrcoef(flux["GPP_NT"].values[kept], known[kept])[0, 1] > 0.95
    assert abs((flux["GPP_NT"].values - known)[kept].mean()) < 0.04 * known.mean()
    notes = flux.attrs["partition"]
    assert 0.15 < notes["ustar_threshold"][2019] < 0.3
    assert 0.1 < notes["ustar_filtered"] < 0.5
    assert flux["quality"].attrs["long_name"].startswith("share (1 best) of day-time half-hours")
    rows = flux.attrs["rows"]
    assert rows["in"] == DAYS == sum(count for reason, count in rows.items() if reason != "in")


def test_respiration_and_net_exchange(path: Path, truth: pd.DataFrame) -> None:
    reco = open_flux(path, "RECO_NT", min_qc=0.5, **PLACE)["RECO_NT"].values
    kept = np.isfinite(reco)
    assert abs((reco - _day(truth["RECO"]))[kept].mean()) < 0.05 * _day(truth["RECO"]).mean()
    nee = open_flux(path, "NEE", min_qc=0.5, **PLACE)["NEE"].values
    plain = open_flux(path, "FC", min_qc=0.5, **PLACE)["FC"].values
    known = _day(truth["NEE"])
    both = np.isfinite(nee) & np.isfinite(plain)
    assert both.sum() > 50
    assert abs((nee - known)[both].mean()) < 0.5 * abs((plain - known)[both].mean())  # what the u* filter is for


def test_gpp_is_where_net_exchange_was_measured_and_nowhere_else(path: Path, measured: pd.DataFrame) -> None:
    halves = open_flux(path, "GPP_NT", resolution="HH", **PLACE)
    day = measured["SW_IN"].to_numpy() >= 10
    np.testing.assert_array_equal(np.isfinite(halves["GPP_NT"].values[day]), measured["FC"].notna().to_numpy()[day])
    days = open_flux(path, "GPP_NT", **PLACE)
    seen = measured["FC"].notna().to_numpy() & day
    share = seen.reshape(-1, 48).sum(axis=1) / day.reshape(-1, 48).sum(axis=1)
    np.testing.assert_allclose(days["quality"], share)
    assert days.attrs["rows"]["qc below 0.75"] == (share < 0.75).sum()


def test_storage_is_added_and_said(tmp_path: Path, measured: pd.DataFrame) -> None:
    table = measured.assign(SC=1.0)
    table.loc[::2, "SC"] = np.nan
    notes = open_flux(towers.write_base(tmp_path, table), "NEE", min_qc=0, resolution="HH", **PLACE)
    raw = open_flux(towers.write_base(tmp_path, measured), "NEE", min_qc=0, resolution="HH", **PLACE)
    assert "storage added in" in notes.attrs["partition"]["nee"]
    with_storage, without = notes["NEE"].values[1::2], raw["NEE"].values[1::2]
    both = np.isfinite(with_storage) & np.isfinite(without)
    np.testing.assert_allclose(with_storage[both], without[both] + 1.0, rtol=1e-9)


def test_the_teams_own_gpp(tmp_path: Path, measured: pd.DataFrame, truth: pd.DataFrame) -> None:
    table = measured.assign(GPP_PI_F_1_2_1=0.0, GPP_PI_F_1_1_1=truth["GPP"].to_numpy(), GPP_PI=measured["FC"])
    flux = open_flux(towers.write_base(tmp_path, table), "GPP_PI_F", min_qc=0.9, **PLACE)
    share = measured["FC"].notna().to_numpy().reshape(-1, 48).mean(axis=1)
    np.testing.assert_allclose(flux["quality"], share)
    np.testing.assert_allclose(flux["GPP_PI_F"], np.where(share >= 0.9, _day(truth["GPP"]), np.nan), rtol=1e-8)
    assert (flux["GPP_PI_F"].attrs["column"], flux["quality"].attrs["column"]) == ("GPP_PI_F_1_1_1", "GPP_PI")


def test_filled_without_what_was_measured_is_refused(tmp_path: Path, truth: pd.DataFrame) -> None:
    table = towers.base(truth).drop(columns="FC").assign(GPP_PI_F=truth["GPP"].to_numpy())
    path = towers.write_base(tmp_path, table)
    with pytest.raises(VariableError, match=r"no column tells measured from filled GPP_PI_F.*min_qc=0"):
        open_flux(path, "GPP_PI_F")
    assert "quality" not in open_flux(path, "GPP_PI_F", min_qc=0)


def test_an_absent_target_lists_what_can_be_had(path: Path, tmp_path: Path, truth: pd.DataFrame) -> None:
    with pytest.raises(VariableError, match=r"GPP_NT_VUT_REF absent.*GPP_NT, RECO_NT, NEE"):
        open_flux(path)
    assert open_flux(path, ["GPP_NT_VUT_REF", "GPP_PI_F", "GPP_NT"], **PLACE).attrs["target"] == "GPP_NT"
    bare = towers.write_base(tmp_path, towers.base(truth).drop(columns="USTAR"))
    with pytest.raises(VariableError, match=r"USTAR absent; night-time partitioning"):
        open_flux(bare, "GPP_NT")


def test_night_needs_light_or_a_place(tmp_path: Path, measured: pd.DataFrame) -> None:
    path = towers.write_base(tmp_path, measured.drop(columns="SW_IN"))
    with pytest.raises(VariableError, match=r"night cannot be told.*Pass latitude"):
        open_flux(path, "GPP_NT")
    assert "the sun's height in 100.0%" in open_flux(path, "GPP_NT", **PLACE).attrs["partition"]["night"]


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_record_too_short_for_a_fit(tmp_path: Path, measured: pd.DataFrame) -> None:
    path = towers.write_base(tmp_path, measured.assign(TA=12.0))
    with pytest.raises(FileError, match=r"cannot be partitioned.*GPP_PI"):
        open_flux(path, "GPP_NT", **PLACE)


def test_the_extra_is_named_where_it_is_absent(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def without(name: str, *args: Any, **keywords: Any) -> Any:
        if name.startswith("fluxdataqaqc"):
            raise ImportError(name)
        return plain(name, *args, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'ecoembed\[flux\]'"):
        open_flux(path, "GPP_NT", **PLACE)


def test_half_hours_at_positions(tmp_path: Path, truth: pd.DataFrame) -> None:
    table = towers.base(truth, position="_1_1_1").assign(TA_1_2_1=0.0, USTAR_1_1_2=9.0, WD_PI_F=90.0, WD=180.0)
    halfhours = open_halfhours(towers.write_base(tmp_path, table))
    columns = {name: halfhours[name].attrs["column"] for name in halfhours.data_vars}
    assert columns == {"USTAR": "USTAR_1_1_1", "WD": "WD", "TA": "TA_1_1_1", "SW_IN": "SW_IN_1_1_1"}
    np.testing.assert_allclose(halfhours["TA"], truth["TA"], rtol=1e-9)


def test_an_own_table_is_read_through_the_same_door(tmp_path: Path, truth: pd.DataFrame) -> None:
    """In umol m-2 s-1 and K, UTC stamps at the end of each half-hour."""
    end = truth.index + pd.Timedelta(minutes=30) - pd.Timedelta(hours=1)
    own = pd.DataFrame({"when": end.strftime("%d/%m/%Y %H:%M"), "uptake": truth["GPP"].to_numpy()})
    own["air"], own["sun"], own["flag"] = truth["TA"].to_numpy() + 273.15, truth["SW_IN"].to_numpy(), 0
    own.loc[48:71, "flag"] = 3
    own.to_csv(tmp_path / "mine.csv", index=False, float_format="%.10g")
    (tmp_path / "mine.toml").write_text(
        'site = "XX-Own"\nutc_offset = 1.0\n[time]\ncolumn = "when"\nformat = "%d/%m/%Y %H:%M"\nstamp = "end"\n'
        'zone = "UTC"\n[columns]\nGPP = {column = "uptake", unit = "umol m-2 s-1"}\n'
        'TA = {column = "air", unit = "K"}\nSW_IN = {column = "sun", unit = "W m-2"}\n'
        'GPP_QC = {column = "flag", unit = "1"}\n'
    )
    flux = open_flux(tmp_path / "mine.csv", "GPP", description=tmp_path / "mine.toml")
    expected = _day(truth["GPP"])
    expected[1] = np.nan  # half of the day is poor
    np.testing.assert_allclose(flux["GPP"], expected, rtol=1e-8)
    np.testing.assert_allclose(flux["TA"], truth["TA"].to_numpy().reshape(-1, 48).mean(axis=1), rtol=1e-6)
    assert (flux.attrs["site"], flux.attrs["utc_offset"]) == ("XX-Own", 1.0)
    assert (flux["GPP"].attrs["column"], flux["TA"].attrs["units"]) == ("uptake", "degC")
    assert flux.attrs["rows"]["qc below 0.75"] == 1


def test_half_hours_that_cannot_be_are_told_before_they_are_averaged(tmp_path: Path, truth: pd.DataFrame) -> None:
    """One such half-hour would bend the whole night-time fit."""
    table = towers.base(truth)
    table.loc[7, "FC"] = -5000.0
    with pytest.warns(UserWarning, match=r"XX-T01: FC -5000 umol m-2 s-1.*1 of \d+ values lie outside -120 to 120"):
        open_flux(towers.write_base(tmp_path, table), "GPP_NT")


def test_poor_turbulence_is_told_and_kept(tmp_path: Path, measured: pd.DataFrame) -> None:
    rng = np.random.default_rng(3)
    test = rng.choice(3, len(measured), p=[0.3, 0.4, 0.3])
    path = towers.write_base(tmp_path, measured.assign(FC_SSITC_TEST=test))
    poor = (test == 2) & measured["FC"].notna().to_numpy()
    share = poor.sum() / measured["FC"].notna().sum()
    for target, rows in {"GPP_NT": measured["SW_IN"].to_numpy() >= 10, "FC": np.ones(len(test), dtype=bool)}.items():
        days = open_flux(path, target, min_qc=0, **PLACE)
        plain = open_flux(
            towers.write_base(tmp_path, measured, "AMF_XX-T01_BASE_HH_2-5.csv"), target, min_qc=0, **PLACE
        )
        np.testing.assert_array_equal(days[target], plain[target])
        assert "poor_turbulence" not in plain
        expected = (poor & rows).reshape(-1, 48).sum(axis=1) / rows.reshape(-1, 48).sum(axis=1)
        np.testing.assert_allclose(days["poor_turbulence"], expected)
        assert days["poor_turbulence"].attrs["column"] == "FC_SSITC_TEST"
        assert any(
            f"FC_SSITC_TEST is 2 (poor turbulence) in {share:.0%}" in line for line in describe_quality(days.attrs)
        )
    halves = open_flux(path, "GPP_NT", resolution="HH", **PLACE)
    np.testing.assert_array_equal(halves["poor_turbulence"], poor)
    strange = towers.write_base(tmp_path, measured.assign(FC_SSITC_TEST=test * 4), "AMF_XX-T01_BASE_HH_3-5.csv")
    assert "FC_SSITC_TEST has other values than 0, 1 and 2" in open_flux(strange, "FC", **PLACE).attrs["notes"][0]


def test_net_exchange_says_whether_it_is_filtered(tmp_path: Path, path: Path, measured: pd.DataFrame) -> None:
    made = open_flux(path, "NEE", **PLACE)
    assert made["NEE"].attrs["formula"] == "FC, u*-filtered here"
    own = towers.write_base(tmp_path, measured.rename(columns={"FC": "NEE"}))
    given = open_flux(own, "NEE", **PLACE)
    assert given["NEE"].attrs["column"] == "NEE"
    assert any("no u* filter applied here" in line for line in describe_quality(given.attrs))
    assert not any("no u* filter" in line for line in describe_quality(made.attrs))
    with pytest.raises(VariableError, match=r"targets here: NEE, GPP_NT, RECO_NT .the last 2 made here"):
        open_flux(own, "GPP_PI_F")


def test_an_unknown_night_names_what_would_tell_it(tmp_path: Path, measured: pd.DataFrame) -> None:
    table = measured.copy()
    table.loc[:47, "SW_IN"] = np.nan
    path = towers.write_base(tmp_path, table)
    lines = describe_quality(open_flux(path, "GPP_NT").attrs)
    assert any("not known in 0.8% of the rows; latitude, longitude and utc_offset" in line for line in lines)
    assert not any("would tell it" in line for line in describe_quality(open_flux(path, "GPP_NT", **PLACE).attrs))


def test_the_account_says_what_an_incomplete_day_is(path: Path, tmp_path: Path, truth: pd.DataFrame) -> None:
    gappy = describe_quality(open_flux(path, "GPP_NT", **PLACE).attrs)
    assert any("weighted by their length; incomplete without one of the 48 rows" in line for line in gappy)
    whole = towers.write(tmp_path, towers.oneflux(truth.iloc[:480]))
    lines = describe_quality(open_flux(whole).attrs)
    assert any("mean of all 48 rows; a day that lacks even one of them is incomplete" in line for line in lines)


def test_a_flag_and_a_share_have_two_names(path: Path) -> None:
    halves, days = (open_flux(path, "FC", resolution=name, **PLACE) for name in ("HH", "DD"))
    assert "quality" not in halves
    assert "0 (best)" in halves["qc_flag"].attrs["long_name"]
    assert "qc_flag" not in days
    assert "(1 best)" in days["quality"].attrs["long_name"]
