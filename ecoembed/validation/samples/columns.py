"""Columns of a user's table: read, found by name, and refused with a reason where they are not what they must be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ecoembed.errors import FileError, TableError

__all__ = ["as_dates", "as_numbers", "as_sites", "factors", "read_table", "require"]

#: How FLUXNET writes a missing value; in a user's table it is a missing value that was not declared as one.
_FILL = -9999.0
#: Other habits; refused where no other value of the column comes even half way to them.
_LIKELY_FILLS = (-999.0, -99999.0)

_DAY = r"\d{4}-\d{2}-\d{2}"
_CLOCK = r"[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?"
_ZONE = r"(?:Z|[+-]\d{2}:?\d{2})"
_YEARS = (1900, 2100)


def read_table(table: pd.DataFrame | str | Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """A table given as a frame, or as the path of a CSV or Parquet file.

    Of a Parquet file that has all of `columns` no other is read. A CSV is parsed in whole: pandas would accept rows
    that are too long if it were asked for some columns alone.
    """
    if isinstance(table, pd.DataFrame):
        return table
    path = Path(table)
    if not path.is_file():
        raise FileError("no such table", where=path, expected="a CSV or Parquet file")
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".csv": pd.read_csv, ".parquet": lambda p: pd.read_parquet(p, columns=_stored(p, columns)),
    }  # fmt: skip
    if path.suffix.lower() not in readers:
        raise FileError("not a table that can be read", where=path, expected=" or ".join(readers))
    if path.suffix.lower() == ".csv":
        _refuse_separator(path)
    try:
        return readers[path.suffix.lower()](path)
    except (ValueError, OSError) as exc:  # pandas' parser errors and Arrow's are ValueErrors
        remedy = "Save it as UTF-8" if isinstance(exc, UnicodeDecodeError) else "Write it again"
        raise FileError(f"the table cannot be read: {exc}", where=path, remedy=remedy) from None


def _stored(path: Path, columns: Sequence[str]) -> list[str] | None:
    """The columns to read of a Parquet file; all of them if one is absent, so that the error can name close ones."""
    from pyarrow.parquet import read_schema

    names = read_schema(path).names
    wanted = list(dict.fromkeys(part for column in columns for part in factors(column, names)))
    return wanted if wanted and set(wanted) <= set(names) else None


def factors(column: str, names: Collection[str]) -> list[str]:
    """The columns that a feature is made of: itself, or the two factors of ``A * B``.

    Examples
    --------
    >>> factors("NIRv * SW", ["NIRv", "SW"])
    ['NIRv', 'SW']
    """
    return [column] if column in names or column.count(" * ") != 1 else column.split(" * ")


def _refuse_separator(path: Path) -> None:
    """Refuse a CSV whose header is cut by something else than commas: it would be read as one column."""
    with path.open(encoding="utf-8", errors="replace") as file:
        header = file.readline().rstrip("\r\n")
    for separator, name in ((";", "';'"), ("\t", "a tab")):
        if separator in header and "," not in header:
            raise TableError(
                f"the separator is {name}", where=path, found=header[:60], expected="','",
                remedy="Save the table with commas, and numbers with a decimal point",
            )  # fmt: skip


def require(frame: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise where a column is absent; name the closest ones."""
    known = [str(c) for c in frame.columns]
    absent = [name for name in dict.fromkeys(names) if name not in known]
    if absent:
        lower = {name.lower(): name for name in reversed(known)}
        near = {n: [lower[c] for c in difflib.get_close_matches(n.lower(), lower, n=3, cutoff=0.4)] for n in absent}
        close = "; ".join(f"{name}: did you mean {' or '.join(found)}?" for name, found in near.items() if found)
        raise TableError(
            f"{len(absent)} column(s) absent: {', '.join(absent)}", expected="a column of the table",
            found=None if close else ", ".join(known[:20]),
            remedy=_other_formula(absent, known) or close or "Name columns that the table has",
        )  # fmt: skip


def _other_formula(absent: Sequence[str], known: Sequence[str]) -> str | None:
    """What to say of a name that is another formula of known columns than the product of two."""
    formulas = [name for name in absent if set(re.split(r"\s*[-+*/()]\s*", name)) & set(known)]
    return f'{formulas[0]}: the only formula is "A * B"; make others as columns of the table' if formulas else None


