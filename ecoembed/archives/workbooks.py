"""The sheets of an Excel workbook (.xlsx) as lines of CSV, so that a table is read in one way wherever it lies."""

from __future__ import annotations

import csv
import datetime
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ecoembed.archives.containers import Counted, Part, opened, readable
from ecoembed.errors import EcoembedError, FileError

_BLOCK = 1 << 16
_MAX_ROWS = 1 << 20  # Excel's own limit


def is_workbook(part: Part) -> bool:
    """Judged by content: a zip that holds a workbook. A zip's member is judged by its name, to spare unpacking it."""
    if part.member is not None:
        return part.member.lower().endswith((".xlsx", ".xlsm"))
    with part.path.open("rb") as stream:
        if stream.read(2) != b"PK":
            return False
    with readable(part.name), zipfile.ZipFile(part.path) as archive:
        return "xl/workbook.xml" in archive.namelist()


def list_sheets(part: Part) -> list[Part]:
    """The sheets of a workbook that hold more than one row.

    Raises
    ------
    FileError
        Truncated, corrupt or expanding without end.
    """
    with _workbook(part) as book:
        filled = [sheet.title for sheet in book.worksheets if len(list(_rows(sheet, part.name, max_row=2))) == 2]
    return [Part(part.path, part.member, title) for title in filled]


def sheet_lines(part: Part) -> Iterator[bytes]:
    """A sheet's rows as lines of CSV in UTF-8; whole numbers without a decimal point, as time stamps need.

    Raises
    ------
    FileError
        As :func:`list_sheets`.
    """
    with _workbook(part) as book:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        width = 0
        for row in _rows(book[part.sheet], part.name):
            width = max(width, len(row))  # empty cells at a row's end are not stored
            filled = any(value is not None for value in row)
            writer.writerow([*map(_cell, row), *[None] * (width - len(row))] if filled else [])
            if text.tell() > _BLOCK:
                yield text.getvalue().encode()
                text.seek(0)
                text.truncate()
        yield text.getvalue().encode()


def _rows(sheet: Any, where: str, max_row: int | None = None) -> Iterator[tuple[Any, ...]]:
    """All rows: the extent that a sheet declares may be wrong, and a row's own number may be without end."""
    sheet.reset_dimensions()
    for number, row in enumerate(sheet.iter_rows(max_row=max_row, values_only=True), 1):
        if number > _MAX_ROWS:
            raise FileError("the sheet has rows without end", where=where, expected=f"at most {_MAX_ROWS} rows")
        yield row


def _cell(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value.strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, datetime.datetime) else value


@contextmanager
def _workbook(part: Part) -> Iterator[Any]:
    from openpyxl import load_workbook

    with opened(part) as stream:
        content = io.BytesIO(stream.read())
    _refuse_bomb(content, part.name)
    try:
        book = load_workbook(content, read_only=True, data_only=True)
        try:
            yield book
        finally:
            book.close()
    except EcoembedError:
        raise
    except Exception as exc:  # openpyxl lets through whatever a damaged workbook causes inside it
        raise FileError(
            "the workbook is truncated or damaged",
            where=part.name,
            found=f"{type(exc).__name__}: {exc}"[:200],
            remedy="Download it again, or save the sheet as CSV (UTF-8)",
        ) from None


def _refuse_bomb(content: io.BytesIO, where: str) -> None:
    """Unpack every member once, counting: openpyxl trusts the sizes that a workbook declares."""
    buffer = bytearray(_BLOCK)
    with readable(where), zipfile.ZipFile(content) as archive:
        for member in archive.infolist():
            with archive.open(member) as stream:
                counted = Counted(stream, member.compress_size, where)
                while counted.readinto(buffer):
                    pass
