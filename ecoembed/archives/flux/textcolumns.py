"""Some columns of a text table as arrays, with the start of each averaging period; each number is copied once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ecoembed.archives.containers import Part
from ecoembed.archives.flux.blocks import DecimalCommaError, read_blocks
from ecoembed.archives.flux.layout import Layout
from ecoembed.archives.flux.stamps import Clock
from ecoembed.errors import FileError, ProductError

if TYPE_CHECKING:
    import pyarrow


#: What to do about the stamps of an own table.
OWN_STAMPS = "Correct time.format in the TOML (are day and month the other way round?), or that row"


@dataclass(frozen=True)
class TextSource:
    """A text table as it can be read: where it lies, how it is laid out, and what its stamps and numbers mean.

    ``decimal`` None: a point, or else a comma where that is not the separator. ``names`` gives columns other names;
    rows are those of ``site`` in ``site_column``, if one is given. ``own``: a user's TOML describes it; otherwise
    -9999.9 and its like, which is -9999 through other hands, is missing too.
    """

    part: Part
    layout: Layout
    clock: Clock | None
    decimal: str | None = None
    missing: tuple[float, ...] = (-9999.0,)
    missing_text: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    site_column: str | None = None
    site: str | None = None
    own: bool = False

    def read(self, columns: Sequence[str], repairs: Counter[str]) -> dict[str, np.ndarray]:
        """The wanted columns (float64, missing as NaN), and ``time``, the local start of each period.

        Columns that this part lacks are left out. What was repaired is added to `repairs`.

        Raises
        ------
        FileError
            No rows, unreadable time stamps, a wanted name twice in the header, or as :func:`read_blocks`.
        ProductError
            No time stamps.
        """
        wanted = {name: self.names.get(name, name) for name in columns}
        present = [column for column in dict.fromkeys(wanted.values()) if column in self.layout.columns]
        try:
            found = _read(self, present, self.decimal or ".", repairs)
        except DecimalCommaError:
            if self.decimal is not None or self.layout.separator == ",":
                raise
            found = _read(self, present, ",", repairs)
            repairs["rows with decimal commas, read as points"] += len(found["time"])
        repairs.update(self.layout.notes)
        for column in present:
            if (endless := np.isinf(found[column])).any():
                found[column][endless] = np.nan
                repairs["infinite values, taken as missing"] += int(endless.sum())
            low = found[column] <= -9999.0
            if not self.own and low.any() and (nearly := low & (found[column] > -10_000.0)).any():
                found[column][nearly] = np.nan
                repairs["cells between -9999 and -10000, taken as missing"] += int(nearly.sum())
        return {"time": found["time"]} | {name: found[column] for name, column in wanted.items() if column in found}


class _Growing:
    """Columns that grow together as blocks of rows come in."""

    def __init__(self, missing: Sequence[float]) -> None:
        self._missing, self._columns, self.rows = missing, dict[str, np.ndarray](), 0

    def append(self, block: Mapping[str, np.ndarray]) -> None:
        rows = slice(self.rows, self.rows + len(block["time"]))
        for name, values in block.items():
            column = self._columns.get(name)
            if column is None or len(column) < rows.stop:
                room = np.empty(max(1 << 14, 2 * rows.stop), dtype=values.dtype)  # what is not touched costs nothing
                if column is not None:
                    room[: self.rows] = column[: self.rows]
                self._columns[name] = column = room
            part = column[rows]
            part[:] = values
            if name != "time":
                for value in self._missing:
                    part[part == value] = np.nan
        self.rows = rows.stop

    def columns(self) -> dict[str, np.ndarray]:
        return {name: column[: self.rows] for name, column in self._columns.items()}


def find_sites(part: Part, layout: Layout, column: str) -> list[str]:
    """The sites that stand in `column`, in the order in which they first do."""
    blocks = read_blocks(part, layout, {_position(layout, column, part): "string"}, Counter())
    return list(dict.fromkeys(site for table in blocks for site in table.column(0).unique().to_pylist() if site))


def _read(source: TextSource, numbers: Sequence[str], decimal: str, repairs: Counter[str]) -> dict[str, np.ndarray]:
    part, layout, clock = source.part, source.layout, source.clock
    if clock is None:
        raise ProductError("no time stamps", where=part.name, remedy="If this is your own table, describe it by a TOML")
    kinds = dict.fromkeys(numbers, "double") | dict.fromkeys(clock.columns, "string" if clock.format else "int64")
    if source.site_column:
        kinds[source.site_column] = "string"
    positions = {_position(layout, name, part): kind for name, kind in kinds.items()}
    growing, row = _Growing(source.missing), 0
    for table in read_blocks(part, layout, positions, repairs, decimal, source.missing_text):
        cells = dict(zip(kinds, table.columns, strict=True))
        block = {"time": _starts(cells, clock, part, row, source.own)} | {
            name: np.asarray(cells[name].to_numpy(), dtype="float64") for name in numbers
        }
        if source.site_column:
            here = cells[source.site_column].to_numpy() == source.site
            block = {name: values[here] for name, values in block.items()}
        growing.append(block)
        row += table.num_rows
    if not row:
        raise FileError("a header without rows", where=part.name, remedy="Download the file again")
    return growing.columns()


def _starts(cells: Mapping[str, pyarrow.ChunkedArray], clock: Clock, part: Part, row: int, own: bool) -> np.ndarray:
    stamps = [cells[name] for name in clock.columns]
    filled = [column.fill_null(0 if clock.format is None else "") for column in stamps]
    times = clock.starts([column.to_numpy() for column in filled])
    bad = np.flatnonzero(np.isnat(times))
    if bad.size:
        first = int(bad[0])
        raise FileError(
            "a time stamp that cannot be read",
            where=f"{part.name}, row {row + first + 1} below the header, column {' and '.join(clock.columns)}",
            found=" ".join(str(column[first].as_py()) for column in stamps),
            expected=clock.format or "YYYYMMDDHHMM"[: clock.digits],
            remedy=OWN_STAMPS if own else "The file is damaged: download it again",
        )
    return times


def _position(layout: Layout, name: str, part: Part) -> int:
    if layout.columns.count(name) > 1:
        raise FileError(
            "a column stands twice in the header", where=part.name, found=name, remedy="Rename or delete one of them"
        )
    return layout.columns.index(name)
