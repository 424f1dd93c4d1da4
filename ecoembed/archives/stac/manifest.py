"""`fetch.json`: which item, baseline and assets each file of a folder came from, and its digest.

Every file carries its own entry too (attribute ``fetch``), so that one that was written just before a kill is taken up
without being fetched again, and a lost manifest is made anew from the files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ecoembed.archives import netcdf
from ecoembed.archives.stac.place import SiteGrid
from ecoembed.errors import ConfigError, FileError, GridError
from ecoembed.files import digest, write_json

NAME = "fetch.json"


def read(folder: Path, place: SiteGrid) -> dict[str, dict[str, Any]]:
    """The entries by file; empty where nothing was fetched yet.

    Raises
    ------
    FileError
        It cannot be read.
    GridError
        The folder holds images of another window.
    """
    path = folder / NAME
    if not path.is_file():
        return {}
    try:
        manifest = json.loads(path.read_text("utf-8"))
        grid, files = manifest["grid"], dict(manifest["files"])
    except (ValueError, KeyError, TypeError) as exc:
        raise FileError(
            "the manifest cannot be read", where=path, found=exc, remedy="Delete it: it is made anew from the files"
        ) from None
    if grid != place.grid:
        raise GridError(
            "the folder holds images of another window",
            where=path,
            found=grid,
            expected=place.grid,
            remedy="Restore the size and coordinates they were fetched with, or move the folder away",
        )
    return files


def write(folder: Path, place: SiteGrid, files: dict[str, dict[str, Any]]) -> None:
    write_json(folder / NAME, {"site": place.site, "grid": place.grid, "files": files})


def present(folder: Path, place: SiteGrid, wanted: set[str]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The entries of the files that are here and whole, and the names of the wanted ones that have changed since.

    A wanted file that the manifest does not name is whole, as it was renamed into place, and brings its own entry.
    """
    files = read(folder, place)
    changed = []
    for name in sorted(wanted | set(files)):
        path = folder / name
        if not path.is_file():
            files.pop(name, None)
        elif name in files and files[name].get("digest") != digest(path):
            changed += [name] if name in wanted else []
            files.pop(name)
        elif name not in files and (own := _own(path, place)) is not None:
            files[name] = own | {"digest": digest(path), "bytes": path.stat().st_size}
    return files, changed


def check_provider(files: dict[str, dict[str, Any]], provider: str, sensor: str, folder: Path) -> None:
    """One sensor's files of one folder come from one provider: of two, every pass would be there twice.

    Raises
    ------
    ConfigError
        They come from another.
    """
    others = {entry["provider"] for entry in files.values() if entry.get("sensor") == sensor} - {provider}
    if others:
        raise ConfigError(
            f"the folder holds {sensor} of another provider",
            where=folder,
            found=", ".join(sorted(others)),
            expected=provider,
            remedy="Ask that one again, or move the folder away",
        )


def _own(path: Path, place: SiteGrid) -> dict[str, Any] | None:
    """The entry that a file carries, if it was fetched for this window."""
    try:
        with netcdf.opened(path, mask_and_scale=False) as data:
            entry = json.loads(data.attrs["fetch"])
        return entry if entry.pop("grid") == place.grid else None
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError):
        return None
