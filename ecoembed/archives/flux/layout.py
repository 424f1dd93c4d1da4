"""How the text of a table is laid out: its comments, header, separator and first rows; and its lines as UTF-8."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ecoembed.archives.containers import Part, opened
from ecoembed.archives.workbooks import sheet_lines
from ecoembed.errors import FileError

_HEAD = 1 << 18  # comments, header and the first rows lie within
_ROWS = 200
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Layout:
    """The layout of one part. The rows begin at ``offset``, in bytes of its text as UTF-8 without a mark.

    ``rows`` are the first ones; ``notes`` counts what was read otherwise than plain UTF-8.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    comments: tuple[str, ...] = ()
    separator: str = ","
    offset: int = 0
    notes: Mapping[str, int] = field(default_factory=dict)


def sniff(part: Part, separator: str | None = None, header_row: int | None = None, skipped: int = 0) -> Layout:
    """The layout of a text table, from its first bytes.

    Parameters
    ----------
    part : Part
    separator : str, optional
        Between the cells; without it, the one of comma, semicolon and tab that is most frequent in the header.
    header_row : int, optional
        The header's line, from 1; without it, the first line that is neither blank nor starts with ``#``.
    skipped : int
        Lines between header and rows (units, types).

    Raises
    ------
    FileError
        Empty, not text, a web page, or damaged.
    """
    with text_of(part) as stream:
        raw = stream.read(_HEAD)
        notes = {"file read as UTF-16": 1} if getattr(stream, "recoded", False) else {}
    lines = raw.splitlines(keepends=True)
    if len(raw) == _HEAD:
        lines = lines[:-1]  # perhaps cut
    start = header_row - 1 if header_row else _first(lines)
    if start >= len(lines):
        raise FileError("no header", where=part.name, expected="a line of column names", remedy="Download it again")
    header = _decoded(lines[start])
    separator = separator or max(",;\t", key=header.count)
    first = start + 1 + skipped
    return Layout(
        columns=_cells(header, separator),
        rows=tuple(_cells(_decoded(line), separator) for line in lines[first : first + _ROWS] if line.strip()),
        comments=tuple(_decoded(line).strip(' "#,;\t\r\n') for line in lines[:start] if line.strip()),
        separator=separator,
        offset=sum(len(line) for line in lines[:first]),
        notes=notes,
    )


@contextmanager
def text_of(part: Part) -> Iterator[io.BufferedReader]:
    """The part's text as UTF-8 without a mark, wherever it lies: in a file, a zip's member, a sheet.

    Raises
    ------
    FileError
        Empty, not text, a web page, or damaged.
    """
    if part.sheet is not None:
        yield io.BufferedReader(_Blocks(sheet_lines(part)))
        return
    with opened(part) as stream:
        start = stream.peek(64)
        if start.startswith(_UTF16):
            yield _Recoded(_Blocks(_from_utf16(stream, part.name)))
            return
        _refuse_other(start, part.name)
        if start.startswith(codecs.BOM_UTF8):
            stream.read(len(codecs.BOM_UTF8))
        yield stream


def _from_utf16(stream: io.BufferedReader, where: str) -> Iterator[bytes]:
    text = io.TextIOWrapper(stream, encoding="utf-16", newline="")
    try:
        yield from (block.encode() for block in iter(lambda: text.read(1 << 16), ""))
    except UnicodeError:
        raise FileError(
            "text that begins as UTF-16 and is not", where=where, remedy="The file is damaged: download it again"
        ) from None


class _Recoded(io.BufferedReader):
    recoded = True


class _Blocks(io.RawIOBase):
    """A stream made of blocks of bytes."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._rest = blocks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def _refuse_other(start: bytes, where: str) -> None:
    if not start.strip():
        raise FileError("the file is empty", where=where, remedy="Download it again")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise FileError("a web page, not a table", where=where, remedy="Log in, and download the file again")
    if b"\0" in start or start.startswith((b"%PDF", b"PAR1", b"\x89HDF", b"CDF")):
        raise FileError("not a text table", where=where, expected="CSV in UTF-8", remedy="Save it as CSV (UTF-8)")
    if b"\r" in start and b"\n" not in start and start.count(b"\r") > 1:
        raise FileError(
            "lines end as on an old Mac", where=where, remedy="Save it with the line ends of Unix or Windows"
        )


def _first(lines: list[bytes]) -> int:
    plain = (i for i, line in enumerate(lines) if line.strip() and not line.lstrip(b' "').startswith(b"#"))
    return next(plain, len(lines))


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace")


def _cells(line: str, separator: str) -> tuple[str, ...]:
    try:
        cells = next(csv.reader([line.rstrip("\r\n")], delimiter=separator), [])
    except csv.Error:
        cells = line.split(separator)
    return tuple(cell.strip() for cell in cells)
