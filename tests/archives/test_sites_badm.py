from __future__ import annotations

import random
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import Geod

from ecoembed import read_sites
from ecoembed.archives.sites.reader import merge_sites
from ecoembed.errors import EcoembedError, FileError, ProductError, TableError
from tests.archives import bif

SITE = "XX-T01"
HERE = bif.location(SITE, 1, "48.12345", "11.54321")


def height(tmp_path: Path, *groups: bif.Rows) -> float:
    rows = [*HERE, *(row for group in groups for row in group)]
    return read_sites(bif.write_bif(tmp_path / "FLX_AA-Flx_BIF_LATEST.csv", rows)).loc[SITE, "canopy_height"]


@pytest.mark.parametrize("name", ["FLX_AA-Flx_BIF_LATEST.xlsx", "AMF_AA-Net_BIF_CCBY4_20250201.csv"])
def test_values_are_gathered_from_their_groups(tmp_path: Path, name: str) -> None:
    records = merge_sites(bif.write_bif(tmp_path / name, bif.TOWER))
    row = records.sites.loc[SITE]
    assert (row["latitude"], row["longitude"], row["elevation"]) == (48.12345, 11.54321, 512)
    assert (row["igbp"], row["utc_offset"]) == ("ENF", 1)
    assert (row["canopy_height"], row["measurement_height"]) == (25.5, 42)
    origin = records.origin.set_index("column").loc["canopy_height"]
    assert (origin["source"], origin["variable"]) == (name, "HEIGHTC; Mean")
    assert (origin["group"], origin["date"], origin["text"]) == ("4", "20120715", "25.5")


def test_two_sites_may_share_a_group_number(tmp_path: Path) -> None:
    rows = [*HERE, *bif.location("XX-T02", 1, "50.12345", "12.54321"), *bif.group(SITE, 1, "GRP_IGBP", IGBP="GRA")]
    sites = read_sites(bif.write_bif(tmp_path / "BIF.csv", rows))
    assert sites.loc["XX-T02", "latitude"] == 50.12345
    assert sites.loc[SITE, "latitude"] == 48.12345
    assert (sites.loc[SITE, "igbp"], sites.loc["XX-T02", "igbp"]) == ("GRA", None)


