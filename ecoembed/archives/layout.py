"""How the text of a table is laid out: its comments, header, separator, encoding and first rows."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field

from ecoembed.archives.containers import Part, opened
from ecoembed.errors import FileError

_HEADER_LIMIT = 1 << 20  # a header longer than this is no table
_SAMPLE = 1 << 16


@dataclass(frozen=True)
class Layout:
    """One part's layout. ``offset`` is where the rows begin, in bytes of the text as UTF-8 (without its mark)."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    comments: tuple[str, ...] = ()
    separator: str = ","
    encoding: str = "utf-8"
    offset: int = 0
    notes: Mapping[str, int] = field(default_factory=dict)


def sniff(part: Part, separator: str | None = None, encoding: str | None = None) -> Layout:
    """The layout of a text table, from its first bytes.

    Raises
    ------
    FileError
        Empty, not text, a web page, or damaged.
    """
    with opened(part) as stream:
        raw = stream.read(_HEADER_LIMIT)
    if not raw.strip():
        raise FileError("the file is empty", where=part.name, remedy="Download it again")
    notes: dict[str, int] = {}
    encoding = encoding or _encoding(raw, part.name)
    if encoding.startswith("utf-16"):
        raw = raw[: len(raw) // 2 * 2].decode(encoding, errors="ignore").encode()
        notes["file read as UTF-16"] = 1
    mark = len(codecs.BOM_UTF8) if raw.startswith(codecs.BOM_UTF8) else 0
    offset, comments, header = mark, [], b""
    for line in io.BytesIO(raw[mark:]):
        offset += len(line)
        if line.startswith(b"#"):
            comments.append(_text(line).strip(" ,;\t\r\n"))
        elif line.strip():
            header = line
            break
    separator = separator or max(",;\t", key=header.decode("latin-1").count)
    columns = _cells(_text(header), separator)
    sample = raw[offset : offset + max(_SAMPLE, 8 * len(header))]
    lines = [line for line in sample.splitlines() if line.strip()]
    if offset + len(sample) < len(raw) or len(raw) >= _HEADER_LIMIT:
        lines = lines[:-1]  # the last one may be cut
    rows = tuple(_cells(_text(line), separator) for line in lines[:200])
    return Layout(columns, rows, tuple(comments), separator, encoding, offset, notes)


def _encoding(raw: bytes, where: str) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    start = raw.lstrip()[:15].lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise FileError("a web page, not a table", where=where, remedy="Log in and download the file again")
    if b"\0" in raw[:_SAMPLE]:
        raise FileError("not a text table", where=where, expected="a CSV in UTF-8", remedy="Save it as CSV UTF-8")
    return "utf-8"


def _text(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace")


def _cells(line: str, separator: str) -> tuple[str, ...]:
    cells = next(csv.reader([line.strip("\r\n")], delimiter=separator), [])
    return tuple(cell.strip() for cell in cells)
