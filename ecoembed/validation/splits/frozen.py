"""Frozen folds: a small table that says which fold each site (or site and year) belongs to, kept and read again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ecoembed.errors import TableError
from ecoembed.validation.samples import Samples
from ecoembed.validation.samples.columns import as_dates, read_table, require
from ecoembed.validation.splits.folds import OUT, TRAIN, Folds, Partition
from ecoembed.validation.splits.sites import listed

__all__ = ["check_frozen", "fold_table", "read_frozen"]

_NO_FOLD = {TRAIN: "training alone", OUT: "left out"}


def fold_table(folds: Folds, samples: Samples) -> pd.DataFrame:
    """One line for each site; for each site and year, or site and date, where those are split.

    Returns
    -------
    pandas.DataFrame
        ``site, [year or date,] fold, held_out, rows``; the fold -1 is trained on by every fold, -2 by none.
    """
    frame = pd.DataFrame({"site": samples.site, "fold": folds.number})
    for name, of in (("", None), ("year", samples.date.year), ("date", samples.date.strftime("%Y-%m-%d"))):
        keys = ["site", name] if name else ["site"]
        table = frame if of is None else frame.assign(**{name: np.asarray(of)})
        lines = table.groupby([*keys, "fold"], sort=True, as_index=False).size()
        if not lines.duplicated(keys).any():
            break
    words = dict(enumerate(folds.held_out)) | _NO_FOLD
    lines = lines.assign(held_out=lines["fold"].map(words)).rename(columns={"size": "rows"})
    return lines[[*keys, "fold", "held_out", "rows"]]


def check_frozen(path: str | Path, sites: Iterable[str]) -> pd.DataFrame:
    """The table of frozen folds, if it knows no site but these.

    Raises
    ------
    FileError
        If it is absent.
    TableError
        If it lacks a column, or is of other sites.
    """
    table = read_table(Path(path), ["site", "fold"])
    require(table, ["site", "fold", "held_out"])
    _refuse_others(set(table["site"].astype(str)) - set(sites), set(), path)
    return table


def read_frozen(path: str | Path, samples: Samples) -> Partition:
    """The partition that a table says; see :func:`fold_table`.

    Raises
    ------
    FileError
        If it is absent.
    TableError
        If its sites (or years, or dates) are not those of the samples, or its folds are not 0, 1, 2 ...
    """
    here = set(samples.places.index.astype(str))
    table = check_frozen(path, here)
    _refuse_others(set(), here - set(table["site"].astype(str)), path)
    rows: dict[str, Any] = {"site": samples.site.astype(str)}
    if "year" in table:
        rows["year"] = samples.date.year.to_numpy()
    if "date" in table:
        rows["date"], table = samples.date.to_numpy(), table.assign(date=as_dates(table["date"]))
    keys = list(rows)
    if table.duplicated(keys).any():
        raise TableError("two folds of one line", where=path, found=table.loc[table.duplicated(keys), "site"].iloc[0])
    found = pd.DataFrame(rows).merge(table[[*keys, "fold"]].astype({"site": str}), on=keys, how="left")["fold"]
    if found.isna().any():
        absent = samples.site[found.isna().to_numpy()]
        raise TableError(
            f"rows of {' and '.join(keys)} without a fold", where=path,
            found=f"{len(absent)} rows, of {listed(np.unique(absent))}", remedy="Freeze the folds again",
        )  # fmt: skip
    words = table[table["fold"] >= 0].drop_duplicates("fold").set_index("fold")["held_out"].sort_index()
    if not len(words) or not np.array_equal(words.index, np.arange(len(words))) or not set(table["fold"]) >= {0}:
        raise TableError(
            "the folds are not numbered", where=path, found=sorted(set(table["fold"])), expected="0, 1 ..."
        )
    return Partition(found.to_numpy(dtype=int), [str(word) for word in words])


def _refuse_others(gone: set[str], new: set[str], path: str | Path) -> None:
    if gone or new:
        where, names = ("file", gone) if gone else ("table", new)
        raise TableError(
            "the frozen folds are of other sites", where=path,
            found=f"only in the {where}: {listed(np.array(sorted(names)))}",
            remedy="Freeze the folds again, or use the table that they were made from",
        )  # fmt: skip