def test_the_latest_location_is_taken_and_a_moved_tower_reported(tmp_path: Path) -> None:
    rows = [
        *bif.location(SITE, 8, "48.3", "11.5"),  # undated comes last
        *bif.location(SITE, 9, "48.12345", "11.54321", LOCATION_DATE_START="201105131300"),
        *bif.location(SITE, 2, "48.12445", "11.54321", LOCATION_DATE_START="20130524"),
        *bif.location(SITE, 3, "48.2", "11.5", LOCATION_DATE_START="2013"),  # a year alone comes before its months
    ]
    with pytest.warns(UserWarning, match=r"disagree at 1 of 1 sites \(coordinates 1\)"):
        records = merge_sites(bif.write_bif(tmp_path / "BIF.csv", rows))
    assert tuple(records.sites.loc[SITE, ["latitude", "longitude"]]) == (48.12445, 11.54321)
    assert records.origin.set_index("column").loc["latitude", "candidates"] == 4
    (conflict,) = records.conflicts.itertuples()
    assert (conflict.column, conflict.other, conflict.unit) == ("coordinates", "48.3, 11.5", "m")
    metres = Geod(ellps="WGS84").inv(11.54321, 48.12445, 11.5, 48.3)[2]
    assert conflict.difference == pytest.approx(metres, rel=5e-3)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([("2", "Mean", "2004"), ("5", "Mean", "20190601")], 5),  # the latest year
        ([("0.1", "Mean", "20190301"), ("2.8", "Mean", "20190801"), ("0.2", "Mean", "20191101")], 2.8),  # grown
        ([("20", "Mean", "2010"), ("31", "Maximum", "2010"), ("28", "90th Percentile", "2010")], 20),
        ([("20", "Mean", "2004"), ("28", "90th Percentile", "2019")], 28),  # trees grow in fifteen years
        ([("20", "Mean", "2010"), ("4", "Standard Deviation", "2015"), ("1", "Minimum", "2015")], 20),
        ([("20", "", ""), ("3", "10th Percentile", "2015")], 20),
    ],
)
def test_one_rule_chooses_the_canopy_height(
    tmp_path: Path, entries: list[tuple[str, str, str]], expected: float
) -> None:
    groups = [bif.height(SITE, number, *entry) for number, entry in enumerate(entries, 10)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a canopy that grows is no conflict
        assert height(tmp_path, *groups) == expected
        assert height(tmp_path, *groups[::-1]) == expected


def test_the_whole_canopy_comes_before_one_species(tmp_path: Path) -> None:
    pine = bif.height(SITE, 10, "30", date="2015", HEIGHTC_SPP="PISY")
    assert height(tmp_path, pine, bif.height(SITE, 11, "22", date="2015")) == 22
    assert height(tmp_path, pine) == 30


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([("TA", "2", ""), ("NEE_VUT_REF", "31", ""), ("USTAR", "30", "")], 30),
        ([("TA_F", "2", ""), ("H2O_1_1_1", "1", ""), ("LE_F_MDS", "31", "")], 31),
        ([("USTAR_1_1_1", "30", ""), ("USTAR_1_2_1", "4", "")], 30),
        ([("USTAR", "10", "2005"), ("USTAR", "20", "20150101")], 20),
        ([("TA", "2", ""), ("SWC_F_MDS_1", "-0.05", "")], np.nan),
    ],
)
@pytest.mark.filterwarnings("ignore:.*disagree")
def test_measurement_height_is_that_of_the_fluxes(
    tmp_path: Path, entries: list[tuple[str, str, str]], expected: float
) -> None:
    rows = [*HERE, *(row for n, entry in enumerate(entries, 10) for row in bif.variable(SITE, n, *entry))]
    found = read_sites(bif.write_bif(tmp_path / "AMF_XX-T01_FLUXNET_BIFVARINFO_HH.csv", rows))
    np.testing.assert_equal(found.loc[SITE, "measurement_height"], expected)


def test_what_an_archive_has_wrong_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = [
        *bif.TOWER,
        *bif.height(SITE, 20, "1-2 m", date="2020"),
        *bif.height(SITE, 21, "2550", date="2021"),  # in cm
        *bif.group(SITE, 22, "GRP_IGBP", IGBP="Forest", IGBP_DATE_START="2020"),
        *bif.height(SITE, 23, "7", date="2022"),
        *bif.height(SITE, 23, "9"),
        *bif.group("XX-T02", 24, "GRP_IGBP", IGBP="GRA"),
        *bif.group("", 25, "GRP_IGBP", IGBP="GRA"),
    ]
    with pytest.warns(UserWarning, match="6 entries left out") as caught:
        sites = read_sites(bif.write_bif(tmp_path / "BIF.csv", rows))
    said = str(caught[0].message)
    assert "1 HEIGHTC not a number" in said
    assert "1 HEIGHTC impossible value" in said
    assert "1 HEIGHTC given twice in one group" in said
    assert "1 rows without SITE_ID" in said
    assert list(sites.index) == [SITE]
    assert tuple(sites.loc[SITE, ["igbp", "canopy_height"]]) == ("ENF", 25.5)


def test_an_export_in_windows_code_page_is_read(tmp_path: Path) -> None:
    (tmp_path / "BIF.csv").write_bytes(bif.csv_bytes(bif.TOWER, encoding="cp1252"))
    assert read_sites(tmp_path / "BIF.csv").loc[SITE, "igbp"] == "ENF"


