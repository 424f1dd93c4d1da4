"""A tower's files on their way into flux/: which are there already, and what the copies are called."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from ecoembed.archives.flux.files import OTHER, REANALYSIS, RESOLUTIONS, FluxFile, find_tables
from ecoembed.archives.flux.folder import site_files
from ecoembed.errors import ConfigError, FileError, ProductError
from ecoembed.files import atomic

__all__ = ["checked_file", "copy_file", "list_copies", "other_files", "refuse_strange", "site_id"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")


def checked_file(path: Path) -> Path:
    """The path of a file that can be read."""
    if path.is_dir():
        remedy = "Give the file itself; a collection in a folder is put into flux/, beside its description"
        raise FileError("this is a folder", where=path, expected="a file", remedy=remedy)
    if not path.is_file():
        raise FileError("no such file", where=path, remedy="Check the path")
    if not os.access(path, os.R_OK):
        raise FileError("cannot be read", where=path, found="no permission", remedy="See to its rights")
    return path


def refuse_strange(tables: Sequence[FluxFile]) -> None:
    """Refuse what is no product that is known, before anything is asked about it.

    Raises
    ------
    ProductError
        No table of fluxes is among them.
    """
    if all(table.family in (OTHER, REANALYSIS) for table in tables):
        raise ProductError(
            "no table of fluxes", where=tables[0].path.name, found="; ".join(table.describe() for table in tables[:3]),
            expected="FLUXNET2015/ONEFlux, AmeriFlux BASE, raw half-hours as the networks write them, or an own table",
            remedy="An own table (of EddyPro, of a logger) needs a TOML that says which column is which: --description "
            "MY.toml (copy examples/own_table.toml). A table of sites (BADM, a catalogue) belongs into sites/",
        )  # fmt: skip


def site_id(tables: Sequence[FluxFile], given: str | None) -> str:
    """The one site of the files, or the one that is meant."""
    found = list(dict.fromkeys(table.site for table in tables if table.site))
    if given is None and len(found) != 1:
        raise ProductError(
            "several sites" if found else "the file does not say which site it is of", where=tables[0].name,
            found=", ".join(found[:8]) or "no site ID in name, comments or description",
            expected="one, such as XX-Own", remedy="Name the one that is meant: --site XX-Own",
        )  # fmt: skip
    if given is not None and found and given not in found:
        remedy = "Check which tower's file it is; the ID is in its name or in its description"
        raise ProductError("the file is of another site", where=tables[0].name, found=", ".join(found[:8]),
                           expected=given, remedy=remedy)  # fmt: skip
    name = given or found[0]
    if not _NAME.fullmatch(name):
        raise ConfigError("not a site ID", found=repr(name), expected="letters, digits and '-', such as XX-Own")
    return name


def other_files(folder: Path, site: str, tables: Sequence[FluxFile], paths: Sequence[Path]) -> list[Path]:
    """The site's files in flux/ that are none of the given; they are read together with them.

    Raises
    ------
    FileError
        They hold fluxes of the same resolution: two files of one are two answers.
    """
    others = [one for one in _there(folder, site) if not any(_equal(one, path) for path in paths)]
    if not others:
        return []
    toml = others[0].with_suffix(".toml")
    new = {table.resolution for table in tables}
    twice = [t for t in find_tables(others, toml if toml.is_file() else None) if t.resolution in new]
    if twice:
        name = twice[0].path.name
        raise FileError(
            f"the study has other {RESOLUTIONS.get(twice[0].resolution, '')} fluxes of {site}", where=folder / name,
            found=", ".join(path.name for path in paths), expected="one of them",
            remedy=f"If yours replaces it, remove {name} from flux/ and add yours again; if yours continues it (the "
            "same product, other years), copy it into flux/ yourself",
        )  # fmt: skip
    return others


def list_copies(folder: Path, site: str, paths: Sequence[Path], description: Path | None) -> list[tuple[Path, Path]]:
    """(source, target) of each file that is not in flux/ yet; a copy's name holds the site, by which a run finds it.

    Raises
    ------
    FileError
        Another file of that name is there.
    """
    copies = []
    for path in paths:
        target = next((one for one in _there(folder, site) if _equal(one, path)), None)
        if target is None:
            within = site in path.name.split(".")[0].split("_")
            target = folder / (path.name if within else f"{site}_{path.name}")
            copies.append((path, target))
        if description is not None and not _equal(description, target.with_suffix(".toml")):
            copies.append((description, target.with_suffix(".toml")))
    for source, target in copies:
        if target.exists():
            remedy = "If yours replaces it, remove the one in flux/ and add yours again; else rename yours"
            raise FileError("another file of this name is in the study", where=target, found=source, remedy=remedy)
    return copies


def _equal(path: Path, other: Path) -> bool:
    return path.is_file() and other.is_file() and filecmp.cmp(path, other, shallow=False)


def _there(folder: Path, site: str) -> tuple[Path, ...]:
    try:
        return site_files(folder, site).paths
    except FileError:
        return ()


def copy_file(source: Path, target: Path) -> None:
    """Copy whole or not at all."""
    with atomic(target) as temporary:
        shutil.copyfile(source, temporary)
