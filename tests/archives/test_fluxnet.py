from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecoembed import open_flux
from ecoembed.archives.flux.reader import open_halfhours
from ecoembed.errors import ConfigError, FileError, ProductError, VariableError
from tests.archives import fakes

TARGET = "GPP_NT_VUT_REF"


def test_csv_and_zip_give_the_same(tmp_path: Path) -> None:
    table = fakes.daily()
    alone = open_flux(fakes.write_csv(tmp_path, table, fakes.name("DD")))
    members = {
        fakes.name("HH"): fakes.halfhourly(),
        fakes.name("DD"): table,
        fakes.name("DD", "ERAI"): table[["TIMESTAMP"]].assign(TA_ERA=1.0, P_ERA=0.0),
        "README.txt": "not a table",
    }
    zipped = open_flux(fakes.write_zip(tmp_path, members))
    assert zipped.identical(alone)
    assert alone.attrs["site"] == fakes.SITE
    assert alone.attrs["product"] == "FLUXNET2015 FULLSET DD"
    assert np.isnan(alone.attrs["utc_offset"])
    assert alone["time"].dtype == "datetime64[ns]"
    assert {v: alone[v].attrs["units"] for v in (TARGET, "TA", "SW_IN", "VPD", "P", "quality")} == {
        TARGET: "gC m-2 d-1",
        "TA": "degC",
        "SW_IN": "W m-2",
        "VPD": "hPa",
        "P": "mm d-1",
        "quality": "1",
    }


@pytest.mark.parametrize(
    ("target", "qc", "uncertainty"),
    [
        ("GPP_NT_VUT_REF", "NEE_VUT_REF_QC", "NEE_VUT_REF_RANDUNC"),
        ("GPP_DT_VUT_REF", "NEE_VUT_REF_QC", "NEE_VUT_REF_RANDUNC"),
        ("GPP_DT_CUT_REF", "NEE_CUT_REF_QC", "NEE_CUT_REF_RANDUNC"),
        ("RECO_NT_VUT_REF", "NEE_VUT_REF_QC", "NEE_VUT_REF_RANDUNC"),
        ("NEE_VUT_USTAR50", "NEE_VUT_USTAR50_QC", "NEE_VUT_USTAR50_RANDUNC"),
    ],
)
def test_days_are_filtered_by_the_targets_own_qc(tmp_path: Path, target: str, qc: str, uncertainty: str) -> None:
    table = fakes.daily()
    flux = open_flux(fakes.write_csv(tmp_path, table, fakes.name("DD")), target, min_qc=0.6)
    np.testing.assert_allclose(flux[target], table[target].where(table[qc] >= 0.6))
    assert np.isfinite(flux[target]).sum() == (table[qc] >= 0.6).sum() < len(table)
    assert flux["quality"].attrs["column"] == qc
    assert flux["random_uncertainty"].attrs["formula"].startswith(uncertainty)
    assert np.isfinite(flux["TA"]).all()  # the drivers of a failed day stay


def test_every_lost_day_is_counted_once(tmp_path: Path) -> None:
    table = fakes.daily(days=10)
    table[TARGET] = [-9999, -9999, 1, 1, 1, -1, 1, 1, 1, 1]
    table["NEE_VUT_REF_QC"] = [0.1, 1, -9999, 0.5, 0.74, 0.75, 1, 1, 1, 1]
    flux = open_flux(fakes.write_csv(tmp_path, table, fakes.name("DD")))
    assert flux.attrs["rows"] == {
        "in": 10,
        "missing target": 2,
        "missing qc": 1,
        "qc below 0.75": 2,
        "out": 5,
    }
    assert flux.attrs["negative"] == 1
    assert flux[TARGET].values[5] == -1
    assert not (flux.to_array() == -9999).any()


