"""A user's own tables and collections, described by a TOML."""

from __future__ import annotations

import pydoc
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ecoembed import open_flux
from ecoembed.archives.flux import owntable
from ecoembed.archives.flux.files import OWN, find_tables, read_columns
from ecoembed.errors import ConfigError, FileError, UnitError

PLAIN = """
utc_offset = 1.0
[time]
column = "when"
format = "%Y-%m-%d %H:%M"
stamp = "start"
zone = "local"
[columns]
GPP_NT = {column = "gpp", unit = "umol m-2 s-1"}
TA = {column = "t", unit = "K"}
"""
COLUMNS = ["GPP_NT", "TA"]


def described(tmp_path: Path, toml: str = PLAIN, **changes: str) -> Path:
    path = tmp_path / "own.toml"
    for old, new in changes.items():
        toml = toml.replace(f"{old} =", f"{new} =") if not new.startswith("=") else replaced(toml, old, new)
    path.write_text(toml, encoding="utf-8")
    return path


def replaced(toml: str, key: str, value: str) -> str:
    lines = toml.splitlines()
    assert any(line.startswith(f"{key} =") for line in lines)
    return "\n".join(f"{key} {value}" if line.startswith(f"{key} =") else line for line in lines)


def half_hours(rows: int = 96, shift: str = "0min") -> pd.DataFrame:
    when = pd.date_range("2019-03-30", periods=rows, freq="30min") + pd.Timedelta(shift)
    return pd.DataFrame(
        {"when": when.strftime("%Y-%m-%d %H:%M"), "gpp": np.arange(rows) + 0.5, "t": 280.0, "x": "n/a?"}
    )


def written(tmp_path: Path, table: pd.DataFrame, name: str = "own.csv", **options: object) -> Path:
    table.to_csv(tmp_path / name, index=False, **options)
    return tmp_path / name


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    example = textwrap.dedent(owntable.__doc__.split("::\n\n", 1)[1].split("\n\nUTC stamps", 1)[0])
    (tmp_path / "own.toml").write_text(example, encoding="utf-8")
    (tmp_path / "tower.csv").write_text(
        "date;time;gpp;Tair;note\n;;umol m-2 s-1;degC;\n31.12.2022;23:30;-9999;3,5;Föhn\n31.12.2022;24:00;1,25;NAN;\n",
        encoding="latin-1",
    )
    (table,) = find_tables(tmp_path / "tower.csv", tmp_path / "own.toml")
    assert (table.family, table.resolution, table.site, table.utc_offset) == (OWN, "HH", "XX-Own", 1.0)
    assert (table.columns, table.product) == (("GPP_NT", "TA"), "our tower, 2023 HH")
    assert table.units == {"GPP_NT": "umol m-2 s-1", "TA": "degC"}
    assert table.originals == {"GPP_NT": "gpp", "TA": "Tair"}
    frame = read_columns(table, COLUMNS)
    # 23:30 UTC at the end of the half-hour is 00:00 of the next day at its start, one hour east
    assert [str(t) for t in frame.index] == ["2023-01-01 00:00:00", "2023-01-01 00:30:00"]
    np.testing.assert_array_equal(frame, [[np.nan, 3.5], [1.25, np.nan]])
    assert frame.attrs["repairs"] == {}


