"""Columns of a user's table: read, found by name, and refused with a reason where they are not what they must be."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ecoembed.errors import FileError, TableError

__all__ = ["as_dates", "as_numbers", "read_table", "require"]

#: How FLUXNET writes a missing value; in a user's table it is a missing value that was not declared as one.
_FILL = -9999.0


def read_table(table: pd.DataFrame | str | Path) -> pd.DataFrame:
    """A table given as a frame, or as the path of a CSV or Parquet file."""
    if isinstance(table, pd.DataFrame):
        return table
    path = Path(table)
    if not path.is_file():
        raise FileError("no such table", where=path, expected="a CSV or Parquet file")
    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet}
    if path.suffix.lower() not in readers:
        raise FileError("not a table that can be read", where=path, expected=" or ".join(readers))
    try:
        frame: pd.DataFrame = readers[path.suffix.lower()](path)
    except (ValueError, OSError) as exc:  # pandas' parser errors and Arrow's are ValueErrors
        raise FileError(f"the table cannot be read: {exc}", where=path, remedy="Write it again") from None
    return frame


def require(frame: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise where a column is absent; name the closest ones."""
    known = [str(c) for c in frame.columns]
    absent = [name for name in dict.fromkeys(names) if name not in known]
    if absent:
        near = {name: difflib.get_close_matches(name, known, n=3, cutoff=0.4) for name in absent}
        close = "; ".join(f"{name}: did you mean {' or '.join(found)}?" for name, found in near.items() if found)
        raise TableError(
            f"{len(absent)} column(s) absent: {', '.join(absent)}", expected="a column of the table",
            found=None if close else ", ".join(known[:20]), remedy=close or "Name columns that the table has",
        )  # fmt: skip


def as_numbers(column: pd.Series) -> pd.Series:
    """As float64; NaN where missing."""
    if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
        example = column.dropna().iloc[0] if column.notna().any() else None
        raise TableError(
            "column is not numeric", where=column.name, found=f"{column.dtype}, e.g. {example!r}", expected="numbers",
            remedy="Encode it as numbers, or leave it out",
        )  # fmt: skip
    values = column.astype(float)
    for test, what in ((np.isinf(values), "infinite values"), (values == _FILL, f"fill values ({_FILL:g})")):
        if test.any():
            raise TableError(
                what, where=column.name, found=f"{int(test.sum())} of {len(values)} rows", expected="finite numbers",
                remedy="Leave missing values empty",
            )  # fmt: skip
    return values


def as_dates(column: pd.Series) -> pd.Series:
    """As datetime64[ns]; FLUXNET's YYYYMMDD numbers are dates, other numbers are refused."""
    name, filled = column.name, column.dropna()
    if pd.api.types.is_numeric_dtype(column):
        if not filled.between(1900_01_01, 2100_12_31).all():
            raise TableError("dates are numbers", where=name, found=filled.iloc[0], expected="YYYYMMDD or 2020-03-30")
        column = column.map(lambda v: v if pd.isna(v) else f"{int(v):08d}")
    try:
        parsed = pd.to_datetime(column)
    except (ValueError, TypeError) as exc:
        raise TableError(f"dates cannot be read: {exc}", where=name, expected="2020-03-30") from None
    if getattr(parsed.dt, "tz", None) is not None:
        raise TableError("dates carry a time zone", where=name, expected="the tower's local standard day")
    return parsed.astype("datetime64[ns]")