def test_tables_inside_a_product_zip(tmp_path: Path) -> None:
    flux = b"TIMESTAMP,GPP_NT_VUT_REF\n20200101,1.0\n"
    info = bif.csv_bytes(bif.variable(SITE, 5, "NEE_VUT_REF", "42"))
    whole = {
        "AMF_XX-T01_FLUXNET_FLUXMET_DD_2018-2024_v1.3_r1.csv": flux,
        "AMF_XX-T01_FLUXNET_BIF_2018-2024_v1.3_r1.csv": bif.csv_bytes(bif.TOWER[:4]),
        "AMF_XX-T01_FLUXNET_BIFVARINFO_HH_2018-2024_v1.3_r1.csv": info,
    }
    path = tmp_path / "AMF_XX-T01_FLUXNET_2018-2024_v1.3_r1.zip"
    records = merge_sites(bif.write_zip(path, **whole))
    row = records.sites.loc[SITE]
    assert (row["elevation"], row["measurement_height"]) == (512, 42)
    source = records.origin.set_index("column").loc["measurement_height", "source"]
    assert source == f"{path.name}: AMF_XX-T01_FLUXNET_BIFVARINFO_HH_2018-2024_v1.3_r1.csv"
    with pytest.raises(ProductError, match=r"no site information in the archive.*BIF"):
        read_sites(bif.write_zip(tmp_path / "flux.zip", **{"FLX_XX-T01_FLUXNET2015_FULLSET_DD.csv": flux}))


def test_a_workbook_beside_the_half_hours_of_a_base_zip(tmp_path: Path) -> None:
    book = bif.write_bif(tmp_path / "AMF_XX-T01_BIF_20210331.xlsx", bif.TOWER)
    half_hours = b"# Site: XX-T01\n# Version: 5-5\nTIMESTAMP_START,TIMESTAMP_END,FC\n202001010000,202001010030,1.0\n"
    members = {"AMF_XX-T01_BASE_HH_5-5.csv": half_hours, book.name: book.read_bytes()}
    path = bif.write_zip(tmp_path / "AMF_XX-T01_BASE-BADM_5-5.zip", **members)
    assert read_sites(path).loc[SITE, "canopy_height"] == 25.5


def test_an_incomplete_format_names_what_is_absent(tmp_path: Path) -> None:
    rows = [(row[0], row[2], row[3], row[4]) for row in bif.TOWER]
    (tmp_path / "BIF.csv").write_bytes(bif.csv_bytes(rows, ("SITE_ID", "VARIABLE_GROUP", "VARIABLE", "DATAVALUE")))
    with pytest.raises(TableError, match="column GROUP_ID absent"):
        read_sites(tmp_path / "BIF.csv")
    (tmp_path / "empty.csv").write_bytes(bif.csv_bytes([]))
    with pytest.raises(TableError, match="no site"):
        read_sites(tmp_path / "empty.csv")


# -- hostile and damaged workbooks


def edited(path: Path, edit: tuple[str, str]) -> Path:
    """The same workbook with one text of its sheet replaced."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = "xl/worksheets/sheet1.xml"
    before = members[name].decode()
    members[name] = before.replace(*edit).encode()
    assert members[name] != before.encode()
    return bif.write_zip(path.with_name("edited.xlsx"), **members)


def test_a_wrong_dimension_loses_no_row(tmp_path: Path) -> None:
    """Some programs declare a sheet of one cell and fill many."""
    path = bif.write_bif(tmp_path / "BIF.xlsx", bif.TOWER)
    with_dimension = edited(path, ("<sheetData>", '<dimension ref="A1"/><sheetData>'))
    assert read_sites(with_dimension).loc[SITE, "canopy_height"] == 25.5


def test_a_row_without_end_is_refused(tmp_path: Path) -> None:
    path = bif.write_bif(tmp_path / "BIF.xlsx", bif.TOWER)
    with pytest.raises(FileError, match="rows"):
        read_sites(edited(path, ('<row r="9"', '<row r="900000000"')))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), cut=st.booleans())
def test_a_damaged_workbook_is_a_typed_error(tmp_path: Path, seed: int, cut: bool) -> None:
    whole = bif.write_bif(tmp_path / "BIF.xlsx", bif.TOWER).read_bytes()
    chance = random.Random(seed)
    at = chance.randrange(4, len(whole))
    damaged = whole[:at] if cut else whole[:at] + bytes([chance.randrange(256)]) + whole[at + 1 :]
    (tmp_path / "damaged.xlsx").write_bytes(damaged)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            said = str(read_sites(tmp_path / "damaged.xlsx").loc[SITE, "canopy_height"])
        except EcoembedError as error:
            said = str(error)
    assert said == "25.5" or "damaged.xlsx" in said
