from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from ecoembed import read_sites
from ecoembed.errors import FileError, ProductError, TableError

OURS = "site_id,latitude,longitude,elevation,igbp,canopy_height,measurement_height,utc_offset,licence,citation,note\n"
ROW = "XX-T01,48.123456789,11.5000001,512.5,GRA,0.3,2.4,1,CC-BY-4.0,Nobody 2020,kept\n"


def write(tmp_path: Path, text: str, name: str = "sites.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_own_names_at_full_precision(tmp_path: Path) -> None:
    sites = read_sites(write(tmp_path, OURS + ROW))
    row = sites.loc["XX-T01"]
    assert (row["latitude"], row["longitude"]) == (48.123456789, 11.5000001)
    assert (row["utc_offset"], row["igbp"], row["note"]) == (1.0, "GRA", "kept")
    assert sites.crs.to_epsg() == 4326
    assert (row["geometry"].x, row["geometry"].y) == (11.5000001, 48.123456789)


def test_reads_fluxnet_names_and_leaves_absent_columns_missing(tmp_path: Path) -> None:
    text = "SITE_ID,LOCATION_LAT,LOCATION_LONG,LOCATION_ELEV,IGBP,UTC_OFFSET,HEIGHTC,SENSOR_HEIGHT\n"
    sites = read_sites(write(tmp_path, text + "XX-T01,48.12345,-72.54321,-9999,DBF,-5,25,NA\n"))
    row = sites.loc["XX-T01"]
    assert (row["latitude"], row["utc_offset"], row["canopy_height"]) == (48.12345, -5.0, 25.0)
    assert np.isnan(row["elevation"])
    assert np.isnan(row["measurement_height"])
    assert row["citation"] is None or row["citation"] != row["citation"]


def test_warns_of_rounded_coordinates_and_names_the_sites(tmp_path: Path) -> None:
    text = "site_id,latitude,longitude\nXX-T01,48.123,11.54321\nXX-T02,48.12345,11.54321\n"
    with pytest.warns(UserWarning, match=r"1 of 2 sites.*4 decimals \(XX-T01\)"):
        read_sites(write(tmp_path, text))


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("XX-T02,48.12345,east", "row 3 (XX-T02), column longitude"),
        ("XX-T02,148.12345,11.54321", "row 3 (XX-T02), column latitude"),
        ("XX-T02,,11.54321", "row 3 (XX-T02), column latitude"),
        ("XX-T01,48.12345,11.54321", "row 3, column site_id"),
        (",48.12345,11.54321", "row 3, column site_id"),
    ],
)
def test_names_row_and_column_of_a_bad_value(tmp_path: Path, row: str, named: str) -> None:
    path = write(tmp_path, f"site_id,latitude,longitude\nXX-T01,48.12345,11.54321\n{row}\n")
    with pytest.raises(TableError) as caught:
        read_sites(path)
    assert named in str(caught.value)


def test_unknown_igbp_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"column igbp.*'FOREST'"):
        read_sites(write(tmp_path, OURS + ROW.replace("GRA", "FOREST")))


def test_absent_and_doubled_columns(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"column longitude absent.*LOCATION_LONG"):
        read_sites(write(tmp_path, "site_id,latitude\nXX-T01,48.12345\n"))
    with pytest.raises(TableError, match="latitude given twice"):
        read_sites(write(tmp_path, "site_id,latitude,LAT,longitude\nXX-T01,48.12345,48.12345,11.54321\n"))


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        read_sites(tmp_path / "absent.csv")
    with pytest.raises(FileError):
        read_sites(write(tmp_path, ""))
    (tmp_path / "latin.csv").write_bytes(b"site_id,latitude,longitude,citation\nXX-T01,48.12345,11.54321,M\xfcller\n")
    with pytest.raises(FileError, match="UTF-8"):
        read_sites(tmp_path / "latin.csv")
    (tmp_path / "old.csv").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 64)
    with pytest.raises(ProductError, match="workbook"):
        read_sites(tmp_path / "old.csv")


def test_another_separator_is_named(tmp_path: Path) -> None:
    text = "site_id,latitude,longitude\nXX-T01,48.12345,11.54321\n".replace(",", "\t")
    with pytest.raises(TableError, match=r"the separator is a tab .*expected ',' or ';'"):
        read_sites(write(tmp_path, text))