def test_unsorted_days_are_sorted_and_repeated_ones_counted(tmp_path: Path) -> None:
    table = fakes.daily(days=6)
    mixed = table.iloc[[3, 0, 5, 1, 2, 4, 1]]
    flux = open_flux(fakes.write_csv(tmp_path, mixed, fakes.name("DD")), min_qc=0.0)
    assert flux.indexes["time"].is_monotonic_increasing
    np.testing.assert_allclose(flux[TARGET], table[TARGET])
    assert (flux.attrs["rows"]["in"], flux.attrs["rows"]["repeated"], flux.attrs["rows"]["out"]) == (7, 1, 6)
    contradictory = table.iloc[[0, 1, 1]].assign(**{TARGET: [1.0, 2.0, 3.0]})
    with pytest.raises(FileError, match=r"repeated with different values.*2019-03-02, GPP_NT_VUT_REF is 2 and 3"):
        open_flux(fakes.write_csv(tmp_path, contradictory, fakes.name("DD")))


def test_utc_offset_and_site_are_taken_from_the_caller(tmp_path: Path) -> None:
    path = fakes.write_csv(tmp_path, fakes.daily(), "daily.csv")
    with pytest.raises(ProductError, match=r"no site ID.*rename it, or say which site it is"):
        open_flux(path)
    flux = open_flux(path, site="XX-T02", utc_offset=-3.5)
    assert (flux.attrs["site"], flux.attrs["utc_offset"]) == ("XX-T02", -3.5)


def test_wrong_unit_is_suspected(tmp_path: Path) -> None:
    table = fakes.daily()
    table.loc[3, TARGET] = 55.0
    with pytest.warns(UserWarning, match=r"GPP_NT_VUT_REF 55 gC m-2 d-1: is this umol m-2 s-1\? 1 of 60 values"):
        open_flux(fakes.write_csv(tmp_path, table, fakes.name("DD")))


def test_absent_target_or_qc_lists_close_names(tmp_path: Path) -> None:
    path = fakes.write_csv(tmp_path, fakes.daily(), fakes.name("DD"))
    with pytest.raises(VariableError, match=r"GPP_NT_CUT_REF absent.*GPP_NT_VUT_REF"):
        open_flux(path, "GPP_NT_CUT_REF")
    with pytest.raises(VariableError, match="GPP_NT_VUT_SE is not a carbon flux"):
        open_flux(path, "GPP_NT_VUT_SE")
    with pytest.raises(ConfigError, match="min_qc"):
        open_flux(path, min_qc=75)
    bare = fakes.write_csv(tmp_path, fakes.daily().drop(columns="NEE_VUT_REF_QC"), fakes.name("DD"))
    with pytest.raises(
        VariableError, match=r"QC column of GPP_NT_VUT_REF absent.*expected NEE_VUT_REF_QC.*NEE_CUT_REF_QC"
    ):
        open_flux(bare)


def test_reference_versions_are_suggested_first(tmp_path: Path) -> None:
    names = [f"GPP_{m}_{t}_{v}" for t in ("CUT", "VUT") for m in ("DT", "NT") for v in ("05", "25", "REF", "MEAN")]
    table = fakes.daily().iloc[:, :1].assign(**dict.fromkeys(["NEE_VUT_REF", *names], 1.0))
    path = fakes.write_csv(tmp_path, table, fakes.name("DD"))
    for given in ("GPP", "gpp"):
        with pytest.raises(VariableError, match=r"closest targets here: GPP_NT_VUT_REF, GPP_DT_VUT_REF, GPP_NT_CUT"):
            open_flux(path, given)


def test_a_folder_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"this is a folder.*Give the file itself"):
        open_flux(tmp_path)


