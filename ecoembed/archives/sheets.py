"""The sheets of an Excel workbook as rows of text; nothing is evaluated, and what a stranger's file may ask is bounded.

A formula gives the value that the program which saved the workbook had stored for it.
"""

from __future__ import annotations

import datetime
import warnings
import zipfile
from collections.abc import Iterator
from typing import IO

from ecoembed.errors import FileError, ProductError

#: No workbook of sites is larger once unpacked: 212 sites of FLUXNET2015's BIF take 4.5 MB.
MAX_BYTES = 256 << 20
MAX_ROWS = 1 << 20  # as many as a sheet can have
MAX_CELLS = 20_000_000

Row = tuple[str, ...]


def read_sheets(stream: IO[bytes], where: str) -> Iterator[tuple[str, list[tuple[int, Row]]]]:
    """Name and rows (number in the sheet, cells as text) of every sheet that is not empty.

    Raises
    ------
    FileError
        A damaged workbook, or one that expands without end.
    ProductError
        An old (.xls) or encrypted workbook.
    """
    from openpyxl import load_workbook

    if stream.read(4) == b"\xd0\xcf\x11\xe0":
        raise ProductError(
            "an old (.xls) or password-protected Excel workbook",
            where=where,
            expected=".xlsx or CSV",
            remedy="Save it as .xlsx without a password, or as CSV (UTF-8)",
        )
    stream.seek(0)
    try:
        with zipfile.ZipFile(stream) as archive:
            _bounded(sum(info.file_size for info in archive.infolist()) <= MAX_BYTES, where)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions, which hold no data
            book = load_workbook(stream, read_only=True, data_only=True, keep_links=False)
            for sheet in book.worksheets:
                if rows := list(_rows(sheet.iter_rows(values_only=True), where)):
                    yield sheet.title, rows
    except FileError:
        raise
    except Exception as exc:  # openpyxl lets through whatever its parsers meet: KeyError, ParseError, BadZipFile...
        raise FileError(
            "the workbook is damaged",
            where=where,
            found=f"{type(exc).__name__} in it",
            expected="a whole .xlsx",
            remedy="Download it again, or save it as CSV (UTF-8)",
        ) from None


def _rows(sheet: Iterator[tuple[object, ...]], where: str) -> Iterator[tuple[int, Row]]:
    """A few bytes can declare a cell at the far end of a sheet: all empty cells before it count."""
    cells = 0
    for number, row in enumerate(sheet, 1):
        cells += len(row)
        _bounded(number <= MAX_ROWS and cells <= MAX_CELLS, where)
        texts = tuple(map(_text, row))
        if any(texts):
            yield number, texts


def _text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))  # a date 20040715 or a group is held as a float
    if isinstance(cell, datetime.datetime):
        return cell.strftime("%Y%m%d")
    return str(cell)


def _bounded(within: bool, where: str) -> None:
    if not within:
        raise FileError(
            "the workbook expands without end",
            where=where,
            expected=f"at most {MAX_BYTES >> 20} MiB and {MAX_CELLS // 1_000_000} million cells",
            remedy="Do not trust this workbook",
        )
