from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
from geopandas.testing import assert_geodataframe_equal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecoembed import read_sites
from ecoembed.archives.sites.reader import count_origins, merge_sites, read_site, study_sites, write_sites
from ecoembed.errors import FileError, TableError
from tests.archives import bif

PLACE = "site_id,latitude,longitude"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's own table, of two towers, one of which the archive knows."""
    rows = "XX-T01,,,,2.4\nXX-T02,50.12345,12.54321,GRA,3\n"
    return write(tmp_path / "own.csv", f"{PLACE},igbp,measurement_height\n{rows}")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return bif.write_bif(tmp_path / "BIF.csv", bif.TOWER)


def test_the_first_that_knows_a_value_wins_and_gaps_are_completed(own: Path, archive: Path) -> None:
    with pytest.warns(UserWarning, match=r"disagree at 1 of 2 sites \(measurement_height 1\)"):
        records = merge_sites([own, archive])
    row = records.sites.loc["XX-T01"]
    assert (row["measurement_height"], row["canopy_height"], row["utc_offset"]) == (2.4, 25.5, 1)
    assert (row["geometry"].x, row["geometry"].y) == (11.54321, 48.12345)
    assert pd.isna(records.sites.loc["XX-T02", "utc_offset"])  # nothing is guessed from the longitude
    (conflict,) = records.conflicts.itertuples(index=False)
    assert conflict == ("XX-T01", "measurement_height", 2.4, "own.csv", 42.0, "BIF.csv", pytest.approx(39.6), "m")


@pytest.mark.filterwarnings("ignore:.*disagree")
def test_origins_are_counted_by_source(own: Path, archive: Path) -> None:
    counts = count_origins(merge_sites([own, archive]))
    assert dict(counts.loc["latitude"]) == {"own.csv": 1, "BIF.csv": 1, "missing": 0}
    assert dict(counts.loc["utc_offset"]) == {"own.csv": 0, "BIF.csv": 1, "missing": 1}
    assert dict(counts.loc["citation"]) == {"own.csv": 0, "BIF.csv": 0, "missing": 2}


