"""Damaged, hostile and misleading flux files: each a typed error, or a counted repair."""

from __future__ import annotations

import gzip
import io
import re
import struct
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecoembed.archives import containers
from ecoembed.archives.flux.files import find_tables, read_columns
from ecoembed.errors import FileError, ProductError
from tests.archives import fakes

NAME = fakes.name("DD")
COLUMNS = ["TA_F", "NEE_VUT_REF"]


def read(path: Path, columns: list[str] = COLUMNS) -> pd.DataFrame:
    return read_columns(find_tables(path)[0], columns)


def text_of(table: pd.DataFrame | None = None) -> str:
    return (fakes.daily() if table is None else table).to_csv(index=False)


def written(tmp_path: Path, content: str | bytes, name: str = NAME) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty|no header"),
        (b"\xef\xbb\xbf", "no header"),
        (b"# Site: XX-T01\n", "no header"),
        (b"TIMESTAMP,TA_F\n", "a header without rows"),
        (b"TIMESTAMP,TA_F\n\n  \n", "a header without rows|number of fields"),
        (b"<!DOCTYPE html><html>log in</html>", "a web page, not a table.*Log in"),
        (b"\n <html><body>", "a web page"),
        (b"%PDF-1.4 some", "not a text table"),
        (b"PAR1\x00\x00", "not a text table"),
        ("TIMESTAMP,TA_F\n20190101,1\n".encode("utf-16-le"), "not a text table.*CSV .UTF-8"),
        (b"TIMESTAMP,TA_F\r20190101,1\r20190102,1\r", "old Mac"),
        (b"PK\x03\x04 nothing", "truncated, damaged or encrypted"),
        (b"\x1f\x8b\x08\x00broken", "truncated, damaged or encrypted"),
    ],
)
def test_what_is_no_table_is_refused_in_words(tmp_path: Path, content: bytes, match: str) -> None:
    with pytest.raises(FileError, match=match):
        read(written(tmp_path, content), ["TA_F"])


def test_other_formats_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match=r"old \(\.xls\) or encrypted.*Save the sheet as CSV"):
        find_tables(written(tmp_path, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"))
    with pytest.raises(ProductError, match=r"collection.*description"):
        find_tables(written(tmp_path, b"CDF\x01\x00\x00\x00\x00"))
    with pytest.raises(FileError, match="no such file"):
        find_tables(tmp_path / "absent.csv")
    with pytest.raises(FileError, match="this is a folder"):
        find_tables(tmp_path)
    with pytest.raises(ProductError, match="no table of fluxes"):
        find_tables(fakes.write_zip(tmp_path, {"README.md": "hello"}))


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97, 0.999])
@pytest.mark.parametrize("kind", ["zip", "gz", "xlsx"])
def test_truncated_archives(tmp_path: Path, kind: str, share: float) -> None:
    if kind == "zip":
        path = fakes.write_zip(tmp_path, {NAME: fakes.daily()})
    elif kind == "gz":
        path = written(tmp_path, gzip.compress(text_of().encode()), NAME + ".gz")
    else:
        path = tmp_path / f"{NAME}.xlsx"
        fakes.daily().to_excel(path, index=False)
    with pytest.raises(FileError, match=r"truncated|damaged|cut off"):
        read(fakes.truncate(path, share))


def test_a_row_that_is_cut_off_is_named(tmp_path: Path) -> None:
    text = text_of()
    with pytest.raises(FileError, match=r"row 60 below the header: the last row is cut off \(found \d+ fields"):
        read(written(tmp_path, text[:-60]))
    rows = text.splitlines()
    rows[30] = rows[30][:20]
    with pytest.raises(FileError, match=r"row 30 below the header: a row has another number of fields"):
        read(written(tmp_path, "\n".join(rows)))


def test_a_corrupt_member_fails_its_checksum(tmp_path: Path) -> None:
    path = fakes.write_zip(tmp_path, {NAME: fakes.daily(3000)})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"damaged|text in a column|number of fields"):
        read(path)


