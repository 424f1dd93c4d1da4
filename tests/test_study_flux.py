"""A study whose towers come as different products: whatever the network gave, in one folder."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr

from ecoembed import open_study

from .study_helpers import run_cli

OWN = """
site = "{site}"
utc_offset = {offset}
[time]
column = "TIMESTAMP_END"
stamp = "end"
zone = "local"
[columns]
GPP_NT = {{column = "gpp", unit = "umol m-2 s-1"}}
USTAR = {{column = "ustar", unit = "m s-1"}}
WD = {{column = "wind", unit = "degree"}}
SW_IN = {{column = "light", unit = "W m-2"}}
TA = {{column = "air", unit = "K"}}
VPD = {{column = "vpd", unit = "kPa"}}
P = {{column = "rain", unit = "mm"}}
"""


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "study"))


def members(folder: Path, site: str) -> dict[str, pd.DataFrame]:
    """Take a site's zip out of flux/; its tables by resolution, as text."""
    path = next((folder / "flux").glob(f"*{site}*"))
    with zipfile.ZipFile(path) as archive:
        tables = {n.split("_")[4]: pd.read_csv(io.BytesIO(archive.read(n)), dtype=str) for n in archive.namelist()}
    path.unlink()
    return tables


def with_fluxes(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The half-hours, with each day's GPP and quality spread evenly over them: umol m-2 s-1 and ONEFlux's flag."""
    half, days = tables["HH"], tables["DD"].set_index("TIMESTAMP")[["GPP_NT_VUT_REF", "NEE_VUT_REF_QC"]].astype(float)
    day = days.reindex(half["TIMESTAMP_START"].str[:8]).set_axis(half.index)
    place = half.groupby(half["TIMESTAMP_START"].str[:8]).cumcount()
    gpp = (day["GPP_NT_VUT_REF"] / (12.011e-6 * 86400)).where(day["GPP_NT_VUT_REF"] != -9999, -9999)
    return half.assign(GPP_NT_VUT_REF=gpp, NEE_VUT_REF_QC=(place >= (48 * day["NEE_VUT_REF_QC"]).round()) * 2)


def test_towers_of_four_products_are_compared_in_one_study(copy):
    """Days and half-hours in two files; half-hours only; a workbook; an own table with its TOML."""
    before = {site: open_study(copy).flux(site) for site in ("XX-V01", "XX-V02", "XX-V03", "XX-V04")}
    flux = copy / "flux"
    for kind, table in members(copy, "XX-V01").items():
        table.to_csv(flux / f"FLX_XX-V01_FLUXNET2015_FULLSET_{kind}_2019-2019_1-4.csv", index=False)
    halfhours = with_fluxes(members(copy, "XX-V02"))
    halfhours.to_csv(flux / "FLX_XX-V02_FLUXNET2015_FULLSET_HH_2019-2019_1-4.csv", index=False)
    days = members(copy, "XX-V03")["DD"].apply(pd.to_numeric)
    days.to_excel(flux / "FLX_XX-V03_FLUXNET2015_SUBSET_DD_2019-2019_1-4.xlsx", index=False)
    half = with_fluxes(members(copy, "XX-V04"))
    number = half.drop(columns=["TIMESTAMP_START", "TIMESTAMP_END"]).astype(float).where(lambda v: v != -9999)
    measured = number["NEE_VUT_REF_QC"] <= 1
    own = pd.DataFrame(
        {
            "TIMESTAMP_END": half["TIMESTAMP_END"],
            "gpp": number["GPP_NT_VUT_REF"].where(measured),
            "ustar": number["USTAR"],
            "wind": number["WD"],
            "light": number["SW_IN_F"],
            "air": number["TA_F"] + 273.15,
            "vpd": number["VPD_F"] / 10,
            "rain": number["P_F"],
        }
    )
    own.fillna(-9999).to_csv(flux / "tower.csv", index=False)
    sites = pd.read_csv(copy / "sites.csv", dtype=str).set_index("site_id")
    offset = float(sites.loc["XX-V04", "utc_offset"])
    sites.loc["XX-V04", "utc_offset"] = ""  # the description knows it
    sites.to_csv(copy / "sites.csv")
    (flux / "tower.toml").write_text(OWN.format(site="XX-V04", offset=offset))
    (flux / "FLX_ZZ-Zzz_FLUXNET2015_FULLSET_DD_2019-2019_1-4.csv").write_text("TIMESTAMP\n")
    (copy / "study.toml").write_text(
        '[flux]\ntarget = ["GPP_NT_VUT_REF", "GPP_NT"]\nmin_qc = 0.5\n[footprint]\nmodel = "kormann"\n'
        'period = "month"\n[benchmark]\nfeatures = ["bands", "bands+meteo"]\nregressors = ["ridge"]\n'
    )

    run = open_study(copy).run()

    assert not run.failures
    assert run.foreign == {"FLX_ZZ-Zzz_FLUXNET2015_FULLSET_DD_2019-2019_1-4.csv": "of ZZ-Zzz"}
    account = run.benchmark.record["feature_table"]["flux"]
    assert {site: about["target"] for site, about in account.items()} == {
        **dict.fromkeys(("XX-V01", "XX-V02", "XX-V03"), "GPP_NT_VUT_REF"),
        "XX-V04": "GPP_NT",
    }
    for about in account.values():
        assert about["rows"]["in"] == sum(n for reason, n in about["rows"].items() if reason != "in")
    study = open_study(copy)
    for site, table in before.items():
        now = study.flux(site)
        target = now[account[site]["target"]].to_series().dropna()
        both = target.to_frame("now").join(table["GPP_NT_VUT_REF"].to_series().dropna().rename("then"), how="inner")
        assert len(both) > 20, site
        # an own table's gaps are left out of a day, where ONEFlux fills them
        assert both["now"].corr(both["then"]) > (0.97 if site == "XX-V04" else 0.99999), site
    for site in ("XX-V01", "XX-V02"):
        weights = study.footprint(site)
        assert weights.dims == ("month", "y", "x")
        assert "Kormann" in weights.attrs["method"]
    assert "no half-hourly" in run.fallbacks["XX-V03"]
    assert "absent" in run.fallbacks["XX-V04"]  # neither heat flux nor pressure, so no Obukhov length
    html = run.report.read_text(encoding="utf-8")
    for words in ("own table HH", "GPP_NT_VUT_REF or GPP_NT", "flux/FLX_ZZ-Zzz"):
        assert words in html
    assert run.report.parent.parent.name == "GPP_NT_VUT_REF+GPP_NT"
    printed = run_cli("run", copy)
    assert printed.returncode == 0, printed.stderr
    assert "OF NO SITE flux/FLX_ZZ-Zzz" in printed.stderr
    assert "own table" in printed.stdout


def test_what_hides_a_site_is_told(copy):
    """A wrong TOML hides whose table it is: the site that has none is told what could not be read."""
    flux = copy / "flux"
    members(copy, "XX-V04")
    (flux / "tower.csv").write_text("a,b\n1,2\n")
    (flux / "tower.toml").write_text('site = "XX-V04"\n[time]\ncolum = "a"\n')
    (flux / "lonely.toml").write_text("")
    (flux / "notes.csv").write_text("to,do\n1,2\n")
    run = open_study(copy).run()
    assert list(run.failures) == ["XX-V04"]
    assert "no flux file" in run.failures["XX-V04"]
    assert "Did you mean 'column'?" in run.failures["XX-V04"]
    assert set(run.foreign) == {"tower.csv", "lonely.toml", "notes.csv"}
    html = run.report.read_text(encoding="utf-8")
    for words in ("XX-V04", "flux/lonely.toml", "flux/notes.csv"):
        assert words in html


def test_one_collection_holds_all_towers(copy):
    study = open_study(copy)
    names = list(study.sites.index)
    tables = [study.flux(site)[["GPP_NT_VUT_REF", "quality", "SW_IN"]].drop_attrs() for site in names]
    tower = xr.concat(tables, pd.Index(names, name="station")).rename(GPP_NT_VUT_REF="gpp", quality="qc", SW_IN="light")
    for path in (copy / "flux").iterdir():
        path.unlink()
    tower.to_netcdf(copy / "flux" / "towers.nc")
    (copy / "flux" / "towers.toml").write_text(
        'site_column = "station"\n[time]\ncolumn = "time"\nstamp = "start"\nzone = "local"\n[columns]\n'
        'GPP_NT = {column = "gpp", unit = "gC m-2 d-1"}\nGPP_NT_QC = {column = "qc", unit = "1"}\n'
        'SW_IN = {column = "light", unit = "W m-2"}\n'
    )
    (copy / "study.toml").write_text(
        '[flux]\ntarget = "GPP_NT"\n[benchmark]\nfeatures = ["bands", "nirv_x_radiation"]\nregressors = ["ridge"]\n'
    )
    run = open_study(copy).run()
    assert not run.failures
    assert not run.foreign
    assert set(run.fallbacks) == set(names)  # days hold no turbulence
    for site, table in zip(names, tables, strict=True):
        now = open_study(copy).flux(site)["GPP_NT"]
        xr.testing.assert_allclose(now.drop_attrs().dropna("time"), table["GPP_NT_VUT_REF"].dropna("time"))
