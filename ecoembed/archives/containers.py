"""What lies in a file that was handed over: itself, or the members of a zip; opened without extraction, within bounds.

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

from ecoembed.errors import FileError

#: No table of half-hours is larger: 60 years of FULLSET take about 2 GB as text.
MAX_BYTES = 8 << 30
#: The fullest table of missing values shrinks by less; deflate itself ends at 1032.
MAX_RATIO = 400
_RATIO_FROM = 64 << 20  # small members may shrink as they like


@dataclass(frozen=True)
class Part:
    """A file, or a member of a zip file."""

    path: Path
    member: str | None = None

    @property
    def name(self) -> str:
        return PurePosixPath(self.member.replace("\\", "/")).name if self.member else self.path.name


class _Counted(io.RawIOBase):
    """A stream that refuses to grow beyond `MAX_BYTES`, or beyond `MAX_RATIO` times what was stored."""

    def __init__(self, stream: Any, stored: int, where: str) -> None:
        self._stream, self._where, self._count = stream, where, 0
        self._limit = min(MAX_BYTES, max(_RATIO_FROM, MAX_RATIO * stored))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._stream.read(len(buffer))
        self._count += len(block)
        if self._count > self._limit:
            raise FileError(
                "the archive expands without end",
                where=self._where,
                found=f"more than {self._limit >> 20} MiB",
                expected=f"at most {MAX_RATIO} times the stored bytes, and at most {MAX_BYTES >> 30} GiB",
                remedy="Do not trust this archive",
            )
        buffer[: len(block)] = block
        return len(block)


def list_parts(path: Path) -> list[Part]:
    """The file itself, or the members of the zip that it is; folders and the operating systems' own files left out.

    Raises
    ------
    FileError
        Absent, a folder, truncated or corrupt; a member whose name leaves the archive; an archive in the archive.
    """
    if path.is_dir():
        raise FileError("this is a folder", where=path, expected="a file", remedy="Give the file itself")
    if not path.is_file():
        raise FileError("no such file", where=path, remedy="Check the path")
    if not zipped(path):
        return [Part(path)]
    with readable(path.name), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if is_workbook(names):
        return [Part(path)]
    kept = []
    for name in names:
        parts = PurePosixPath(name.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or re.match(r"[A-Za-z]:", name):
            raise FileError(
                "a member's name leaves the archive", where=path.name, found=name, remedy="Do not trust this archive"
            )
        if name.lower().endswith((".zip", ".gz", ".7z", ".tar", ".rar")):
            raise FileError(
                "an archive within the archive", where=path.name, found=name, remedy="Unpack it and give the inner file"
            )
        if not name.endswith(("/", "\\")) and "__MACOSX" not in parts.parts and not parts.name.startswith("."):
            kept.append(Part(path, name))
    return kept


def zipped(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"PK"


def is_workbook(names: list[str]) -> bool:
    return any(name.startswith("xl/") for name in names)


@contextmanager
def opened(part: Part) -> Iterator[io.BufferedReader]:
    """The part's bytes, unpacked (zip member or gzip) and counted.

    Raises
    ------
    FileError
        Damaged, encrypted, or expanding without end.
    """
    where = part.name
    with readable(where), part.path.open("rb") as file:
        stored = part.path.stat().st_size
        if part.member is not None:
            with zipfile.ZipFile(file) as archive, archive.open(part.member) as stream:
                stored = archive.getinfo(part.member).compress_size
                yield io.BufferedReader(_Counted(stream, stored, where), 1 << 16)
        elif file.peek(2)[:2] == b"\x1f\x8b":
            with gzip.open(file) as stream:
                yield io.BufferedReader(_Counted(stream, stored, where), 1 << 16)
        else:
            yield file


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Turn the ways in which an archive can be damaged into one error."""
    try:
        yield
    except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as exc:
        raise FileError(
            "the archive is truncated, damaged or encrypted",
            where=where,
            found=str(exc) or type(exc).__name__,
            expected="a whole archive",
            remedy="Download it again",
        ) from None
