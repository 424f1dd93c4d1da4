"""What a flux file is, and the same numbers wherever and however its table lies."""

from __future__ import annotations

import gzip
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecoembed.archives.flux.files import BASE, ONEFLUX, OTHER, RAW, REANALYSIS, find_tables, read_columns
from ecoembed.errors import ConfigError, FileError, ProductError
from tests.archives import fakes

COLUMNS = ["NEE_VUT_REF", "TA_F"]


def table_of(resolution: str, rows: int = 60) -> pd.DataFrame:
    """A table of any resolution, whose first period starts at 2019-01-01 00:00."""
    data = fakes.daily(rows)[["NEE_VUT_REF", "TA_F", "TA_F_MDS"]]
    if resolution in ("HH", "HR"):
        stamps = fakes.halfhourly(rows, {"HH": 30, "HR": 60}[resolution])[["TIMESTAMP_START", "TIMESTAMP_END"]]
        return pd.concat([stamps, data], axis=1)
    first = pd.date_range("2019-01-01", periods=rows, freq={"DD": "D", "WW": "7D", "MM": "MS", "YY": "YS"}[resolution])
    if resolution == "WW":
        data.insert(0, "TIMESTAMP_END", (first + pd.Timedelta("6D")).strftime("%Y%m%d"))
        data.insert(0, "TIMESTAMP_START", first.strftime("%Y%m%d"))
    else:
        data.insert(0, "TIMESTAMP", first.strftime({"DD": "%Y%m%d", "MM": "%Y%m", "YY": "%Y"}[resolution]))
    return data


def base_text(comments: str = "# Site: XX-T01\n# Version: 5-5\n") -> str:
    table = fakes.halfhourly(rows=10)[["TIMESTAMP_START", "TIMESTAMP_END", "TA_F"]].rename(columns={"TA_F": "TA_1_1_1"})
    return comments + table.assign(GPP_PI_F=-9999, FC=1.5).to_csv(index=False)


@pytest.mark.parametrize(
    ("name", "kind", "site"),
    [
        ("FLX_XX-T01_FLUXNET2015_FULLSET_{}_2019-2019_1-4.csv", "FLUXNET2015 FULLSET", "XX-T01"),
        ("FLX_XX-T01_FLUXNET2015_SUBSET_{}_2019-2019_beta-3.csv", "FLUXNET2015 SUBSET", "XX-T01"),
        ("AMF_XX-T01_FLUXNET_FULLSET_{}_2019-2019_3-5.csv", "FLUXNET FULLSET", "XX-T01"),
        ("AMF_XX-T01_FLUXNET_FLUXMET_{}_2019-2019_v1.3_r1.csv", "FLUXNET FLUXMET", "XX-T01"),
        ("ICOSETC_XX-T01_FLUXNET_{}_L2.csv", "ICOS FLUXNET FULLSET", "XX-T01"),
        ("{}.txt", "FLUXNET FULLSET", None),
    ],
)
@pytest.mark.parametrize("resolution", ["HH", "HR", "DD", "WW", "MM", "YY"])
def test_product_resolution_and_site_are_told(
    tmp_path: Path, name: str, kind: str, site: str | None, resolution: str
) -> None:
    table = table_of(resolution)
    (found,) = find_tables(fakes.write_csv(tmp_path, table, name.format(resolution)))
    assert (found.family, found.resolution, found.site) == (ONEFLUX, resolution, site)
    assert found.product == f"{kind} {resolution}"
    frame = read_columns(found, COLUMNS)
    assert frame.index.dtype == "datetime64[ns]"
    assert str(frame.index[0]) == ("2019-03-01 00:00:00" if resolution in ("HH", "HR") else "2019-01-01 00:00:00")
    assert list(frame) == COLUMNS
    np.testing.assert_array_equal(frame, table[COLUMNS])
    assert frame.attrs["repairs"] == {}