def test_other_products_are_named(tmp_path: Path) -> None:
    monthly = fakes.daily(days=3).assign(TIMESTAMP=["201901", "201902", "201903"])
    with pytest.raises(ProductError, match=r"no daily, half-hourly or hourly table.*monthly.*resolution MM"):
        open_flux(fakes.write_csv(tmp_path, monthly, fakes.name("MM")))
    weekly = fakes.daily(days=2).drop(columns="TIMESTAMP")
    weekly.insert(0, "TIMESTAMP_END", ["20190107", "20190114"])
    weekly.insert(0, "TIMESTAMP_START", ["20190101", "20190108"])
    with pytest.raises(ProductError, match=r"weekly ONEFlux.*resolution WW"):
        open_flux(fakes.write_csv(tmp_path, weekly, fakes.name("WW")))
    with pytest.raises(ProductError, match="table of unknown origin"):
        open_flux(fakes.write_csv(tmp_path, fakes.daily()[["TA_F"]], "other.csv"))


def test_another_site_is_refused(tmp_path: Path) -> None:
    path = fakes.write_csv(tmp_path, fakes.daily(), fakes.name("DD"))
    with pytest.raises(ProductError, match=r"of another site \(found XX-T01; expected XX-T02\)"):
        open_flux(path, site="XX-T02")


def test_several_daily_tables_are_refused(tmp_path: Path) -> None:
    members = {fakes.name("DD"): fakes.daily(), fakes.name("DD", "SUBSET"): fakes.daily()}
    with pytest.raises(ProductError, match=r"2 daily tables.*FULLSET_DD.*SUBSET_DD.*only one of them"):
        open_flux(fakes.write_zip(tmp_path, members))


@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
def test_truncated_zip(tmp_path: Path, share: float) -> None:
    path = fakes.truncate(fakes.write_zip(tmp_path, {fakes.name("DD"): fakes.daily()}), share)
    before = path.read_bytes()
    with pytest.raises(FileError, match="truncated"):
        open_flux(path)
    assert path.read_bytes() == before


def test_zip_with_a_flipped_byte(tmp_path: Path) -> None:
    path = fakes.write_zip(tmp_path, {fakes.name("DD"): fakes.daily()})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(FileError):
        open_flux(path)


def test_truncated_csv(tmp_path: Path) -> None:
    path = fakes.write_csv(tmp_path, fakes.daily(), fakes.name("DD"))
    text = path.read_text()
    path.write_text(text[: text.rstrip().rfind(",", 0, int(len(text) * 0.9))])
    with pytest.raises(FileError, match="damaged or truncated"):
        open_flux(path)
    with pytest.raises(FileError, match="no such file"):
        open_flux(tmp_path / "absent.csv")


@pytest.mark.parametrize("member", ["../FLX_XX-T01_DD.csv", "/tmp/FLX_XX-T01_DD.csv", "C:\\FLX_XX-T01_DD.csv"])  # noqa: S108
def test_members_that_leave_the_archive_are_refused(tmp_path: Path, member: str) -> None:
    path = tmp_path / "FLX_XX-T01_FULLSET.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo(member), fakes.daily().to_csv(index=False))
    with pytest.raises(FileError, match="leaves the archive"):
        open_flux(path)


def test_halfhours(tmp_path: Path) -> None:
    table = fakes.halfhourly()
    table.loc[4, "USTAR"] = -9999
    path = fakes.write_zip(tmp_path, {fakes.name("HH"): table, fakes.name("DD"): fakes.daily()})
    halfhours = open_halfhours(path)
    assert halfhours["time"].values[1] == np.datetime64("2019-03-01T00:30")
    assert np.isnan(halfhours["USTAR"].values[4])
    assert halfhours.attrs["rows"] == {"in": 96, "repeated": 0, "missing USTAR": 1, "out": 95}
    assert {v: a.attrs["units"] for v, a in halfhours.data_vars.items()} == {
        "USTAR": "m s-1",
        "WD": "degree",
        "WS": "m s-1",
        "H": "W m-2",
        "TA": "degC",
        "PA": "kPa",
        "SW_IN": "W m-2",
    }
    few = fakes.write_csv(tmp_path, table.drop(columns=["WD", "H_F_MDS"]), fakes.name("HH"))
    assert "WD" not in open_halfhours(few)
    with pytest.raises(VariableError, match="USTAR absent"):
        open_halfhours(fakes.write_csv(tmp_path, table.drop(columns="USTAR"), fakes.name("HH", "SUBSET")))
    with pytest.raises(ProductError, match=r"no half-hourly or hourly table.*daily ONEFlux"):
        open_halfhours(fakes.write_csv(tmp_path, fakes.daily(), fakes.name("DD")))