def test_a_latitude_and_its_longitude_come_from_one_entry(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", f"{PLACE}\nXX-T01,48.12345,\n")
    second = write(tmp_path / "b.csv", f"{PLACE}\nXX-T01,48.5,11.54321\n")
    with pytest.raises(TableError, match=r"a.csv, row 2 \(XX-T01\), column longitude"):
        read_sites([first, second])


@pytest.mark.filterwarnings("ignore:.*disagree")
def test_a_flag_never_joins_a_height_of_another_source(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", f"{PLACE},aerodynamic_height\nXX-T01,48.12345,11.54321,4.2\n")
    second = write(tmp_path / "b.csv", "SITE_ID,ZM_F,ZM_QC\nXX-T01,2.66,0\n")
    row = read_sites([first, second]).loc["XX-T01"]
    assert (row["aerodynamic_height"], row["aerodynamic_height_qc"]) == (4.2, None)
    row = read_sites([second, first]).loc["XX-T01"]
    assert (row["aerodynamic_height"], row["aerodynamic_height_qc"]) == (2.66, "0")


@pytest.mark.parametrize(
    ("header", "one", "other", "told"),
    [
        (PLACE, "48.12345,11.54321", "48.12355,11.54321", None),  # 11 m
        (PLACE, "48.12345,11.54321", "48.12445,11.54321", "coordinates"),  # 111 m
        (PLACE, "-21.12345,179.9999", "-21.12345,-179.9999", None),  # 21 m across the date line
        (f"{PLACE},elevation", "48.1234,11.5432,500", "48.1234,11.5432,515", None),
        (f"{PLACE},elevation", "48.1234,11.5432,500", "48.1234,11.5432,550", "elevation"),
        (f"{PLACE},canopy_height", "48.1234,11.5432,20", "48.1234,11.5432,21.5", None),
        (f"{PLACE},canopy_height", "48.1234,11.5432,20", "48.1234,11.5432,25", "canopy_height"),
        (f"{PLACE},utc_offset", "48.1234,11.5432,1", "48.1234,11.5432,1.5", "utc_offset"),
        (f"{PLACE},igbp", "48.1234,11.5432,ENF", "48.1234,11.5432,DBF", "igbp"),
        (f"{PLACE},citation", "48.1234,11.5432,A 2020", "48.1234,11.5432,B 2021", None),
    ],
)
def test_disagreement_has_a_tolerance(tmp_path: Path, header: str, one: str, other: str, told: str | None) -> None:
    paths = [write(tmp_path / f"{n}.csv", f"{header}\nXX-T01,{row}\n") for n, row in enumerate((one, other))]
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        conflicts = merge_sites(paths).conflicts
    assert list(conflicts["column"]) == ([told] if told else [])
    assert [told in str(warning.message) for warning in seen] == ([True] if told else [])


def test_a_site_spelled_in_two_ways_is_one_site(tmp_path: Path, archive: Path) -> None:
    first = write(tmp_path / "a.csv", f"{PLACE}\nxx-t01,48.12345,11.54321\n")
    with pytest.warns(UserWarning, match="1 sites are spelled in upper and in lower case"):
        sites = read_sites([first, archive])
    assert list(sites.index) == ["xx-t01"]
    assert sites.loc["xx-t01", "igbp"] == "ENF"
    twice = write(tmp_path / "b.csv", f"{PLACE}\nXX-T01,48.12345,11.54321\nxx-t01,48.12345,11.54321\n")
    with pytest.raises(TableError, match=r"site given twice \(found xx-t01, in row 2 as XX-T01\)"):
        read_sites(twice)


def test_no_source_knows_where_a_site_stands(tmp_path: Path, archive: Path) -> None:
    first = write(tmp_path / "a.csv", "site_id\nXX-T01\nXX-T07\n")
    with pytest.raises(TableError, match=r"a.csv, row 3 \(XX-T07\), column latitude.*No other source"):
        read_sites([first, archive])


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    one = write(tmp_path / "one" / "sites.csv", f"{PLACE}\nXX-T01,48.12345,11.54321\n")
    two = write(tmp_path / "two" / "sites.csv", f"{PLACE},igbp\nXX-T01,48.12345,11.54321,GRA\n")
    origin = merge_sites([one, two]).origin.set_index("column")["source"]
    assert (origin["latitude"], origin["igbp"]) == ("one/sites.csv", "two/sites.csv")
    assert_geodataframe_equal(read_sites([one, two, one]), read_sites([one, two]))


def test_sheets_of_a_workbook_are_site_tables(tmp_path: Path) -> None:
    notes = [["This table was made by hand"], ["and checked"]]
    towers = [["SITE_ID", "LOCATION_LAT", "LOCATION_LONG", "HEIGHTC"], ["XX-T01", 48.12345, "11.54321", 25]]
    path = bif.write_workbook(tmp_path / "sites.xlsx", notes, towers, titles=("Notes", "Towers"))
    assert tuple(read_sites(path).loc["XX-T01", ["latitude", "canopy_height"]]) == (48.12345, 25)
    towers[1][1] = 148.0
    bif.write_workbook(path, notes, towers, titles=("Notes", "Towers"))
    with pytest.raises(TableError, match=r"sites.xlsx\[Towers\], row 2 \(XX-T01\), column latitude"):
        read_sites(path)
    with pytest.raises(TableError, match=r"no site table in the workbook.*This table was made"):
        read_sites(bif.write_workbook(path, notes, titles=("Notes",)))


def test_a_table_in_another_encoding_says_how_to_save_it(tmp_path: Path) -> None:
    text = f"{PLACE},citation\nXX-T01,48.12345,11.54321,Müller\n"
    for encoding in ("latin-1", "utf-16"):
        (tmp_path / "sites.csv").write_bytes(text.encode(encoding))
        with pytest.raises(FileError, match="CSV UTF-8"):
            read_sites(tmp_path / "sites.csv")
    (tmp_path / "sites.csv").write_bytes(text.encode("utf-8-sig"))
    assert read_sites(tmp_path / "sites.csv").loc["XX-T01", "citation"] == "Müller"


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ("13.5125,50.9495", "50.9500,13.5125", r"5\d{3}\.\d km apart \(are latitude and longitude exchanged\?\)"),
        ("36.3566,-119.8423", "36.3566,-119.0922", r"67.2 km apart;"),
        ("48.1234,11.5432", "48.1243,11.5432", r"100 m apart;"),
    ],
)
def test_what_sources_disagree_on_is_told(tmp_path: Path, one: str, other: str, told: str) -> None:
    paths = [write(tmp_path / f"{n}.csv", f"{PLACE}\nXX-T01,{row}\n") for n, row in enumerate((one, other))]
    with pytest.warns(UserWarning, match=rf"XX-T01 coordinates [\d., -]+\(0.csv\) against .*\(1.csv\), {told}"):
        merge_sites(paths)