def test_the_archive_of_the_shuttle(tmp_path: Path) -> None:
    name = "AMF_XX-T01_FLUXNET_{}_2018-2024_v1.3_r1.csv"
    era5 = table_of("DD")[["TIMESTAMP"]].assign(TA_ERA=1.0, P_ERA=0.0)
    members: dict[str, pd.DataFrame | str] = {name.format(f"FLUXMET_{r}"): table_of(r) for r in ("HH", "DD", "YY")}
    members |= {name.format("ERA5_DD"): era5, name.format("BIF"): "SITE_ID,GROUP_ID,VARIABLE\nXX-T01,1,IGBP\n"}
    members |= {name.format("BIFVARINFO_DD"): "SITE_ID,VARIABLE\nXX-T01,TA\n", "__MACOSX/._x.csv": "junk", "a/": ""}
    tables = find_tables(fakes.write_zip(tmp_path, members, "AMF_XX-T01_FLUXNET_2018-2024_v1.3_r1.zip"))
    assert sorted((t.family, t.resolution) for t in tables) == sorted(
        [(ONEFLUX, "HH"), (ONEFLUX, "DD"), (ONEFLUX, "YY"), (REANALYSIS, "DD"), (OTHER, "?"), (OTHER, "?")]
    )
    assert {t.site for t in tables} == {"XX-T01"}
    with pytest.raises(ProductError, match="no time stamps"):
        read_columns(next(t for t in tables if t.family == OTHER), ["SITE_ID"])


@pytest.mark.parametrize(
    "dress",
    [
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: (text + "\n\n").encode(),
        lambda text: ("\n\n" + text).encode(),
        lambda text: gzip.compress(text.encode()),
        lambda text: ('"' + text.replace(",", '","', text.split("\n")[0].count(",")).replace("\n", '"\n', 1)).encode(),
    ],
    ids=["utf-8 mark", "utf-16", "crlf", "blank lines below", "blank lines above", "gzip", "quoted header"],
)
def test_dress_changes_nothing(tmp_path: Path, dress: Callable[[str], bytes]) -> None:
    table = table_of("HH")
    path = tmp_path / "FLX_XX-T01_FLUXNET2015_FULLSET_HH_2019-2019_1-4.csv"
    path.write_bytes(dress(table.to_csv(index=False)))
    frame = read_columns(find_tables(path)[0], COLUMNS)
    np.testing.assert_array_equal(frame, table[COLUMNS])
    recoded = path.read_bytes().startswith(b"\xff\xfe")
    assert frame.attrs["repairs"] == ({"file read as UTF-16": 1} if recoded else {})


def test_years_and_files_of_one_product_are_one_table(tmp_path: Path) -> None:
    table = table_of("DD", rows=90)
    years = {fakes.name(f"DD_{k}"): table.iloc[30 * k : 30 * (k + 1)] for k in (2, 0, 1)}
    (found,) = find_tables(fakes.write_zip(tmp_path, years))
    assert len(found.parts) == 3
    np.testing.assert_array_equal(read_columns(found, COLUMNS), table[COLUMNS])
    files = [fakes.write_csv(tmp_path, years[name], name) for name in years]
    assert read_columns(find_tables(files)[0], COLUMNS).equals(read_columns(found, COLUMNS))


def test_a_column_that_one_part_lacks_is_missing_there_and_counted(tmp_path: Path) -> None:
    table = table_of("DD")
    members = {fakes.name("DD_1"): table.iloc[:20].drop(columns="TA_F"), fakes.name("DD_2"): table.iloc[20:]}
    frame = read_columns(find_tables(fakes.write_zip(tmp_path, members))[0], COLUMNS)
    assert frame["TA_F"].isna().sum() == 20
    assert frame.attrs["repairs"] == {"rows of parts without TA_F": 20}


def test_tables_of_other_variables_are_not_one_table(tmp_path: Path) -> None:
    table = fakes.halfhourly()
    stamps = table[["TIMESTAMP_START", "TIMESTAMP_END"]]
    members: dict[str, pd.DataFrame | str] = {
        "ICOSETC_XX-T01_FLUXES_L2.csv": stamps.assign(FC=1.0, USTAR=0.2, LE=3.0),
        "ICOSETC_XX-T01_METEO_L2.csv": stamps.assign(TA=1.0, PA=99.0, WS=3.0),
        "ICOSETC_XX-T01_FLUXNET_HH_L2.csv": table,
        "ICOSETC_XX-T01_SITEINFO_L2.csv": "SITE_ID,VARIABLE,DATAVALUE\nXX-T01,LOCATION_LAT,50\n",
    }
    tables = find_tables(fakes.write_zip(tmp_path, members, "ICOSETC_XX-T01_ARCHIVE_L2.zip"))
    assert [t.family for t in tables] == [RAW, RAW, ONEFLUX, OTHER]
    assert [len(t.parts) for t in tables] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "comments",
    [
        "# Site: XX-T01\n# Version: 5-5\n",
        "# Site: XX-T01,,,\r\n# Version: 5-5,,,\r\n",
        '"# Site: XX-T01",,\n"# Version: 5-5",,\n',
        "# Site: XX-T01\r\n# Version: 5-5\r\n\n",
    ],
)
def test_ameriflux_base(tmp_path: Path, comments: str) -> None:
    (tmp_path / "download.csv").write_text(base_text(comments), newline="")
    (found,) = find_tables(tmp_path / "download.csv")
    assert (found.family, found.resolution, found.site) == (BASE, "HH", "XX-T01")
    frame = read_columns(found, ["TA_1_1_1", "GPP_PI_F"])
    assert frame["GPP_PI_F"].isna().all()
    assert frame["TA_1_1_1"].notna().all()


