"""What lies in a file that was handed over, as streams of bytes: itself, members of a zip, or sheets of a workbook.

Archives come from strangers: a member's name may leave the archive, its declared size may lie, and a few kilobytes may
expand without end. So bytes are counted as they come out, and nothing is ever written to disk.
"""

from __future__ import annotations

import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ecoembed.errors import FileError, ProductError

#: 60 years of FULLSET half-hours take about 2 GiB as text.
MAX_BYTES = 8 << 30
#: FULLSET half-hours of missing values only shrink by 187; deflate itself ends at 1032.
MAX_RATIO = 250
_RATIO_FROM = 64 << 20  # a small part may shrink as it likes

_STEP = 1 << 17  # unpacked at once: stays in the processor's cache

_PACKED = (".zip", ".gz", ".7z", ".tar", ".tgz", ".rar", ".bz2", ".xz")
_DAMAGE = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class Part:
    """A file, a member of a zip, or a sheet of a workbook (which may itself be a member)."""

    path: Path
    member: str | None = None
    sheet: str | None = None

    @property
    def name(self) -> str:
        file = _pure(self.member).name if self.member else self.path.name
        return f"{file}[{self.sheet}]" if self.sheet else file


class Counted(io.RawIOBase):
    """A stream that refuses to grow beyond `MAX_BYTES`, or beyond `MAX_RATIO` times the bytes that were stored."""

    def __init__(self, stream: Any, stored: int, where: str) -> None:
        self._stream, self._where, self._count = stream, where, 0
        self._limit = min(MAX_BYTES, max(_RATIO_FROM, MAX_RATIO * stored))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._stream.read1(min(len(buffer), _STEP))
        self._count += len(block)
        if self._count > self._limit:
            raise FileError(
                "the archive expands without end",
                where=self._where,
                found=f"more than {self._limit >> 20} MiB",
                expected=f"at most {MAX_RATIO} times the bytes stored, and at most {MAX_BYTES >> 30} GiB",
                remedy="Do not trust this archive",
            )
        buffer[: len(block)] = block
        return len(block)


def list_parts(path: Path) -> list[Part]:
    """The file itself, or the members of the zip that it is, without folders and the operating systems' own files.

    Raises
    ------
    FileError
        Absent, a folder, truncated or corrupt; a member whose name leaves the archive; an archive in the archive.
    ProductError
        An old or an encrypted Excel workbook.
    """
    if path.is_dir():
        raise FileError("this is a folder", where=path, expected="a file", remedy="Give the file itself")
    if not path.is_file():
        raise FileError("no such file", where=path, remedy="Check the path")
    with path.open("rb") as stream:
        magic = stream.read(8)
    if magic.startswith(b"\xd0\xcf\x11\xe0"):
        raise ProductError(
            "an old (.xls) or encrypted Excel workbook", where=path.name, remedy="Save the sheet as CSV (UTF-8)"
        )
    if not magic.startswith(b"PK"):
        return [Part(path)]
    with readable(path.name), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if "xl/workbook.xml" in names:
        return [Part(path)]
    parts = [Part(path, name) for name in names if not _ignored(name)]
    for part in parts:
        _refuse_unsafe(part.member or "", path)
    return parts


def _ignored(name: str) -> bool:
    pure = _pure(name)
    return name.endswith(("/", "\\")) or "__MACOSX" in pure.parts or pure.name in (".DS_Store", "Thumbs.db")


def _refuse_unsafe(name: str, path: Path) -> None:
    pure = _pure(name)
    if pure.is_absolute() or ".." in pure.parts or re.match(r"[A-Za-z]:", name):
        raise FileError(
            "a member's name leaves the archive", where=path.name, found=name, remedy="Do not trust this archive"
        )
    if name.lower().endswith(_PACKED):
        raise FileError(
            "an archive within the archive", where=path.name, found=name, remedy="Unpack it and give the inner file"
        )


def _pure(name: str) -> PurePosixPath:
    return PurePosixPath(name.replace("\\", "/"))


@contextmanager
def opened(part: Part) -> Iterator[io.BufferedReader]:
    """The bytes of a file or member, unpacked (zip, gzip) and counted; a sheet is not looked at.

    Raises
    ------
    FileError
        Damaged, encrypted, or expanding without end.
    """
    with readable(part.name), part.path.open("rb") as file:
        if part.member is not None:
            with zipfile.ZipFile(file) as archive, archive.open(part.member) as stream:
                yield io.BufferedReader(Counted(stream, archive.getinfo(part.member).compress_size, part.name))
        elif file.peek(2)[:2] == b"\x1f\x8b":
            with gzip.open(file) as unpacked:
                yield io.BufferedReader(Counted(unpacked, part.path.stat().st_size, part.name))
        else:
            yield file


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Turn the ways in which an archive can be damaged into one error."""
    try:
        yield
    except _DAMAGE as exc:
        raise FileError(
            "the archive is truncated, damaged or encrypted",
            where=where,
            found=str(exc) or type(exc).__name__,
            expected="a whole archive",
            remedy="Download it again",
        ) from None