@pytest.mark.parametrize(
    ("line", "nearest"),
    [
        ("utc_offest = 1", "utc_offset"),
        ("decimals = ','", "decimal"),
        ("[time]\ncolum = 'when'\nstamp='end'\nzone='UTC'", "column"),
        ("[columns.TA]\ncolumn = 't'\nunits = 'K'", "unit"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(tmp_path: Path, line: str, nearest: str) -> None:
    toml = line if line.startswith("[") else f"{line}\n{PLAIN}"
    if "[columns.TA]" in line:
        toml = PLAIN.split("[columns]")[0] + line
    (tmp_path / "own.toml").write_text(toml)
    with pytest.raises(ConfigError, match=f"unknown key.*Did you mean '{nearest}'"):
        find_tables(written(tmp_path, half_hours()), tmp_path / "own.toml")


@pytest.mark.parametrize(
    ("toml", "match"),
    [
        ("not toml", "not valid TOML"),
        (PLAIN.replace('stamp = "start"', 'stamp = "begin"'), "time.stamp: .*'start', 'middle' or 'end'"),
        (PLAIN.replace('zone = "local"\n', ""), "time.zone: absent .expected UTC, or local"),
        (PLAIN.replace('stamp = "start"\n', ""), "time.stamp: absent .expected start, middle or end"),
        (PLAIN.replace('column = "gpp", ', ""), "columns.GPP_NT.column: absent .expected the table's own name"),
        (PLAIN.replace("utc_offset = 1.0", "utc_offset = 19"), "no such UTC offset .found 19.0 h"),
        (PLAIN.replace("utc_offset = 1.0", "").replace("local", "UTC"), "UTC stamps without the site's offset"),
        (PLAIN.replace("utc_offset = 1.0", 'site = "XX-A01"\nsite_column = "x"'), "both site and site_column"),
        (PLAIN.replace(', unit = "K"', ""), "columns.TA: no unit"),
        (PLAIN.replace('column = "gpp"', 'column = "ggp"'), "unknown column.*ggp.*Did you mean 'gpp'"),
        (PLAIN.replace('column = "when"', 'column = ["when", "x"]').replace("format", "# format"), "without a format"),
        (PLAIN.split("[columns]")[0], "columns: absent"),
        (PLAIN.replace('"%Y-%m-%d %H:%M"', '"%Y-%m-%d %Q"'), "time.format"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path: Path, toml: str, match: str) -> None:
    (tmp_path / "own.toml").write_text(toml)
    with pytest.raises(ConfigError, match=match):
        find_tables(written(tmp_path, half_hours()), tmp_path / "own.toml")


@pytest.mark.parametrize(("stamp", "shift"), [("start", "0min"), ("middle", "15min"), ("end", "30min")])
@pytest.mark.parametrize(("zone", "offset", "hours"), [("local", 1.0, 0.0), ("UTC", -3.5, 3.5), ("UTC", 5.75, -5.75)])
def test_all_conventions_give_the_same_times(
    tmp_path: Path, stamp: str, shift: str, zone: str, offset: float, hours: float
) -> None:
    toml = described(tmp_path, stamp=f'= "{stamp}"', zone=f'= "{zone}"', utc_offset=f"= {offset}")
    path = written(tmp_path, half_hours(shift=str(pd.Timedelta(shift) + pd.Timedelta(hours=hours))))
    (table,) = find_tables(path, toml)
    assert table.utc_offset == offset
    index = read_columns(table, COLUMNS).index
    assert (index[0], index[-1]) == (pd.Timestamp("2019-03-30"), pd.Timestamp("2019-03-31 23:30"))


@pytest.mark.parametrize("step", ["30min", "h", "D", "7D"])
def test_resolution_is_told_despite_gaps(tmp_path: Path, step: str) -> None:
    when = pd.date_range("2019-01-01", periods=60, freq=step).delete([3, 4, 20])
    table = pd.DataFrame({"when": when.strftime("%Y%m%d%H%M"), "gpp": 1.0, "t": 280.0})
    toml = described(tmp_path, format='= "%Y%m%d%H%M"')
    (found,) = find_tables(written(tmp_path, table), toml)
    assert found.resolution == {"30min": "HH", "h": "HR", "D": "DD", "7D": "WW"}[step]
    assert read_columns(found, ["TA"]).index.equals(when.as_unit("ns").rename("time"))


def test_stamps_of_digits_need_no_format(tmp_path: Path) -> None:
    table = half_hours()
    table["when"] = table["when"].str.replace(r"\D", "", regex=True)
    toml = tmp_path / "own.toml"
    toml.write_text(PLAIN.replace("format", "# format"))
    assert len(read_columns(find_tables(written(tmp_path, table), toml)[0], COLUMNS)) == 96
    with pytest.raises(FileError, match=r"cannot be read.*2019-03-30.*time\.format"):
        find_tables(written(tmp_path, half_hours()), toml)


@pytest.mark.parametrize("wrong", ["2019-02-30 00:00", "noon", "", "2019-03-30 24:30", "2019-03-30T01:00"])
def test_a_stamp_that_does_not_fit_is_named(tmp_path: Path, wrong: str) -> None:
    table = half_hours()
    table.loc[50, "when"] = wrong
    with pytest.raises(FileError, match="row 51 below the header, column when"):
        read_columns(find_tables(written(tmp_path, table), described(tmp_path))[0], COLUMNS)


def test_the_period_must_be_known_to_move_stamps(tmp_path: Path) -> None:
    toml = described(tmp_path, stamp='= "end"')
    with pytest.raises(FileError, match="length of the averaging period"):
        find_tables(written(tmp_path, half_hours(rows=1)), toml)


def several(tmp_path: Path) -> tuple[Path, pd.DataFrame]:
    tables = [
        half_hours().assign(station=site, gpp=np.arange(96.0) + 100 * k) for k, site in enumerate(("XX-A01", "XX-B02"))
    ]
    table = pd.concat(tables).sort_values("when", kind="stable")
    return written(tmp_path, table), table


def test_an_own_table_of_several_sites(tmp_path: Path) -> None:
    toml = described(
        tmp_path, 'site_column = "station"\n' + PLAIN, utc_offset="= {XX-A01 = 1, XX-B02 = -5}", zone='= "UTC"'
    )
    path, table = several(tmp_path)
    first, second = find_tables(path, toml)
    assert (first.site, second.site, first.sites) == ("XX-A01", "XX-B02", ("XX-A01", "XX-B02"))
    assert (first.utc_offset, second.utc_offset) == (1.0, -5.0)
    assert read_columns(first, ["TA"]).index[0] == pd.Timestamp("2019-03-30 01:00")
    frame = read_columns(second, ["GPP_NT"])
    assert frame.index[0] == pd.Timestamp("2019-03-29 19:00")
    np.testing.assert_array_equal(frame["GPP_NT"], table.loc[table["station"] == "XX-B02", "gpp"])
    toml = described(tmp_path, 'site_column = "station"\n' + PLAIN, utc_offset="= {XX-A01 = 1}", zone='= "UTC"')
    with pytest.raises(ConfigError, match="no utc_offset for XX-B02"):
        find_tables(path, toml)


def test_a_workbook_and_a_read_me_beside(tmp_path: Path) -> None:
    path = tmp_path / "own.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame({"about": ["made", "by hand"]}).to_excel(book, sheet_name="About", index=False)
        half_hours().to_excel(book, sheet_name="Data", index=False)
        half_hours().assign(when=pd.to_datetime(half_hours()["when"])).to_excel(book, sheet_name="Dates", index=False)
    toml = described(tmp_path)
    frame = read_columns(find_tables(written(tmp_path, half_hours()), toml)[0], COLUMNS)
    with pytest.raises(FileError, match=r"Dates.*column when"):  # real dates come with seconds: the format must say so
        find_tables(path, toml)
    with pd.ExcelWriter(path) as book:
        pd.DataFrame({"about": ["made", "by hand"]}).to_excel(book, sheet_name="About", index=False)
        half_hours().to_excel(book, sheet_name="Data", index=False)
    pd.testing.assert_frame_equal(read_columns(find_tables(path, toml)[0], COLUMNS), frame)


def collection(zone: str = "local") -> xr.Dataset:
    time = pd.date_range("2019-01-01", periods=50)
    data = np.arange(150.0).reshape(3, 50)
    data[1, 4], data[2, 5] = -9999, np.inf
    return xr.Dataset(
        {
            "gpp": (("site", "time"), data),
            "temp": (("time", "site"), data.T + 273, {"units": "K"}),
            "elev": ("site", [1, 2, 3]),
        },
        coords={"site": ["XX-A01", "XX-B02", "XX-C03"], "time": time},
    )


COLLECTION = """
site_column = "site"
utc_offset = {XX-A01 = 0, XX-B02 = 1, XX-C03 = 2}
[time]
column = "time"
stamp = "start"
zone = "local"
[columns]
GPP_NT = {column = "gpp", unit = "gC m-2 d-1"}
TA = {column = "temp"}
"""


def stored(tmp_path: Path, data: xr.Dataset, kind: str) -> Path:
    path = tmp_path / f"sites.{kind}"
    if kind.startswith("zarr"):
        data.to_zarr(path, zarr_format=int(kind[-1]))
    else:
        data.to_netcdf(path)
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["nc", "zarr2", "zarr3"])
def test_a_collection_of_sites(tmp_path: Path, kind: str) -> None:
    path = stored(tmp_path, collection(), kind)
    toml = described(tmp_path, COLLECTION)
    tables = find_tables(path, toml)
    assert [(t.site, t.resolution, t.utc_offset) for t in tables] == [
        ("XX-A01", "DD", 0.0),
        ("XX-B02", "DD", 1.0),
        ("XX-C03", "DD", 2.0),
    ]
    assert tables[0].units == {"GPP_NT": "gC m-2 d-1", "TA": "K"}
    for table, row in zip(tables, collection()["gpp"].values, strict=True):
        frame = read_columns(table, COLUMNS)
        expected = np.where(np.isin(row, [-9999.0, np.inf]), np.nan, row)
        np.testing.assert_array_equal(frame["GPP_NT"], expected)
        assert frame.index.equals(pd.date_range("2019-01-01", periods=50, unit="ns").rename("time"))
    assert read_columns(tables[2], ["GPP_NT"]).attrs["repairs"] == {"infinite values, taken as missing": 1}


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('column = "gpp"', 'column = "gppp"', "unknown variable.*Did you mean 'gpp'"),
        ('site_column = "site"', 'site_column = "sites"', "unknown dimension.*Did you mean 'site'"),
        ('column = "temp"', 'column = "elev"', "other dimensions"),
        (', unit = "gC m-2 d-1"', "", "columns.GPP_NT: no unit"),
        ('column = "time"', 'column = ["time", "site"]\nformat = "%Y"', "several time columns"),
    ],
)
def test_a_description_that_does_not_fit_a_collection(tmp_path: Path, old: str, new: str, match: str) -> None:
    toml = described(tmp_path, COLLECTION.replace(old, new, 1))
    with pytest.raises(ConfigError, match=match):
        find_tables(stored(tmp_path, collection(), "nc"), toml)


def test_damaged_collections(tmp_path: Path) -> None:
    toml = described(tmp_path, COLLECTION)
    path = stored(tmp_path, collection(), "nc")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(FileError, match="collection is damaged"):
        find_tables(path, toml)
    twice = collection().assign_coords(site=["XX-A01", "XX-A01", "XX-C03"])
    with pytest.raises(FileError, match=r"twice in the collection .found XX-A01"):
        find_tables(stored(tmp_path, twice, "nc"), toml)
    numbers = collection().assign_coords(time=np.arange(50.0))
    with pytest.raises(FileError, match="time stamps that cannot be read"):
        find_tables(stored(tmp_path, numbers, "nc"), toml)


def test_an_impossible_offset_or_a_foreign_site_is_refused(tmp_path: Path) -> None:
    toml = described(tmp_path, 'site = "XX-A01"\n' + PLAIN)
    path = written(tmp_path, half_hours(), "XX-B02.csv")
    with pytest.raises(FileError, match=r"two sites.*XX-B02"):
        find_tables(path, toml)


@pytest.mark.parametrize(
    ("gpp", "air"),
    [
        ("umol CO2 m-2 s-1", "K"),
        ("µmol m-2 s-1", "kelvin"),
        ("μmol m⁻² s⁻¹", "K"),
        ("umol/m2/s", "degrees C"),
        ("µmol/(m²·s)", "°C"),
        ("umol m**-2 s**-1", "deg C"),
        ("gC m-2 day-1", "degC"),
        ("g C m^-2 d^-1", "Celsius"),
    ],
)
def test_units_may_be_spelt_as_people_do(tmp_path: Path, gpp: str, air: str) -> None:
    text = PLAIN.replace("[columns]", '[columns]\nGPP_NT_QC = {column = "qc"}')
    toml = described(
        tmp_path, 'site = "XX-Own"\n' + text.replace('"umol m-2 s-1"', f'"{gpp}"').replace('"K"', f'"{air}"')
    )
    flux = open_flux(written(tmp_path, half_hours().assign(qc=0, t=20.0, gpp=1.0)), "GPP_NT", description=toml)
    np.testing.assert_allclose(flux["GPP_NT"], 1.0 if "C m" in gpp and "CO2" not in gpp else 1.037751, rtol=1e-5)
    np.testing.assert_allclose(flux["TA"], 20.0 if air not in ("K", "kelvin") else -253.15)


def test_a_wrong_unit_lists_the_right_ones(tmp_path: Path) -> None:
    toml = described(tmp_path, 'site = "XX-Own"\n' + PLAIN.replace('"K"', '"gCO2 m-2 d-1"'))
    with pytest.raises(UnitError, match=r"column TA: .*found gCO2 m-2 d-1; expected degC or K"):
        open_flux(written(tmp_path, half_hours()), "GPP_NT", description=toml)


def test_a_format_that_fits_the_first_days_only_is_blamed_on_the_toml(tmp_path: Path) -> None:
    table = half_hours(rows=48 * 30)
    table["when"] = pd.date_range("2019-01-01", periods=len(table), freq="30min").strftime("%d/%m/%Y %H:%M")
    toml = described(tmp_path, format='= "%m/%d/%Y %H:%M"')
    with pytest.raises(FileError, match=r"13/01/2019 00:00; expected %m/%d/%Y %H:%M.*time\.format.*other way round"):
        read_columns(find_tables(written(tmp_path, table), toml)[0], COLUMNS)


def test_a_collection_that_contradicts_its_description_is_refused(tmp_path: Path) -> None:
    data = collection()
    data["gpp"].attrs["units"] = "µmol m-2 s-1"
    with pytest.raises(ConfigError, match=r"columns.GPP_NT: the variable states another unit .found µmol.*gC m-2 d-1"):
        find_tables(stored(tmp_path, data, "nc"), described(tmp_path, COLLECTION))
    (tmp_path / "sites.nc").unlink()
    data["gpp"].attrs["units"] = "g C m-2 day-1"
    assert find_tables(stored(tmp_path, data, "nc"), described(tmp_path, COLLECTION))[0].units["GPP_NT"] == "gC m-2 d-1"


def test_help_begins_with_the_text_and_is_short() -> None:
    assert len(pydoc.render_doc(owntable).splitlines()) < 120
