"""Days out of half-hours: equal to plain means over the known half-hours; gaps told, every row accounted for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecoembed import open_flux
from ecoembed.archives.flux.days import group_days
from ecoembed.archives.flux.quality import describe_quality
from ecoembed.archives.flux.targets import TARGETS
from ecoembed.errors import FileError, ProductError, VariableError
from tests.archives import fakes, towers

FACTOR = 12.011e-6 * 86_400
TARGET = "GPP_NT_VUT_REF"


def _by_day(values: pd.Series | np.ndarray, steps: int = 48) -> np.ndarray:
    return np.asarray(values).reshape(-1, steps)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return towers.oneflux(towers.exchange(towers.halfhours()))


@pytest.fixture(scope="module")
def path(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return towers.write(tmp_path_factory.mktemp("tower"), table)


@pytest.mark.parametrize(
    "target", ["GPP_NT_VUT_REF", "GPP_DT_CUT_REF", "RECO_NT_VUT_USTAR50", "NEE_CUT_25", "NEE_VUT_REF"]
)
def test_days_equal_the_means_of_their_half_hours(path: Path, table: pd.DataFrame, target: str) -> None:
    flux = open_flux(path, target, min_qc=0.8)
    qc = _by_day(table[f"{TARGETS[target]}_QC"])
    share = (qc <= 1).mean(axis=1)
    np.testing.assert_allclose(flux["quality"], share, rtol=0, atol=1e-12)
    np.testing.assert_allclose(flux["measured"], (qc == 0).mean(axis=1), rtol=0, atol=1e-12)
    expected = np.where(share >= 0.8, _by_day(table[target]).mean(axis=1) * FACTOR, np.nan)
    np.testing.assert_allclose(flux[target], expected, rtol=1e-9)
    rows = flux.attrs["rows"]
    assert rows["in"] == 30 == sum(count for reason, count in rows.items() if reason != "in")
    assert 0 < rows["qc below 0.8"] == (share < 0.8).sum()
    assert flux.attrs["halfhour_rows"] == {"in": 1440, "repeated": 0, "out": 1440}
    assert "HH" in flux.attrs["aggregated"]


def test_drivers_are_means_and_rain_is_a_sum(path: Path, table: pd.DataFrame) -> None:
    flux = open_flux(path)
    for name, column in (("TA", "TA_F"), ("SW_IN", "SW_IN_F"), ("VPD", "VPD_F")):
        np.testing.assert_allclose(flux[name], _by_day(table[column]).mean(axis=1), rtol=1e-9)
        assert flux[name].attrs["column"] == column
    np.testing.assert_allclose(flux["P"], _by_day(table["P_F"]).sum(axis=1), rtol=1e-8, atol=1e-12)
    assert flux["P"].attrs["units"] == "mm d-1"


def test_the_uncertainty_of_a_day(path: Path, table: pd.DataFrame) -> None:
    flux = open_flux(path, min_qc=0.0)
    random = _by_day(table["NEE_VUT_REF_RANDUNC"])
    expected = np.sqrt(np.nansum(random**2, axis=1)) / np.isfinite(random).sum(axis=1) * FACTOR
    np.testing.assert_allclose(flux["random_uncertainty"], expected, rtol=1e-8)
    spread = np.abs(table["GPP_NT_VUT_84"] - table["GPP_NT_VUT_16"]).mean() / 2 * FACTOR
    np.testing.assert_allclose(flux["ustar_spread"], spread, rtol=1e-6)
    np.testing.assert_allclose(flux["joint_uncertainty"], np.hypot(expected, spread), rtol=1e-6)
    np.testing.assert_allclose(flux["ntdt_spread"], 0.15 * FACTOR, rtol=1e-6)
    for name in ("random_uncertainty", "joint_uncertainty", "ustar_spread", "ntdt_spread"):
        assert flux[name].attrs["units"] == "gC m-2 d-1"
        assert flux[name].attrs["formula"]
    assert "upper bound" in flux["ustar_spread"].attrs["formula"]
    assert "ntdt_spread" not in open_flux(path, "NEE_VUT_REF")


@pytest.mark.parametrize("target", ["NEE_VUT_MEAN", "GPP_DT_CUT_MEAN"])
def test_the_qc_of_the_mean_of_versions_is_a_share(tmp_path: Path, table: pd.DataFrame, target: str) -> None:
    """CH-Cha's file has 0 where every version's flag is 3: a share of good versions. As a flag, 0 is 'measured'."""
    share = np.random.default_rng(4).choice([0.0, 0.45, 0.8, 1.0], len(table))
    path = towers.write(tmp_path, table.assign(**{TARGETS[target] + "_QC": share}))
    flux, halves = open_flux(path, target, min_qc=0.6), open_flux(path, target, min_qc=0.6, resolution="HH")
    daily = _by_day(share).mean(axis=1)
    np.testing.assert_allclose(flux["quality"], daily, rtol=1e-12)
    assert flux.attrs["rows"]["qc below 0.6"] == (daily < 0.6).sum() > 0
    assert halves.attrs["rows"]["qc below 0.6"] == (share < 0.6).sum()
    assert "measured" not in flux
    assert "all versions" in flux["quality"].attrs["long_name"]
    assert flux.attrs["closure"] == open_flux(path).attrs["closure"]


def test_the_joint_uncertainty_of_a_day_is_no_mean_of_half_hours(path: Path) -> None:
    flux = open_flux(path, "NEE_VUT_REF", min_qc=0.0)  # half-hourly column: 9 throughout
    np.testing.assert_allclose(
        flux["joint_uncertainty"], np.hypot(flux["random_uncertainty"], flux["ustar_spread"]), rtol=1e-12
    )
    assert "upper bound" in flux["joint_uncertainty"].attrs["formula"]
    halves = open_flux(path, "NEE_VUT_REF", min_qc=0.0, resolution="HH")
    assert (halves["joint_uncertainty"] == 9.0).all()


def test_days_of_half_hours_equal_the_daily_table(tmp_path: Path, table: pd.DataFrame, path: Path) -> None:
    """The DD table of the same product, made by ONEFlux's rules, with its factor of 12.01 g mol-1."""
    daily = pd.DataFrame({"TIMESTAMP": pd.to_datetime(table["TIMESTAMP_START"].iloc[::48]).dt.strftime("%Y%m%d")})
    for name in ("GPP_NT_VUT_REF", "GPP_DT_VUT_REF", "NEE_VUT_REF", "GPP_NT_VUT_16", "GPP_NT_VUT_84"):
        daily[name] = _by_day(table[name]).mean(axis=1) * 1.03772448
    random = _by_day(table["NEE_VUT_REF_RANDUNC"])
    daily["NEE_VUT_REF_RANDUNC"] = np.sqrt(np.nansum(random**2, 1)) / np.isfinite(random).sum(1) * 1.03772448
    daily["NEE_VUT_REF_QC"] = (_by_day(table["NEE_VUT_REF_QC"]) <= 1).mean(axis=1)
    daily["TA_F"], daily["P_F"] = _by_day(table["TA_F"]).mean(axis=1), _by_day(table["P_F"]).sum(axis=1)
    direct = open_flux(towers.write(tmp_path, daily, fakes.name("DD")))
    made = open_flux(path)
    names = [TARGET, "quality", "random_uncertainty", "ustar_spread", "joint_uncertainty", "ntdt_spread", "TA", "P"]
    for name in names:
        np.testing.assert_allclose(made[name], direct[name], rtol=1.1e-4, err_msg=name)
    both = {fakes.name("HH"): table, fakes.name("DD"): daily.fillna(-9999)}
    assert "aggregated" not in open_flux(fakes.write_zip(tmp_path, both)).attrs