def test_a_workbook_of_site_information_beside_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "AMF_XX-T01_BASE-BADM_5-5.zip"
    pd.DataFrame({"SITE_ID": ["XX-T01"]}).to_excel(tmp_path / "bif.xlsx", index=False)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("AMF_XX-T01_BASE_HH_5-5.csv", base_text())
        archive.write(tmp_path / "bif.xlsx", "AMF_XX-T01_BIF_20240101.xlsx")
    assert [t.family for t in find_tables(path)] == [BASE]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("kept", ["TIMESTAMP_START", "TIMESTAMP_END", "both"])
def test_raw_half_hours(tmp_path: Path, separator: str, kept: str) -> None:
    table = fakes.halfhourly()[["TIMESTAMP_START", "TIMESTAMP_END"]].assign(FC_1_1_1=np.arange(96.0), USTAR_1_1_1=0.3)
    if kept != "both":
        table = table.drop(columns={"TIMESTAMP_START": "TIMESTAMP_END", "TIMESTAMP_END": "TIMESTAMP_START"}[kept])
    path = tmp_path / "XX-T01_raw.txt"
    table.to_csv(path, index=False, sep=separator)
    (found,) = find_tables(path)
    assert (found.family, found.resolution, found.site) == (RAW, "HH", "XX-T01")
    frame = read_columns(found, ["FC_1_1_1"])
    assert str(frame.index[0]) == "2019-03-01 00:00:00"
    np.testing.assert_array_equal(frame["FC_1_1_1"], np.arange(96.0))


@pytest.mark.parametrize("minutes", [30, 60])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_single_stamp_is_told_by_the_first_of_the_day(tmp_path: Path, minutes: int, share: float) -> None:
    start = pd.date_range("2019-01-01", periods=48, freq=f"{minutes}min")
    stamps = (start + pd.Timedelta(minutes=minutes * share)).strftime("%Y%m%d%H%M")
    path = fakes.write_csv(tmp_path, pd.DataFrame({"TIMESTAMP": stamps, "FC_1_1_1": 1.0}), "XX-T01.csv")
    frame = read_columns(find_tables(path)[0], ["FC_1_1_1"])
    assert frame.index.equals(pd.DatetimeIndex(start, name="time").as_unit("ns"))
    marked = {0.0: "start", 0.5: "middle", 1.0: "end"}[share]
    assert frame.attrs["repairs"] == {
        f"table whose TIMESTAMP was taken as the {marked} of its period, by its first one": 1
    }
    fakes.write_csv(tmp_path, pd.DataFrame({"TIMESTAMP": stamps[20:], "FC_1_1_1": 1.0}), "XX-T01.csv")
    with pytest.raises(ProductError, match="start or the end"):
        find_tables(path)


def test_24_hours_are_midnight(tmp_path: Path) -> None:
    stamps = ["201812312330", "201812312400", "201901010030"]
    table = pd.DataFrame({"TIMESTAMP_START": stamps, "TIMESTAMP_END": ["201812312400", "201901010030", "201901010100"]})
    path = fakes.write_csv(tmp_path, table.assign(FC_1_1_1=1.0), "XX-T01.csv")
    times = read_columns(find_tables(path)[0], ["FC_1_1_1"]).index
    assert [str(t) for t in times] == ["2018-12-31 23:30:00", "2019-01-01 00:00:00", "2019-01-01 00:30:00"]


def test_a_workbook_gives_what_the_csv_gives(tmp_path: Path) -> None:
    table = table_of("DD").assign(GPP_NT_VUT_REF=-9999)
    stem = "FLX_XX-T01_FLUXNET2015_FULLSET_DD_2019-2019_1-4"
    for numbers in (table, table.assign(TIMESTAMP=table["TIMESTAMP"].astype(int))):  # stamps as text, and as numbers
        numbers.to_excel(tmp_path / f"{stem}.xlsx", index=False)
        (found,) = find_tables(tmp_path / f"{stem}.xlsx")
        assert (found.product, found.site) == ("FLUXNET2015 FULLSET DD", "XX-T01")
        expected = read_columns(find_tables(fakes.write_csv(tmp_path, table, f"{stem}.csv"))[0], list(table)[1:])
        pd.testing.assert_frame_equal(read_columns(found, list(table)[1:]), expected)
    with zipfile.ZipFile(tmp_path / "inside.zip", "w") as archive:
        archive.write(tmp_path / f"{stem}.xlsx", f"{stem}.xlsx")
    pd.testing.assert_frame_equal(read_columns(find_tables(tmp_path / "inside.zip")[0], list(table)[1:]), expected)