def bomb(rows: int = 2_000_000) -> bytes:
    return b"TIMESTAMP,TA_F,NEE_VUT_REF\n" + b"20190101,1.0,-1.0000000000000000000\n" * rows


def test_bombs_stop_expanding(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(NAME, bomb())
    assert path.stat().st_size < 400_000
    with pytest.raises(FileError, match="expands without end"):
        read(path)
    with pytest.raises(FileError, match="expands without end"):
        read(written(tmp_path, gzip.compress(bomb()), NAME + ".gz"))


def test_a_workbook_that_is_a_bomb(tmp_path: Path) -> None:
    path = tmp_path / "bomb.xlsx"
    fakes.daily().to_excel(path, index=False)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/zeros.bin", bytes(70 << 20))
    with pytest.raises(FileError, match="expands without end"):
        find_tables(path)


def test_laughing_entities_in_a_workbook(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.xlsx", tmp_path / "laughs.xlsx"
    fakes.daily().to_excel(whole, index=False)
    entities = '<!ENTITY a0 "lol">' + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12))
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.namelist():
            content = old.read(member)
            if member == "xl/sharedStrings.xml" or member.endswith("sheet1.xml"):
                content = f'<?xml version="1.0"?><!DOCTYPE x [{entities}]><x>&a11;</x>'.encode()
            new.writestr(member, content)
    with pytest.raises((FileError, ProductError)):
        find_tables(path)


def test_absolute_size_is_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "MAX_BYTES", 10_000)
    with pytest.raises(FileError, match="expands without end"):
        read(fakes.write_zip(tmp_path, {NAME: fakes.daily(1000)}))


def test_declared_sizes_are_not_believed(tmp_path: Path) -> None:
    path = fakes.write_zip(tmp_path, {NAME: fakes.daily(500)})
    content = path.read_bytes()
    whole = struct.pack("<I", len(text_of(fakes.daily(500)).encode()))
    assert content.count(whole) == 2
    path.write_bytes(content.replace(whole, struct.pack("<I", 30_000)))
    with pytest.raises(FileError, match=r"damaged|truncated|cut off"):
        read(path)
    path.write_bytes(content.replace(whole, struct.pack("<I", 1 << 31)))
    np.testing.assert_array_equal(read(path), fakes.daily(500)[COLUMNS])


@pytest.mark.parametrize("member", ["../a.csv", "/etc/a.csv", "C:\\a.csv", "x\\..\\..\\a.csv"])
def test_members_that_leave_the_archive(tmp_path: Path, member: str) -> None:
    with pytest.raises(FileError, match="leaves the archive"):
        find_tables(fakes.write_zip(tmp_path, {NAME: fakes.daily(), member: "x"}))


@pytest.mark.parametrize("member", ["inner.zip", "FLX.csv.gz", "a.tar"])
def test_an_archive_in_the_archive(tmp_path: Path, member: str) -> None:
    with pytest.raises(FileError, match=r"archive within the archive.*Unpack"):
        find_tables(fakes.write_zip(tmp_path, {NAME: fakes.daily(), member: "x"}))


def test_an_encrypted_member(tmp_path: Path) -> None:
    path = fakes.write_zip(tmp_path, {NAME: fakes.daily()})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x03\x04") + 6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(FileError, match="encrypted"):
        find_tables(path)


def test_other_encodings_where_they_do_not_matter_and_where_they_do(tmp_path: Path) -> None:
    table = fakes.daily().assign(Bemerkung="Föhn")
    frame = read(written(tmp_path, text_of(table).encode("latin-1")))
    np.testing.assert_array_equal(frame, table[COLUMNS])
    with pytest.raises(FileError, match=r"text in a column of numbers|not UTF-8"):
        read(tmp_path / NAME, ["Bemerkung"])


def test_text_among_numbers_is_named_by_row_and_column(tmp_path: Path) -> None:
    table = fakes.daily().astype({"TA_F": object})
    table.loc[41, "TA_F"] = "warm"
    path = written(tmp_path, text_of(table))
    with pytest.raises(FileError, match=r"row 42 below the header, column TA_F: text .*found 'warm'"):
        read(path)
    assert len(read(path, ["NEE_VUT_REF"])) == 60