def test_hours_are_read_like_half_hours(tmp_path: Path) -> None:
    table = towers.oneflux(towers.exchange(towers.halfhours(minutes=60), 60), 60)
    flux = open_flux(towers.write(tmp_path, table, fakes.name("HR")), min_qc=0.0)
    np.testing.assert_allclose(flux[TARGET], _by_day(table[TARGET], 24).mean(axis=1) * FACTOR, rtol=1e-9)


def test_half_hours_themselves(path: Path, table: pd.DataFrame) -> None:
    flux = open_flux(path, resolution="HH")
    good = table["NEE_VUT_REF_QC"] <= 1
    np.testing.assert_allclose(flux[TARGET], table[TARGET].where(good), rtol=1e-9)
    assert (flux[TARGET].attrs["units"], flux["P"].attrs["units"]) == ("umol m-2 s-1", "mm")
    assert flux.attrs["rows"]["neither measured nor well filled (qc above 1)"] == (~good).sum()
    np.testing.assert_allclose(flux["joint_uncertainty"] ** 2, flux["random_uncertainty"] ** 2 + 0.2**2)
    assert np.isfinite(open_flux(path, resolution="HH", min_qc=0)[TARGET]).all()


def test_a_day_with_a_hole_is_missing_and_counted(tmp_path: Path, table: pd.DataFrame) -> None:
    holed = table.copy()
    holed.loc[48 * 3 + 20, TARGET] = np.nan  # one half-hour of the fourth day
    holed = holed.drop(index=[48 * 7 + 5])  # and the row of one of the eighth
    holed.loc[48 * 9 : 48 * 10 - 1, TARGET] = np.nan  # the whole tenth day
    flux = open_flux(towers.write(tmp_path, holed), min_qc=0.0)
    assert np.flatnonzero(np.isnan(flux[TARGET])).tolist() == [3, 7, 9]
    assert (flux.attrs["rows"]["incomplete day"], flux.attrs["rows"]["missing target"]) == (2, 1)
    assert flux.attrs["gaps"] == {"missing": 1, "gaps": 1, "longest_days": pytest.approx(1 / 48)}
    assert flux["quality"][7] < 1