def test_sheets_of_a_workbook_are_tables(tmp_path: Path) -> None:
    table = table_of("DD")
    path = tmp_path / "XX-T01.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame({"about": ["these are", "two years"]}).to_excel(book, sheet_name="Notes", index=False)
        table.iloc[:30].to_excel(book, sheet_name="2019", index=False)
        table.iloc[30:].to_excel(book, sheet_name="2020", index=False)
        pd.DataFrame().to_excel(book, sheet_name="Sheet4")
    notes, days = sorted(find_tables(path), key=lambda t: len(t.parts))
    assert (notes.family, days.family, len(days.parts)) == (OTHER, ONEFLUX, 2)
    np.testing.assert_allclose(read_columns(days, COLUMNS), table[COLUMNS], rtol=1e-15)


def test_a_workbook_that_understates_its_size_is_read_whole(tmp_path: Path) -> None:
    path, small = tmp_path / "XX-T01.xlsx", tmp_path / "small.xlsx"
    table_of("DD").to_excel(path, index=False)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(small, "w") as new:
        for member in old.namelist():
            content = old.read(member)
            if member.endswith("sheet1.xml"):
                assert b'<dimension ref="A1:D61"' in content
                content = content.replace(b'<dimension ref="A1:D61"', b'<dimension ref="A1:A1"')
            new.writestr(member, content)
    assert len(read_columns(find_tables(small)[0], ["TA_F"])) == 60


def test_two_sites_are_two_tables_and_two_names_for_one_an_error(tmp_path: Path) -> None:
    members: dict[str, pd.DataFrame | str] = {
        fakes.name("DD", site=site): table_of("DD") for site in ("XX-T01", "XX-T02")
    }
    assert [t.site for t in find_tables(fakes.write_zip(tmp_path, members, "both.zip"))] == ["XX-T01", "XX-T02"]
    with pytest.raises(FileError, match=r"two sites .*XX-T02 in its name, XX-T01 in its archive"):
        find_tables(fakes.write_zip(tmp_path, members, "XX-T01.zip"))
    path = tmp_path / "AMF_XX-T02_BASE_HH_5-5.csv"
    path.write_text(base_text())
    with pytest.raises(FileError, match=r"two sites .*XX-T01 in its comment, XX-T02 in its name"):
        find_tables(path)


def test_an_export_of_a_european_spreadsheet_is_read_and_counted(tmp_path: Path) -> None:
    table = table_of("DD")
    path = tmp_path / fakes.name("DD")
    table.to_csv(path, index=False, sep=";", decimal=",")
    frame = read_columns(find_tables(path)[0], COLUMNS)
    np.testing.assert_array_equal(frame, table[COLUMNS])
    assert frame.attrs["repairs"] == {"rows with decimal commas, read as points": 60}


def test_order_and_repeats_of_rows_are_kept(tmp_path: Path) -> None:
    table = table_of("DD").iloc[[3, 0, 5, 0, 1]]
    frame = read_columns(find_tables(fakes.write_csv(tmp_path, table, fakes.name("DD")))[0], ["TA_F"])
    assert list(frame.index.strftime("%Y%m%d")) == list(table["TIMESTAMP"])


def test_memory_is_that_of_the_columns_read(tmp_path: Path) -> None:
    few = fakes.halfhourly(rows=2000)
    path = fakes.write_csv(tmp_path, pd.concat([few] * 60), fakes.name("HH"))
    (found,) = find_tables(path)
    read_columns(found, ["TA_F"])  # imports
    tracemalloc.start()
    frame = read_columns(found, ["TA_F", "USTAR"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(frame) == 120_000
    assert path.stat().st_size > 20e6
    assert peak < 3 * 3 * 8 * len(frame)


def test_an_unknown_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    (found,) = find_tables(fakes.write_csv(tmp_path, table_of("DD"), fakes.name("DD")))
    with pytest.raises(ConfigError, match=r"NEE_VUT_RFE.*Did you mean 'NEE_VUT_REF'"):
        read_columns(found, ["NEE_VUT_RFE"])
    assert len(read_columns(found, [])) == 60