def test_a_name_twice_matters_only_where_it_is_wanted(tmp_path: Path) -> None:
    path = written(tmp_path, text_of().replace("SW_IN_F", "TA_F"))
    with pytest.raises(FileError, match=r"twice in the header .found TA_F"):
        read(path)
    assert len(read(path, ["NEE_VUT_REF"])) == 60


def test_stamps_that_a_spreadsheet_has_rounded(tmp_path: Path) -> None:
    table = fakes.halfhourly()
    table.loc[5, "TIMESTAMP_START"] = "2.01901E+11"
    with pytest.raises(FileError, match=r"rounded the time stamps"):
        read(written(tmp_path, text_of(table), fakes.name("HH")), ["TA_F"])
    for stamp in ("2.01901E+11", "01/03/2019 00:30", "2019-03-01 00:30:00", "3/1/2019 12:30 AM", "43525.0208"):
        with pytest.raises(FileError, match=rf"a spreadsheet has changed the time stamps .found {re.escape(stamp)}"):
            read(written(tmp_path, text_of(table.assign(TIMESTAMP_START=stamp)), fakes.name("HH")), ["TA_F"])


@pytest.mark.parametrize("stamp", ["20190230", "20191301", "2019", "", "99999999", "-20190101"])
def test_an_impossible_stamp_is_named(tmp_path: Path, stamp: str) -> None:
    table = fakes.daily()
    table.loc[7, "TIMESTAMP"] = stamp
    with pytest.raises(FileError, match="row 8 below the header, column TIMESTAMP"):
        read(written(tmp_path, text_of(table)))


def test_decimal_commas_between_commas(tmp_path: Path) -> None:
    text = text_of().replace(".", ",")
    with pytest.raises(FileError, match="number of fields"):
        read(written(tmp_path, text))
    quoted = text_of(fakes.daily().astype({"TA_F": str}).assign(TA_F="1,5"))
    with pytest.raises(FileError, match=r"a decimal comma.*TOML"):
        read(written(tmp_path, quoted))


def test_infinite_values_and_an_open_end_are_counted(tmp_path: Path) -> None:
    table = fakes.daily()
    table.loc[3, "TA_F"] = np.inf
    frame = read(written(tmp_path, text_of(table).rstrip("\n")))
    assert np.isnan(frame["TA_F"].iloc[3])
    assert frame.attrs["repairs"] == {
        "infinite values, taken as missing": 1,
        "last row without a line end, perhaps cut": 1,
    }


def test_a_line_without_end(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"without end|number of fields|cut off"):
        read(written(tmp_path, text_of() + "1," * 3_000_000))


def test_a_sheet_of_errors(tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}.xlsx"
    fakes.daily().astype({"TA_F": object}).assign(TA_F="#DIV/0!").to_excel(path, index=False)
    with pytest.raises(FileError, match=r"column TA_F.*#DIV/0!"):
        read(path)


def test_a_damaged_sheet(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.xlsx", tmp_path / "half.xlsx"
    fakes.daily().to_excel(whole, index=False)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.namelist():
            content = old.read(member)
            new.writestr(member, content[: len(content) // 2] if member.endswith("sheet1.xml") else content)
    with pytest.raises(FileError, match="workbook is truncated or damaged"):
        read(path)


def test_an_archive_of_one_stored_member_is_read_in_place(tmp_path: Path) -> None:
    path, buffer = tmp_path / "stored.zip", io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(NAME, text_of())
    path.write_bytes(buffer.getvalue())
    assert len(read(path)) == 60
    assert [one.name for one in tmp_path.iterdir()] == ["stored.zip"]


def test_what_only_begins_as_utf_16_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(b"\xfe\xff" + b"\xd8\x00\x00\x41" * 50)
    with pytest.raises(FileError, match="begins as UTF-16 and is not"):
        find_tables(path)