def test_drivers_need_most_of_the_day(tmp_path: Path, table: pd.DataFrame) -> None:
    holed = table.copy()
    holed.loc[0:3, "TA_F"] = np.nan  # 4 of 48 half-hours
    holed.loc[48 : 48 + 4, "TA_F"] = np.nan  # 5 of 48
    flux = open_flux(towers.write(tmp_path, holed))
    assert float(flux["TA"][0]) == pytest.approx(table["TA_F"][4:48].mean())
    assert np.isnan(flux["TA"][1])
    assert np.isfinite(flux["TA"][2:]).all()


def test_leap_days_are_days(tmp_path: Path) -> None:
    time = towers.halfhours("2020-02-27", days=4)
    flux = open_flux(towers.write(tmp_path, towers.oneflux(towers.exchange(time))), min_qc=0)
    assert pd.DatetimeIndex(flux["time"]).strftime("%m%d").tolist() == ["0227", "0228", "0229", "0301"]
    assert flux.attrs["gaps"]["missing"] == 0


def test_shuffled_and_repeated_rows_change_nothing_but_the_account(
    tmp_path: Path, table: pd.DataFrame, path: Path
) -> None:
    rng = np.random.default_rng(3)
    again = pd.concat([table, table.iloc[[5, 700]]])
    mixed = open_flux(towers.write(tmp_path, again.iloc[rng.permutation(len(again))]))
    plain = open_flux(path)
    for name in plain.data_vars:
        np.testing.assert_allclose(mixed[name], plain[name], rtol=1e-12)
    assert mixed.attrs["halfhour_rows"] == {"in": 1442, "repeated": 2, "out": 1440}
    assert mixed.attrs["repairs"]["rows out of order"] > 1000


