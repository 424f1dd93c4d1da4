"""Numbers of some columns of a text table, without parsing the others."""

from __future__ import annotations

import codecs
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ecoembed.archives.containers import Part, opened
from ecoembed.archives.layout import Layout
from ecoembed.errors import FileError

_BLOCK = 1 << 20


def read_text(part: Part, layout: Layout, kinds: Mapping[int, str], missing: Sequence[float]) -> dict[int, np.ndarray]:
    """The columns at the positions `kinds`, each ``float64``, ``int64`` or ``str``.

    Raises
    ------
    FileError
        A row with too few or too many fields, text in a column of numbers, or a damaged archive.
    """
    import pyarrow as arrow
    from pyarrow import csv

    names = [str(i) for i in range(len(layout.columns))]
    types = {"float64": arrow.float64(), "int64": arrow.int64(), "str": arrow.string()}
    convert = csv.ConvertOptions(
        include_columns=[names[i] for i in kinds], column_types={names[i]: types[kind] for i, kind in kinds.items()}
    )
    read = csv.ReadOptions(column_names=names, use_threads=False, block_size=_BLOCK)
    parse = csv.ParseOptions(delimiter=layout.separator)
    chunks: dict[int, list[np.ndarray]] = {i: [] for i in kinds}
    with opened(part) as stream:
        try:
            _skip(stream, layout)
            with csv.open_csv(_utf8(stream, layout), read, parse, convert) as reader:
                for batch in reader:
                    for position, column in zip(kinds, batch.columns, strict=True):
                        values = column.to_numpy(zero_copy_only=False)
                        if values.dtype == np.float64:
                            values = np.where(np.isin(values, missing), np.nan, values)
                        chunks[position].append(values)
        except (arrow.ArrowInvalid, UnicodeDecodeError) as exc:
            raise FileError(
                "the table is damaged or truncated",
                where=part.name,
                found="not text in UTF-8" if "UTF8" in str(exc) else str(exc).split("\n")[0][:200],
                expected=f"{len(layout.columns)} fields in every row, numbers below the header",
                remedy="Download the file again",
            ) from None
    return {position: np.concatenate(chunks.pop(position)) for position in list(chunks)}


def _skip(stream: io.BufferedReader, layout: Layout) -> None:
    if layout.encoding == "utf-8":
        mark = stream.peek(3)[:3] == codecs.BOM_UTF8
        del mark
        stream.read(layout.offset)


def _utf8(stream: io.BufferedReader, layout: Layout) -> Any:
    if layout.encoding == "utf-8":
        return stream
    text = io.TextIOWrapper(stream, encoding=layout.encoding)
    recoded = io.BytesIO(text.read().encode())
    recoded.seek(layout.offset)
    return recoded