def test_one_site_is_read_without_a_word_about_the_others(tmp_path: Path) -> None:
    rows = "XX-T01,48.12345,11.54321,1\nXX-T02,50.1,12.5,11\n"
    path = write(tmp_path / "all.csv", f"{PLACE},utc_offset\n{rows}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(read_site(path, "XX-T01").index) == list(read_site(path, "xx-t01").index.str.upper()) == ["XX-T01"]
        with pytest.raises(TableError, match=r"all.csv: no such site.*found XX-T03.*Did you mean 'XX-T0\d'"):
            read_site(path, "XX-T03")
    with pytest.warns(UserWarning, match="decimals .XX-T02.") as said:
        read_site(path, "XX-T02")
    assert len(said) == 2


def test_a_merged_table_remembers_its_conflicts_until_they_are_settled(tmp_path: Path) -> None:
    one = write(tmp_path / "one.csv", f"{PLACE},canopy_height\nXX-T01,48.1230,11.5430,2\nXX-T02,50.12345,12.54321,\n")
    two = write(tmp_path / "two.csv", f"{PLACE},canopy_height\nXX-T01,48.1240,11.5430,3\n")
    merged = tmp_path / "merged.csv"
    with pytest.warns(UserWarning, match="disagree"):
        write_sites(merge_sites([one, two]), merged)
    with pytest.warns(UserWarning, match="disagreed") as said:
        read_site(merged, "XX-T01")
    (line,) = (str(warning.message) for warning in said)
    assert line.startswith("merged.conflicts.csv: sources disagreed when this table was merged: XX-T01 coordinates")
    assert "111 m apart; XX-T01 canopy_height 2.0 (one.csv) against 3.0 (two.csv)" in line
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_site(merged, "XX-T02")
        write(merged, merged.read_text().replace("48.1230", "48.1240").replace(",2.0,", ",3.0,"))
        read_site(merged, "XX-T01")


def test_only_the_first_table_brings_columns_of_its_own(tmp_path: Path, archive: Path) -> None:
    first = write(tmp_path / "a.csv", f"{PLACE},note\nXX-T01,48.12345,11.54321,\n")
    second = write(tmp_path / "b.csv", "Unnamed: 0,SITE_ID,note,avg_WS,HEIGHTC\n7,XX-T01,seen,3.1,25.5\n")
    sites = read_sites([first, second, archive])
    assert not {"Unnamed: 0", "avg_WS"} & set(sites.columns)
    assert tuple(sites.loc["XX-T01", ["note", "canopy_height", "igbp"]]) == ("seen", 25.5, "ENF")


# -- studies


def test_a_study_is_completed_from_its_folder_but_never_grows(tmp_path: Path, archive: Path) -> None:
    write(tmp_path / "sites.csv", "site_id\nXX-T01\n")
    rows = "XX-T01,48.9,11.9,0.5\nXX-T09,40.12345,9.54321,1\n"
    write(tmp_path / "sites" / "b.csv", f"{PLACE},canopy_height\n{rows}")
    write(tmp_path / "sites" / "a.csv", f"{PLACE}\nXX-T01,48.77777,11.77777\n")
    write(tmp_path / "sites" / "a.origin.csv", "not,a,site,table\n")
    write(tmp_path / "sites" / "README.md", "Where these tables come from\n")
    (tmp_path / "flux").mkdir()
    bif.write_zip(tmp_path / "flux" / "XX-T01.zip", **{"XX-T01_BIF.csv": archive.read_bytes()})
    bif.write_zip(tmp_path / "flux" / "XX-T02.zip", **{"XX-T02.csv": b"TIMESTAMP,GPP_NT_VUT_REF\n"})
    write(tmp_path / "flux" / "XX-T03.csv", "TIMESTAMP,GPP_NT_VUT_REF\n")
    with pytest.warns(UserWarning, match=r"disagree at 1 of 1 sites \(coordinates 1, canopy_height 1\)"):
        records = study_sites(tmp_path)
    row = records.sites.loc["XX-T01"]
    assert list(records.sites.index) == ["XX-T01"]
    assert (row["latitude"], row["canopy_height"], row["utc_offset"]) == (48.77777, 0.5, 1)
    assert set(records.origin["source"]) == {"a.csv", "b.csv", "XX-T01.zip: XX-T01_BIF.csv"}


def test_a_study_without_further_sources_needs_its_own_table(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        study_sites(tmp_path)
    write(tmp_path / "sites.csv", "site_id\nXX-T01\n")
    with pytest.raises(TableError, match="column latitude, longitude absent"):
        study_sites(tmp_path)
    write(tmp_path / "sites.csv", f"{PLACE}\nXX-T01,48.12345,11.54321\n")
    assert_geodataframe_equal(study_sites(tmp_path).sites, read_sites(tmp_path / "sites.csv"))


# -- properties

SITES = ("XX-T01", "XX-T02", "XX-T03")
COLUMNS = ("elevation", "igbp", "canopy_height", "measurement_height", "utc_offset", "citation", "note")
_words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=12)
_cells = {
    "elevation": st.floats(-400, 8000),
    "igbp": st.sampled_from(["ENF", "GRA", "CRO"]),
    "canopy_height": st.floats(0, 60),
    "measurement_height": st.floats(0, 100),
    "utc_offset": st.sampled_from([0, 0.5, 1]),
    "citation": _words,
    "note": _words,
}


@st.composite
def tables(draw: st.DrawFn, complete: bool) -> pd.DataFrame:
    """A site table as text: some sites, some columns, some cells."""
    ids = SITES if complete else draw(st.lists(st.sampled_from(SITES), min_size=1, unique=True))
    columns = draw(st.lists(st.sampled_from(COLUMNS), unique=True))
    rows: list[dict[str, object]] = []
    for site in ids:
        row: dict[str, object] = {"site_id": site}
        if complete or draw(st.booleans()):
            row |= {"latitude": draw(st.floats(47, 48)), "longitude": draw(st.floats(9, 20))}
        rows.append(row | {c: draw(st.none() | _cells[c]) for c in columns})
    return pd.DataFrame(rows, columns=["site_id", "latitude", "longitude", *columns], dtype=object)


def saved(folder: Path, frames: Sequence[pd.DataFrame]) -> list[Path]:
    paths = []
    for number, frame in enumerate(frames):
        paths.append(folder / f"{number}.csv")
        frame.to_csv(paths[-1], index=False)
    return paths


merging = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
several = st.tuples(tables(complete=True), tables(complete=False), tables(complete=False)).flatmap(st.permutations)


@merging
@given(frames=several)
@pytest.mark.filterwarnings("ignore")
def test_every_value_has_one_origin_which_is_the_first_that_knows_it(
    tmp_path: Path, frames: list[pd.DataFrame]
) -> None:
    records = merge_sites(saved(tmp_path, frames))
    origin = records.origin.set_index(["site", "column"])
    assert origin.index.is_unique
    sites = records.sites.drop(columns="geometry")
    stacked = {(site, column): sites.loc[site, column] for site in sites.index for column in sites}
    assert {key for key, value in stacked.items() if pd.notna(value)} == set(origin.index)
    for (site, column), claim in origin.iterrows():
        assert claim["value"] == stacked[site, column]
        known = [n for n, f in enumerate(frames) if _cell(f, site, column)]
        assert claim["source"] == f"{known[0]}.csv"
        assert claim["text"] == _cell(frames[known[0]], site, column)


def _cell(frame: pd.DataFrame, site: str, column: str) -> str:
    """As a reader of the CSV sees it."""
    rows = frame[frame["site_id"] == site]
    if column not in frame or rows.empty or pd.isna(rows[column].iloc[0]):
        return ""
    text = str(rows[column].iloc[0]).strip()
    return "" if text in ("NA", "NaN", "nan", "N/A", "-9999", "-9999.0") else text


@merging
@given(frames=several, seed=st.integers(0, 1000))
@pytest.mark.filterwarnings("ignore")
def test_merging_is_idempotent_and_blind_to_the_order_of_rows(
    tmp_path: Path, frames: list[pd.DataFrame], seed: int
) -> None:
    paths = saved(tmp_path, frames)
    merged = read_sites(paths)
    assert_geodataframe_equal(read_sites([*paths, *paths]), merged)
    write_sites(merge_sites(paths), tmp_path / "merged.csv")
    assert_geodataframe_equal(read_sites([tmp_path / "merged.csv", *paths]), merged)
    shuffled = saved(tmp_path, [frame.sample(frac=1, random_state=seed) for frame in frames])
    assert_geodataframe_equal(read_sites(shuffled).sort_index(), merged.sort_index())


@merging
@given(frame=tables(complete=True))
@pytest.mark.filterwarnings("ignore")
def test_what_is_written_reads_back_unchanged(tmp_path: Path, frame: pd.DataFrame) -> None:
    records = merge_sites(saved(tmp_path, [frame]))
    write_sites(records, tmp_path / "out" / "sites.csv")
    assert_geodataframe_equal(read_sites(tmp_path / "out" / "sites.csv"), records.sites)
    origin = pd.read_csv(tmp_path / "out" / "sites.origin.csv", dtype=str, keep_default_na=False)
    assert list(origin["text"]) == list(records.origin["text"])
    assert (tmp_path / "out" / "sites.conflicts.csv").exists()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_the_order_of_an_archive_s_rows_never_matters(tmp_path: Path, seed: int) -> None:
    rows = [
        *bif.TOWER,
        *bif.location("XX-T01", 20, "48.12346", "11.54322", LOCATION_DATE_START="2012"),
        *bif.location("XX-T01", 21, "48.12347", "11.54323", LOCATION_DATE_START="2012"),
        *bif.height("XX-T01", 22, "26", date="20120801"),
        *bif.height("XX-T01", 23, "26", date="20120802"),
        *bif.location("XX-T02", 20, "50.12345", "12.54321"),
        *bif.group("XX-T02", 24, "GRP_IGBP", IGBP="GRA"),
    ]
    expected = merge_sites(bif.write_bif(tmp_path / "BIF.csv", rows))
    shuffled = random.Random(seed).sample(rows, len(rows))
    found = merge_sites(bif.write_bif(tmp_path / "BIF.csv", shuffled))
    assert_geodataframe_equal(found.sites.sort_index(), expected.sites.sort_index())
    keys = ["site", "column"]
    pd.testing.assert_frame_equal(
        found.origin.sort_values(keys, ignore_index=True), expected.origin.sort_values(keys, ignore_index=True)
    )


def test_coordinates_keep_their_decimals_and_are_not_warned_of_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "sites.csv", f"{PLACE}\nXX-T01,48.1230,11.5000\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_sites(merge_sites(path), tmp_path / "out.csv")
        assert "XX-T01,48.1230,11.5000," in (tmp_path / "out.csv").read_text()
        read_sites(tmp_path / "out.csv")


def test_geopandas_goes_on_working_with_what_comes_back(own: Path, archive: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sites = read_sites([own, archive])
    both = pd.concat([sites, sites])
    assert isinstance(both, gpd.GeoDataFrame)
    assert len(sites.merge(sites, left_index=True, right_index=True)) == 2
    assert_geodataframe_equal(copy.deepcopy(sites), sites)
    sites.to_json()
    sites.to_csv(own)
    assert_geodataframe_equal(read_sites(own), sites)