def test_two_files_of_one_site_that_disagree(tmp_path: Path) -> None:
    days = fakes.daily(days=20)
    first = fakes.write_csv(tmp_path, days.iloc[:12], "FLX_XX-T01_FLUXNET2015_FULLSET_DD_2018-2019_1-4.csv")
    other = days.iloc[10:].copy()
    second = fakes.write_csv(tmp_path, other, "FLX_XX-T01_FLUXNET2015_FULLSET_DD_2019-2019_1-4.csv")
    joined = open_flux([second, first], min_qc=0.0)
    assert (joined.sizes["time"], joined.attrs["rows"]["repeated"]) == (20, 2)
    other.loc[11, TARGET] = 7.25
    fakes.write_csv(tmp_path, other, second.name)
    with pytest.raises(FileError, match=rf"12, {TARGET} is .* in {first.name} and 7.25 in {second.name}"):
        open_flux([first, second])


def test_only_coarse_tables(tmp_path: Path) -> None:
    table = fakes.daily(days=3)
    yearly = towers.write(tmp_path, table.assign(TIMESTAMP=["2017", "2018", "2019"]), fakes.name("YY"))
    with pytest.raises(ProductError, match="Ask for resolution YY"):
        open_flux(yearly)
    flux = open_flux(yearly, resolution="YY", min_qc=0.0)
    assert flux[TARGET].attrs["units"] == "gC m-2 y-1"
    monthly = towers.write(tmp_path, table.assign(TIMESTAMP=["201901", "201902", "201903"]), fakes.name("MM"))
    months = open_flux(monthly, resolution="MM", min_qc=0.0)
    assert months[TARGET].attrs["units"] == "gC m-2 d-1"
    assert months.attrs["resolution"] == "MM"


def test_the_account_as_lines(path: Path) -> None:
    lines = describe_quality(open_flux(path).attrs)
    assert lines[0] == f"XX-T01: {TARGET}"
    assert lines[1].split() == ["30", "in"]
    assert any("qc below 0.75" in line for line in lines)
    closure = next(line for line in lines if "closure" in line)
    assert "slope 0.8" in closure
    assert "n " in closure


def test_closure_counts_measured_half_hours_alone(path: Path, table: pd.DataFrame) -> None:
    both = (table["H_F_MDS_QC"] == 0) & (table["LE_F_MDS_QC"] == 0)
    closure = open_flux(path).attrs["closure"]
    assert (closure["n"], closure["slope"]) == (both.sum(), pytest.approx(0.8, abs=1e-4))


def test_agreement_drops_the_outer_differences(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = fakes.daily(days=200)
    table["GPP_DT_VUT_REF"] = table[TARGET] + rng.normal(0, 1, 200)
    path = fakes.write_csv(tmp_path, table, fakes.name("DD"))
    every, kept = open_flux(path, min_qc=0.0), open_flux(path, min_qc=0.0, agreement=0.95)
    difference = (table[TARGET] - table["GPP_DT_VUT_REF"]).to_numpy()
    low, high = np.quantile(difference, [0.025, 0.975])
    np.testing.assert_array_equal(np.isfinite(kept[TARGET]), (difference >= low) & (difference <= high))
    assert kept.attrs["rows"]["NT - DT outside its central 95%"] == 10
    assert every.attrs["rows"]["out"] - kept.attrs["rows"]["out"] == 10
    with pytest.raises(VariableError, match="no other partitioning"):
        open_flux(path, "NEE_VUT_REF", agreement=0.95)


def test_mean_of_parts_is_the_mean_without_gaps_and_unbiased_by_gaps_at_night() -> None:
    time = towers.halfhours(days=10)
    days = group_days(time, 30)
    light = towers.sunshine(time)
    values, night = light / 40, light <= 0
    np.testing.assert_allclose(days.mean_of_parts(values, night), days.mean(values), rtol=1e-12)
    gappy = np.where(night & (np.arange(time.size) % 3 > 0), np.nan, values)
    np.testing.assert_allclose(days.mean_of_parts(gappy, night), days.mean(values), rtol=1e-12)
    assert (days.mean(gappy, 0.1) > 1.2 * days.mean(values)).all()  # the plain mean is not
