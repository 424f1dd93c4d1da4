"""Write a benchmark as a folder: all of it or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ecoembed.errors import FileError
from ecoembed.files import atomic, write_json
from ecoembed.validation.report import write_figures, write_report
from ecoembed.validation.result import Result

__all__ = ["FILES", "refuse_foreign", "save_benchmark", "write_tables"]

#: The tables of a result, each a CSV; an empty one is not written.
TABLES = (
    "scores", "site_scores", "group_scores", "comparisons", "applicability", "importance", "partial", "effects",
    "choices", "folds",
)  # fmt: skip
FILES = ("predictions.parquet", *(f"{name}.csv" for name in TABLES), "benchmark.json", "report.html", "figures")

_DESKTOP = ("thumbs.db", "desktop.ini")  # a file browser leaves them behind; nobody misses them


def save_benchmark(result: Result, folder: str | Path, **report: Any) -> Path:
    """Write `FILES` into `folder`, replacing a previous benchmark; `report` goes to `write_report`.

    Raises
    ------
    FileError
        If `folder` is a file, or holds files that no benchmark wrote.
    """
    folder = Path(folder).absolute()
    refuse_foreign(folder)
    with atomic(folder) as temporary:
        temporary.mkdir()
        result.predictions.to_parquet(temporary / "predictions.parquet", index=False)
        write_tables(result, temporary)
        write_report(result, temporary / "report.html", **report)
        write_figures(result, temporary / "figures")
    return folder


def write_tables(result: Result, folder: Path) -> None:
    """The small text files: `TABLES` as CSV and benchmark.json; six significant digits."""
    for name in TABLES:
        table = getattr(result, name)
        if len(table):
            table.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")
    write_json(folder / "benchmark.json", result.record)


def refuse_foreign(folder: str | Path) -> None:
    """Refuse an output folder whose files would be lost; call it before the work whose result goes there.

    Hidden files and what a file browser leaves behind (``.DS_Store``, ``Thumbs.db``, ``desktop.ini``) do not count:
    they go when the folder is replaced.

    Raises
    ------
    FileError
        If `folder` is a file, or holds files that no benchmark wrote.
    """
    folder = Path(folder).absolute()
    if not folder.exists():
        return
    if not folder.is_dir():
        raise FileError("the output is a file", where=folder, expected="a folder")
    foreign = sorted(p.name for p in folder.iterdir() if p.name not in FILES and not _incidental(p))
    if foreign:
        raise FileError(
            "the output folder holds other files, which would be lost", where=folder,
            found=", ".join(foreign[:5]), expected="a new folder, or one that a benchmark wrote",
            remedy="Name another folder",
        )  # fmt: skip


def _incidental(path: Path) -> bool:
    """A hidden file, or one of the file browser's; never a folder, be it hidden: a ``.git`` is somebody's work."""
    return path.is_file() and (path.name.startswith(".") or path.name.lower() in _DESKTOP)
