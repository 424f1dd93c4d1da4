"""GeoTIFFs of strangers, opened: by the GeoTIFF driver alone, and only if the file is as long as its header says.

GDAL tells formats apart by content, and others can point to any file (a virtual raster named ``.tif``). And it reads
what a broken download has left of a header, so that scale, nodata or CRS would be lost without a word.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ecoembed.errors import FileError

#: Endings by which a GeoTIFF is known in a folder.
SUFFIXES = (".tif", ".tiff")

#: First bytes -> byte order, and whether offsets have 64 bits (BigTIFF).
_SIGNATURES = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}

#: Bytes of a value of each TIFF type (TIFF 6.0, section 2; BigTIFF's 16 to 18).
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


def is_tiff(path: Path) -> bool:
    """True if the file says so by its ending or its first bytes."""
    if path.suffix.lower() in SUFFIXES:
        return True
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(4) in _SIGNATURES


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file as rasterio's dataset.

    Raises
    ------
    FileError
        Absent, truncated, damaged or no GeoTIFF.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

    if not path.is_file():
        raise FileError("no such file", where=path, remedy="Check the path")
    with path.open("rb") as stream:
        whole = _is_whole(stream, path.stat().st_size)
    if not whole:
        raise _damaged(path, "a header that is not there in full")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # told by us, where it matters
            source = rasterio.open(path, driver="GTiff")
        with source:
            yield source
    except RasterioIOError as exc:
        raise _damaged(path, str(exc).rsplit("/", 1)[-1]) from None


def _is_whole(stream: BinaryIO, size: int) -> bool:
    """Whether every value of the first directory lies within the file."""
    order, big = _SIGNATURES.get(stream.read(4), ("", False))
    if not order:
        return False
    word, head, entry = ("Q", "Q", "HHQ8s") if big else ("I", "H", "HHI4s")
    width = struct.calcsize(word)
    try:
        stream.seek(8 if big else 4)
        (start,) = struct.unpack(order + word, stream.read(width))
        stream.seek(start)
        (count,) = struct.unpack(order + head, stream.read(struct.calcsize(head)))
        entries = stream.read(struct.calcsize(order + entry) * min(count, 4096))
        for _, kind, number, value in struct.iter_unpack(order + entry, entries):
            length = _BYTES.get(kind, 1) * number
            if length > width and struct.unpack(order + word, value)[0] + length > size:
                return False
    except struct.error:
        return False
    return len(entries) == struct.calcsize(order + entry) * count


def _damaged(path: Path, found: str) -> FileError:
    return FileError(
        "the raster is truncated, damaged or no GeoTIFF", where=path.name, found=found, remedy="Download it again"
    )
