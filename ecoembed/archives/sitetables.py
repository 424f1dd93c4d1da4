"""The tables of a file that holds site information: a CSV, the sheets of a workbook, the BIF tables inside a zip.

Everything stays text here, so that no digit of a coordinate is lost before it is counted.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ecoembed.archives.claims import ALIASES
from ecoembed.archives.containers import Part, list_parts, opened
from ecoembed.archives.sheets import MAX_BYTES, Row, read_sheets
from ecoembed.errors import FileError, TableError

#: The columns of BADM's interchange format: one row for each variable of a group of a site.
BIF = ("SITE_ID", "GROUP_ID", "VARIABLE_GROUP", "VARIABLE", "DATAVALUE")

_MISSING = {"", "NA", "NaN", "nan", "N/A", "-9999", "-9999.0"}
_HEADER_LIMIT = 1 << 16
_SITE = ("site_id", *ALIASES["site_id"])


class Table(NamedTuple):
    """A header and its rows, each with its line in the file; cells stripped, ``""`` where missing."""

    path: Path
    name: str
    columns: Row
    rows: list[tuple[int, Row]]

    @property
    def bif(self) -> bool:
        return is_bif(self.columns)


def is_bif(columns: Sequence[str]) -> bool:
    return {"VARIABLE", "DATAVALUE"} <= {column.strip().upper() for column in columns}


def read_tables(path: Path, name: str) -> list[Table]:
    """The site tables of a file, called `name` in messages; of a zip only its BIF tables, if it has any.

    Raises
    ------
    FileError
        Absent, damaged, not UTF-8, or expanding without end.
    ProductError
        An old or encrypted workbook.
    TableError
        Another separator than the comma.
    """
    parts = list_parts(path)
    if [part.member for part in parts] != [None]:
        members = [(part, f"{name}: {part.name}") for part in parts]
        tables = [t for part, called in members if _may_be_bif(part) for t in _read_part(part, called) if t.bif]
        return sorted(tables, key=lambda table: table.name)
    return _read_part(parts[0], name)


def _may_be_bif(part: Part) -> bool:
    """Flux tables lie in the same zip, and are large: their header decides."""
    if part.name.lower().endswith(".xlsx"):
        return True
    if not part.name.lower().endswith(".csv"):
        return False
    with opened(part) as stream:
        header = stream.readline(_HEADER_LIMIT).decode("utf-8-sig", errors="replace")
    return is_bif([cell.strip('" \r\n') for cell in header.split(",")])


def _read_part(part: Part, name: str) -> list[Table]:
    with opened(part) as stream:
        raw = stream.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise FileError("too large for a site table", where=name, expected=f"at most {MAX_BYTES >> 20} MiB")
    if raw.startswith((b"PK", b"\xd0\xcf\x11\xe0")):
        return _sheets(raw, part.path, name)
    return [_csv(raw, part.path, name)]


def _sheets(raw: bytes, path: Path, name: str) -> list[Table]:
    sheets = [(title, _table(path, name, rows)) for title, rows in read_sheets(io.BytesIO(raw), name)]
    fit = [(title, t) for title, t in sheets if t.bif or any(c.lower() in _SITE for c in t.columns)]
    if not fit:
        found = "; ".join(f"{title}: {', '.join(table.columns[:6])}" for title, table in sheets) or "empty sheets"
        raise TableError(
            "no site table in the workbook", where=name, found=found, expected="a sheet with a column SITE_ID"
        )
    return [table if len(fit) == 1 else table._replace(name=f"{name}: {title}") for title, table in fit]


def _csv(raw: bytes, path: Path, name: str) -> Table:
    header = raw[:_HEADER_LIMIT].partition(b"\n")[0]
    for separator, called in ((b";", "';'"), (b"\t", "a tab")):
        if header.count(separator) > header.count(b","):
            raise TableError(
                f"the separator is {called}",
                where=name,
                expected="','",
                remedy="Save it with a comma between columns and a point in numbers",
            )
    reader = csv.reader(io.StringIO(_decoded(raw, header, name), newline=""), strict=True)
    rows: list[tuple[int, Row]] = []
    line = 1
    try:
        for cells in reader:
            if any(cells):
                rows.append((line, tuple(cells)))
            line = reader.line_num + 1
    except csv.Error as exc:
        found = "a quote that is never closed" if "end of data" in str(exc) else f"{exc}, row {line}"
        raise _unreadable(name, found) from None
    if not rows:
        raise _unreadable(name, "an empty file")
    return _table(path, name, rows)


def _decoded(raw: bytes, header: bytes, name: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        if is_bif(header.decode("latin-1").split(",")):  # the archives' own exports, with names of persons and units
            return raw.decode("cp1252", errors="replace")
        remedy = "In the spreadsheet program, save it as 'CSV UTF-8'; in an editor, save it with the encoding UTF-8"
        raise _unreadable(name, "not text in UTF-8", remedy) from None


def _unreadable(name: str, found: str, remedy: str | None = None) -> FileError:
    expected = "a comma-separated file in UTF-8"
    return FileError("the site table cannot be read", where=name, found=found, expected=expected, remedy=remedy)


def _table(path: Path, name: str, rows: list[tuple[int, Row]]) -> Table:
    """The first row is the header; a column without a name (row numbers that R writes) is left out."""
    header = [cell.strip() for cell in rows[0][1]]
    kept = [i for i, column in enumerate(header) if column]
    body = []
    for number, cells in rows[1:]:
        if any(cells[len(header) :]):
            raise _unreadable(name, f"row {number} has {len(cells)} fields, not {len(header)}")
        padded = (*cells, *[""] * (len(header) - len(cells)))
        body.append((number, tuple(_cell(padded[i]) for i in kept)))
    return Table(path, name, tuple(header[i] for i in kept), body)


def _cell(text: str) -> str:
    text = re.sub(r"\s*[\r\n]+\s*", " ", text.strip())
    return "" if text in _MISSING else text
