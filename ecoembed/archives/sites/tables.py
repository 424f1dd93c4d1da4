"""The tables of a file that holds site information: a CSV, the sheets of a workbook, the BIF tables inside a zip.

Everything stays text here, so that no digit of a coordinate is lost before it is counted.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ecoembed.archives.containers import Part, list_parts, opened
from ecoembed.archives.sites.claims import ALIASES, NUMBERS
from ecoembed.archives.workbooks import is_workbook, list_sheets, sheet_lines
from ecoembed.errors import FileError, TableError

#: The columns of BADM's interchange format: one row for each variable of a group of a site.
BIF = ("SITE_ID", "GROUP_ID", "VARIABLE_GROUP", "VARIABLE", "DATAVALUE")

_MISSING = {"", "NA", "NaN", "nan", "N/A", "-9999", "-9999.0"}
#: All sites of AmeriFlux take less.
MAX_BYTES = 128 << 20
_HEADER_LIMIT = _BLOCK = 1 << 16
_SITE = ("site_id", *ALIASES["site_id"])
_NUMBERS = {spelling for name in NUMBERS for spelling in (name, *ALIASES[name])}


Row = tuple[str, ...]


class Table(NamedTuple):
    """A header and its rows, each with its line in the file; cells stripped, ``""`` where missing.

    Numbers have a decimal point; ``decimal_commas`` of them had a comma.
    """

    path: Path
    name: str
    columns: Row
    rows: list[tuple[int, Row]]
    decimal_commas: int = 0

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
        Another separator than comma and semicolon; a workbook without a site table.
    """
    parts = list_parts(path)
    if parts != [Part(path)]:
        members = [(part, f"{name}: {part.name}") for part in parts if _may_be_bif(part)]
        return [table for part, called in members for table in _read_part(part, called) if table.bif]
    tables = _read_part(parts[0], name)
    fit = [table for table in tables if table.bif or any(column.lower() in _SITE for column in table.columns)]
    if not fit and is_workbook(parts[0]):
        found = "; ".join(f"{table.name}: {', '.join(table.columns[:6])}" for table in tables) or "empty sheets"
        raise TableError(
            "no site table in the workbook", where=name, found=found, expected="a sheet with a column SITE_ID"
        )
    return fit or tables


def _may_be_bif(part: Part) -> bool:
    """Flux tables lie in the same zip, and are large: their header decides."""
    if is_workbook(part):
        return True
    if not part.name.lower().endswith(".csv"):
        return False
    with opened(part) as stream:
        header = stream.readline(_HEADER_LIMIT).decode("utf-8-sig", errors="replace")
    return is_bif([cell.strip('" \r\n') for cell in header.split(",")])


def _read_part(part: Part, name: str) -> list[Table]:
    if is_workbook(part):
        sheets = list_sheets(part)
        names = [name if len(sheets) == 1 else f"{name}[{sheet.sheet}]" for sheet in sheets]
        return [_rows(_limited(sheet_lines(s), n), part.path, n, True) for s, n in zip(sheets, names, strict=True)]
    with opened(part) as stream:
        raw = _limited(iter(lambda: stream.read(_BLOCK), b""), name)
    header = raw[:_HEADER_LIMIT].partition(b"\n")[0]
    if header.count(b"\t") > header.count(b","):
        remedy = "Save it with commas or semicolons between columns"
        raise TableError("the separator is a tab", where=name, expected="',' or ';'", remedy=remedy)
    if header.count(b";") > header.count(b","):
        return [_without_commas(_rows(raw, part.path, name, False, ";"))]
    return [_rows(raw, part.path, name, False)]


def _without_commas(table: Table) -> Table:
    """Decimal points for commas, where all numbers agree: beside one with a point, a comma may part thousands."""
    numbers = [at for at, column in enumerate(table.columns) if column.lower() in _NUMBERS]
    cells = [cells[at] for _, cells in table.rows for at in numbers]
    commas = sum("," in cell for cell in cells)
    if not commas or any("." in cell for cell in cells):
        return table  # a comma among points is refused where its row and column are known
    rows = [
        (line, tuple(cell.replace(",", ".") if at in numbers else cell for at, cell in enumerate(cells)))
        for line, cells in table.rows
    ]
    return table._replace(rows=rows, decimal_commas=commas)


def _limited(blocks: Iterable[bytes], name: str) -> bytes:
    whole = io.BytesIO()
    for block in blocks:
        if whole.tell() + len(block) > MAX_BYTES:
            raise FileError("too large for a site table", where=name, expected=f"at most {MAX_BYTES >> 20} MiB")
        whole.write(block)
    return whole.getvalue()


def _rows(raw: bytes, path: Path, name: str, sheet: bool, separator: str = ",") -> Table:
    """The records of a CSV with their line in the file, or their row in the `sheet`; the first is the header."""
    reader = csv.reader(io.StringIO(_decoded(raw, name), newline=""), delimiter=separator, strict=True)
    rows: list[tuple[int, Row]] = []
    line = 1
    try:
        for number, cells in enumerate(reader, 1):
            if any(cells):
                rows.append((number if sheet else line, tuple(cells)))
            line = reader.line_num + 1
    except csv.Error as exc:
        found = "a quote that is never closed" if "end of data" in str(exc) else f"{exc}, row {line}"
        raise _unreadable(name, found) from None
    if not rows:
        raise _unreadable(name, "an empty file")
    return _table(path, name, rows)


def _decoded(raw: bytes, name: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        header = raw[:_HEADER_LIMIT].partition(b"\n")[0]
        if is_bif(header.decode("latin-1").split(",")):  # the archives' own exports, with names of persons and units
            return raw.decode("cp1252", errors="replace")
        remedy = "In the spreadsheet program, save it as 'CSV UTF-8'; in an editor, save it with the encoding UTF-8"
        raise _unreadable(name, "not text in UTF-8", remedy) from None


def _unreadable(name: str, found: str, remedy: str | None = None) -> FileError:
    expected = "a file in UTF-8 with commas or semicolons between columns"
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