def as_numbers(column: pd.Series) -> pd.Series:
    """As float64; NaN where missing."""
    values = column
    if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
        values = pd.to_numeric(column.astype(object).map(str, na_action="ignore"), errors="coerce")
        bad = column.notna() & values.isna()
        if bad.any():
            raise TableError(
                "column is not numeric", where=column.name, found=_first(column, bad), expected="numbers",
                remedy="Write numbers with a decimal point"
                if _with_decimal_comma(column[bad])
                else "Encode it as numbers, or leave it out; leave missing values empty",
            )  # fmt: skip
    values = values.astype(float)
    for test, what in (
        (np.isinf(values), "infinite values"),
        *((values == f, f"fill values ({f:g})") for f in _fills(values)),
    ):
        if test.any():
            raise TableError(
                what, where=column.name, found=f"{int(test.sum())} of {len(values)} rows", expected="finite numbers",
                remedy="Leave missing values empty",
            )  # fmt: skip
    return values


def _with_decimal_comma(texts: pd.Series) -> bool:
    return bool(texts.astype(str).str.fullmatch(r"\s*[+-]?\d+,\d+\s*").all())


def _fills(values: pd.Series) -> list[float]:
    """-9999, and of the other fill values those that lie far outside the rest of the column."""
    rest = values[~values.isin((_FILL, *_LIKELY_FILLS))].min()
    return [_FILL, *(fill for fill in _LIKELY_FILLS if not rest < fill / 2)]


def as_dates(column: pd.Series) -> pd.Series:
    """As datetime64[ns]: dates, text as YYYY-MM-DD (with or without a time), and FLUXNET's YYYYMMDD numbers.

    Nothing else is guessed at: 05.04.2020 is May to some and April to others.
    """
    if pd.api.types.is_datetime64_any_dtype(column):
        zoned, parsed = column.notna() & (column.dt.tz is not None), column
    else:
        text = column.astype(object).map(_written, na_action="ignore").astype("string")
        zoned = text.str.fullmatch(_DAY + _CLOCK + _ZONE).fillna(False).astype(bool)
        read = text.str.fullmatch(rf"\d{{8}}|{_DAY}(?:{_CLOCK})?").fillna(False).astype(bool)
        parsed = pd.to_datetime(text.where(read), format="ISO8601", errors="coerce")
    if zoned.any():
        raise TableError(
            "dates carry a time zone", where=column.name, found=_first(column, zoned),
            expected="the tower's local standard day",
        )  # fmt: skip
    bad = column.notna() & ~parsed.dt.year.between(*_YEARS)
    if bad.any():
        raise TableError(
            "dates cannot be read", where=column.name, found=_first(column, bad), expected="YYYY-MM-DD or YYYYMMDD"
        )
    return parsed.astype("datetime64[ns]")


def _written(date: object) -> str:
    """A date as text; a whole number without a decimal point."""
    return f"{date:.12g}" if isinstance(date, int | float | np.number) else str(date).strip()


def as_sites(column: pd.Series) -> pd.Series:
    """As text without surrounding white space; NaN where missing.

    Two spellings of one site would put it on both sides of a split, so IDs that differ by case or inner white space
    alone are refused.
    """
    sites = column.astype(object).map(lambda v: str(v).strip(), na_action="ignore")
    sites = sites.where(sites != "")
    spelt: dict[str, str] = {}
    for site in sites.dropna().unique():
        other = spelt.setdefault("".join(site.split()).casefold(), site)
        if other != site:
            raise TableError(
                "two spellings of what looks like one site", where=column.name, found=f"{other!r} and {site!r}",
                expected="IDs that differ by more than case or spaces", remedy="Spell every site in one way",
            )  # fmt: skip
    return sites


def _first(column: pd.Series, bad: pd.Series) -> str:
    """The first bad value and its row, counted from 1 below the header."""
    row = int(np.argmax(bad.to_numpy()))
    value = column.iloc[row]
    return f"{repr(value) if isinstance(value, str) else value} in row {row + 1}"