def test_hourly_sites_are_read_too(tmp_path: Path) -> None:
    path = fakes.write_csv(tmp_path, fakes.halfhourly(minutes=60), fakes.name("HR"))
    assert open_halfhours(path).attrs["product"] == "FLUXNET2015 FULLSET HR"


def test_two_offsets_and_two_sites_are_refused(tmp_path: Path) -> None:
    days = fakes.daily(days=5)[["TIMESTAMP", TARGET]]
    both = pd.concat([days.assign(station=site) for site in ("XX-T01", "XX-T02")])
    both.to_csv(tmp_path / "all.csv", index=False)
    toml = tmp_path / "all.toml"
    toml.write_text(
        'site_column = "station"\nutc_offset = 1.0\n[time]\ncolumn = "TIMESTAMP"\nstamp = "start"\nzone = "local"\n'
        f'[columns]\nGPP = {{column = "{TARGET}", unit = "gC m-2 d-1"}}\n'
    )
    with pytest.raises(ProductError, match=r"several sites \(found XX-T01, XX-T02.*Pass site="):
        open_flux(tmp_path / "all.csv", "GPP", 0.0, description=toml)
    one = open_flux(tmp_path / "all.csv", "GPP", 0.0, description=toml, site="XX-T02")
    assert (one.attrs["site"], one.attrs["utc_offset"], one.sizes["time"]) == ("XX-T02", 1.0, 5)
    with pytest.raises(ProductError, match=r"another UTC offset.*\+2 h; expected \+1 h"):
        open_flux(tmp_path / "all.csv", "GPP", 0.0, description=toml, site="XX-T02", utc_offset=2.0)
    with pytest.raises(ConfigError, match="resolution"):
        open_flux(tmp_path / "all.csv", "GPP", resolution="daily")


def test_two_versions_of_a_zip_are_named_by_the_zips(tmp_path: Path) -> None:
    member, old, new = fakes.name("DD"), fakes.daily(), fakes.daily()
    new.loc[3, TARGET] = 99.0
    paths = [fakes.write_zip(tmp_path, {member: table}, f"v{i}.zip") for i, table in enumerate((old, new))]
    with pytest.raises(FileError, match=rf"in v0.zip/{member} and .* in v1.zip/{member}"):
        open_flux(paths)
    (tmp_path / "again").mkdir()
    twin = fakes.write_zip(tmp_path / "again", {member: new}, "v0.zip")
    with pytest.raises(FileError, match=rf"in .*{tmp_path.name}/v0.zip/{member} and .*again/v0.zip/{member}"):
        open_flux([paths[0], twin])
    strange = new.rename(columns={name: f"X_{name}" for name in new.columns if not name.startswith(("TIME", "GPP"))})
    with pytest.raises(ProductError, match=rf"found v0.zip/{member}, v2.zip/{member}"):
        open_flux([paths[0], fakes.write_zip(tmp_path, {member: strange}, "v2.zip")])


@pytest.mark.parametrize("resolution", ["WW", "MM", "YY"])
def test_longer_periods_are_read_and_never_made(tmp_path: Path, resolution: str) -> None:
    path = fakes.write_csv(tmp_path, fakes.daily(), fakes.name("DD"))
    with pytest.raises(ProductError, match=r"Weeks, months and years are read.*never made here: ask for DD"):
        open_flux(path, resolution=resolution)
