"""A text table block by block, with only the wanted columns converted; the text of the others is passed over.

Where the data go: text is read (or unpacked) into one buffer that is used again and again; Arrow splits it into cells
and converts the wanted ones. So the memory is that of two blocks, whatever the size of the file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ecoembed.archives.containers import Part
from ecoembed.archives.flux.layout import Layout, text_of
from ecoembed.errors import FileError

if TYPE_CHECKING:
    import pyarrow

#: Large enough that what is done once for each block does not count, small against a column of half-hours.
BLOCK = 1 << 18
#: What stands for a missing value besides a product's own number: as pandas has it, and a lone blank.
EMPTY = ("", " ", "NA", "N/A", "n/a", "NaN", "nan", "-nan", "-NaN", "NULL", "null", "#N/A", "#NA", "-1.#IND", "1.#QNAN")

_SKEWED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
_NO_NUMBER = re.compile(r"column #(\d+): Row #(\d+): .*invalid (?:value '(.*)'|UTF8)", re.DOTALL)
_COMMA = re.compile(r'"?[-+]?\d*,\d+([eE][-+]?\d+)?"?')


class DecimalCommaError(FileError):
    """A number is written with a decimal comma where a point was expected."""


def read_blocks(
    part: Part,
    layout: Layout,
    kinds: Mapping[int, str],
    repairs: Counter[str],
    decimal: str = ".",
    missing: Sequence[str] = (),
) -> Iterator[pyarrow.Table]:
    """The columns at the positions `kinds` (``double``, ``int64`` or ``string``), some hundred rows at a time.

    A last row without a line end may be cut within its last number, which nobody can see: it is counted in `repairs`.

    Yields
    ------
    pyarrow.Table
        Columns in the order of `kinds`.

    Raises
    ------
    FileError
        A row with too few or too many fields, text in a column of numbers, or a damaged archive.
    """
    import pyarrow as arrow
    from pyarrow import csv

    names = [str(position) for position in range(len(layout.columns))]
    convert = csv.ConvertOptions(
        include_columns=[names[position] for position in kinds],
        column_types={names[position]: arrow.type_for_alias(kind) for position, kind in kinds.items()},
        decimal_point=decimal,
        null_values=[*EMPTY, *missing],
    )
    parse = csv.ParseOptions(delimiter=layout.separator)
    read = csv.ReadOptions(column_names=names, use_threads=False, block_size=4 * BLOCK)
    rows = 0
    for block in _blocks(part, layout):
        try:
            source = arrow.BufferReader(arrow.py_buffer(block))
            table = csv.read_csv(source, read, parse, convert, memory_pool=arrow.system_memory_pool())
        except arrow.ArrowInvalid as exc:
            if not block.tobytes().strip():  # blank lines only
                continue
            raise _damage(str(exc), part, layout, rows, block.tobytes()) from None
        rows += table.num_rows
        if block[-1:] != b"\n":
            repairs["last row without a line end, perhaps cut"] += 1
        yield table


def _blocks(part: Part, layout: Layout) -> Iterator[memoryview]:
    """Whole lines, in one buffer: a block is gone once the next is asked for."""
    buffer = bytearray(2 * BLOCK)
    view, held, skip = memoryview(buffer), 0, layout.offset
    with text_of(part) as stream:
        while skip and (block := stream.read(skip)):
            skip -= len(block)
        while count := stream.readinto1(view[held:]) if held < len(buffer) else 0:
            held += count
            whole = buffer.rfind(b"\n", 0, held) + 1 if held >= BLOCK else 0
            if whole:
                yield view[:whole]
                view[: held - whole] = view[whole:held]
                held -= whole
    if held == len(buffer):
        raise FileError("a line without end", where=part.name, found=f"more than {held >> 20} MiB in one line")
    if held:
        yield view[:held]


def _damage(message: str, part: Part, layout: Layout, rows: int, block: bytes) -> FileError:
    if skewed := _SKEWED.search(message):
        row, expected, got = (int(number) for number in skewed.groups())
        last = block[-1:] != b"\n" and row == sum(1 for line in block.splitlines() if line)
        return FileError(
            "the last row is cut off" if last and got < expected else "a row has another number of fields",
            where=f"{part.name}, row {rows + row} below the header",
            found=f"{got} fields",
            expected=f"{expected}, as in the header",
            remedy="The file is damaged or truncated: download it again",
        )
    if not (wrong := _NO_NUMBER.search(message)):
        return FileError("the table is damaged", where=part.name, found=message[:200], remedy="Download it again")
    where = f"{part.name}, row {rows + int(wrong[2])} below the header, column {layout.columns[int(wrong[1])]}"
    cell = wrong[3]
    if cell is None:
        return FileError("text that is not UTF-8", where=where, remedy="Save the table as CSV (UTF-8)")
    if _COMMA.fullmatch(cell):
        remedy = "Describe the table by a TOML with decimal = ','"
        return DecimalCommaError("a decimal comma", where=where, found=cell, expected="a decimal point", remedy=remedy)
    if re.fullmatch(r"\d\.\d+E\+\d+", cell):
        remedy = "A spreadsheet has rounded the time stamps: use the file as downloaded, never opened and saved"
    else:
        remedy = "Download the file again; if it is your own table, describe it by a TOML (missing = [...])"
    return FileError(
        "text in a column of numbers", where=where, found=repr(cell[:40]), expected="a number", remedy=remedy
    )