def test_semicolons_and_decimal_commas_are_read_and_told(tmp_path: Path) -> None:
    text = "SITE_ID;LOCATION_LAT;LOCATION_LONG;igbp;citation\nXX-T01;48,12345;11,54321;GRA;A, B 2020\n"
    with pytest.warns(UserWarning, match="2 numbers with decimal commas"):
        row = read_sites(write(tmp_path, text)).loc["XX-T01"]
    assert (row["latitude"], row["longitude"], row["citation"]) == (48.12345, 11.54321, "A, B 2020")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        points = read_sites(write(tmp_path, text.replace("8,1", "8.1").replace("1,5", "1.5"), "points.csv"))
    assert points.loc["XX-T01", "latitude"] == 48.12345


def test_commas_among_points_are_refused(tmp_path: Path) -> None:
    text = "site_id;latitude;longitude;elevation\nXX-T01;48.12345;11.54321;1,234\n"
    with pytest.raises(TableError, match=r"row 2 \(XX-T01\), column elevation: not a number .found '1,234'"):
        read_sites(write(tmp_path, text))


def test_an_offset_that_fits_exchanged_coordinates_is_asked_about(tmp_path: Path) -> None:
    text = "site_id,latitude,longitude,utc_offset\nXX-T01,-70.12345,-10.54321,-5\nXX-T02,48.12345,-72.54321,5\n"
    with pytest.warns(UserWarning, match="utc_offset of 2") as said:
        read_sites(write(tmp_path, text))
    assert "XX-T01: -5 h at longitude -10.5432 (are latitude and longitude exchanged?); XX-T02: +5 h at" in str(
        said[0].message
    )
    assert "at longitude -72.5432 (is its sign wrong?)" in str(said[0].message)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            ",0.3,",
            ",-1,",
            "row 2 (XX-T01), column canopy_height: impossible value (found -1.0; expected between 0 and 150 m",
        ),
        ("GRA", "FOREST", "column igbp: impossible value (found 'FOREST'; expected one of ENF, EBF,"),
        ("GRA", "gra", "Did you mean 'GRA'?"),
        ("48.123456789", "-111.5", "between -90 and 90 degrees). Are latitude and longitude exchanged?"),
        (
            ",2.4,",
            ',"2,4",',
            "expected a number in m, or an empty cell where unknown). Write it with a decimal point: 2.4",
        ),
        (",2.4,", ",2.4 m,", "row 2 (XX-T01), column measurement_height: not a number (found '2.4 m'; expected"),
        (",1,CC", ",60,CC", "column utc_offset: impossible value (found 60.0; expected between -14 and 14 h"),
        (
            "48.123456789",
            "",
            "column latitude: impossible value (found an empty cell; expected between -90 and 90 degrees",
        ),
    ],
)
def test_a_breach_is_told_in_words(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(TableError) as caught:
        read_sites(write(tmp_path, OURS + ROW.replace(old, new)))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "found an empty file"),
        (b"site_id,latitude,longitude\nXX-\xfc,48.12345,11.54321\n", "found not text in UTF-8"),
        (b"site_id,latitude,longitude\nXX-T01,48.12345,11.54321\nXX-T02,1,2,3,4\n", "row 3 has 5 fields, not 3"),
        (b'site_id,latitude,longitude\n"XX-T01,48.12345,11.54321\n', "a quote that is never closed"),
    ],
)
def test_an_unreadable_table_is_told_in_words(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "sites.csv").write_bytes(content)
    with pytest.raises(FileError) as caught:
        read_sites(tmp_path / "sites.csv")
    assert told in str(caught.value)


def test_warnings_come_once_and_without_a_source_line(tmp_path: Path) -> None:
    text = "site_id,latitude,longitude,utc_offset\nXX-T01,48.123,11.54321,1\nXX-T02,48.12345,-72.12345,5\n"
    path = write(tmp_path, text)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        read_sites(path)
        read_sites(path)
    rounded, offset = (str(warning.message) for warning in seen)
    assert "decimals (XX-T01)" in rounded
    assert "utc_offset of 1 of 2 sites" in offset
    assert "XX-T02: +5 h at longitude -72.1" in offset
    for each in seen:
        assert (
            len(warnings.formatwarning(str(each.message), each.category, each.filename, each.lineno).splitlines()) == 1
        )


def test_a_sensor_below_the_canopy_is_doubted(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"not above canopy_height at 1 of 1 sites \(XX-T01\): both are in m above"):
        read_sites(write(tmp_path, OURS + ROW.replace(",0.3,2.4,", ",30,2.4,")))


def test_civil_times_far_from_the_sun_are_accepted(tmp_path: Path) -> None:
    rows = "XX-W01,39.12345,75.12345,8\nXX-D01,-21.12345,-175.12345,13\nXX-N01,48.12345,11.54321,\n"
    path = write(tmp_path, "site_id,latitude,longitude,utc_offset\n" + rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_sites(path)) == 3


def test_a_folder_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="this is a folder"):
        read_sites(tmp_path)
