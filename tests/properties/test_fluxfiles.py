"""Flux files: the same numbers as pandas reads, whatever the choice, order and dress; never another kind of error."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecoembed.archives.flux import blocks
from ecoembed.archives.flux.files import find_tables, read_columns
from ecoembed.archives.flux.stamps import parse_digits, parse_text
from ecoembed.errors import EcoembedError
from tests.archives import fakes

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAME = fakes.name("HH")
TABLE = fakes.halfhourly(rows=300).assign(
    NEE_VUT_REF=lambda table: table["NEE_VUT_REF"].where(np.arange(300) % 7 > 0, -9999),
    WD=lambda table: table["WD"].where(np.arange(300) % 11 > 0),
)
TEXT = TABLE.to_csv(index=False)
NUMBERS = list(TABLE)[2:]


def pandas_has(text: str | bytes, columns: list[str]) -> np.ndarray:
    """The oracle: a plain reading of everything, with pandas' exact parser."""
    buffer = io.BytesIO(text) if isinstance(text, bytes) else io.StringIO(text)
    table = pd.read_csv(buffer, float_precision="round_trip", encoding="latin-1")
    return table[columns].astype("float64").replace(-9999, np.nan).to_numpy()


def read(folder: Path, content: bytes, columns: list[str]) -> pd.DataFrame:
    path = folder / NAME
    path.write_bytes(content)
    return read_columns(find_tables(path)[0], columns)


@SETTINGS
@given(columns=st.lists(st.sampled_from(NUMBERS), unique=True, min_size=1), block=st.integers(600, 5000))
def test_any_columns_in_any_order_and_blocks_of_any_size(tmp_path: Path, columns: list[str], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", block)
        frame = read(tmp_path, TEXT.encode(), columns)
    assert list(frame) == columns
    np.testing.assert_array_equal(frame, pandas_has(TEXT, columns))
    assert frame.index.equals(pd.DatetimeIndex(pd.to_datetime(TABLE["TIMESTAMP_START"]), name="time").as_unit("ns"))


@SETTINGS
@given(order=st.permutations(range(40)), repeated=st.lists(st.integers(0, 39), max_size=5))
def test_rows_stay_in_the_order_of_the_file(tmp_path: Path, order: list[int], repeated: list[int]) -> None:
    table = TABLE.iloc[[*order, *repeated]]
    frame = read(tmp_path, table.to_csv(index=False).encode(), NUMBERS)
    np.testing.assert_array_equal(frame.index, pd.to_datetime(table["TIMESTAMP_START"]).to_numpy("datetime64[ns]"))
    np.testing.assert_array_equal(frame, pandas_has(table.to_csv(index=False), NUMBERS))


@SETTINGS
@given(
    mark=st.booleans(),
    ending=st.sampled_from(["\n", "\r\n"]),
    above=st.integers(0, 3),
    below=st.integers(0, 3),
    quoted=st.booleans(),
)
def test_dress_changes_nothing(tmp_path: Path, mark: bool, ending: str, above: int, below: int, quoted: bool) -> None:
    text = TABLE.rename(columns=lambda name: f" {name} " if quoted else name).to_csv(index=False, quoting=0)
    dressed = ("\n" * above + text + "\n" * below).replace("\n", ending)
    frame = read(tmp_path, dressed.encode("utf-8-sig" if mark else "utf-8"), NUMBERS)
    np.testing.assert_array_equal(frame, pandas_has(TEXT, NUMBERS))
    assert frame.attrs["repairs"] == {}


@SETTINGS
@given(data=st.lists(st.floats(allow_nan=True, allow_infinity=False, width=64), min_size=2, max_size=30))
def test_every_number_arrives_to_the_last_bit(tmp_path: Path, data: list[float]) -> None:
    table = TABLE.iloc[: len(data)].assign(TA_F=data)
    frame = read(tmp_path, table.to_csv(index=False).encode(), ["TA_F"])
    np.testing.assert_array_equal(frame["TA_F"], np.where(np.array(data) == -9999, np.nan, data))


def same_or_refused(folder: Path, content: bytes, wanted: list[str]) -> None:
    """A damaged file is refused in words, or read as pandas reads it with what differs counted."""
    try:
        frame = read(folder, content, wanted)
    except EcoembedError:
        return
    try:
        expected = pandas_has(content, wanted)
    except (ValueError, KeyError):  # what pandas cannot read as numbers was not read as such either
        pytest.fail("read what pandas cannot")
    expected[np.isinf(expected)] = np.nan
    np.testing.assert_array_equal(frame, expected)


@settings(SETTINGS, max_examples=200)
@given(length=st.integers(0, len(TEXT)))
def test_a_file_cut_anywhere(tmp_path: Path, length: int) -> None:
    content = TEXT.encode()[:length]
    same_or_refused(tmp_path, content, ["TA_F", "H_F_MDS"])


@settings(SETTINGS, max_examples=300)
@given(flips=st.lists(st.tuples(st.integers(200, len(TEXT) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_rows_with_flipped_bytes(tmp_path: Path, flips: list[tuple[int, int]]) -> None:
    content = bytearray(TEXT.encode())
    for position, byte in flips:
        content[position] = byte
    same_or_refused(tmp_path, bytes(content), ["TA_F", "USTAR"])


@settings(SETTINGS, max_examples=200)
@given(flips=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_header_with_flipped_bytes(tmp_path: Path, flips: list[tuple[int, int]]) -> None:
    content = bytearray(TEXT.encode())
    for position, byte in flips:
        content[position] = byte
    try:
        frame = read(tmp_path, bytes(content), ["TA_F", "USTAR"])
    except EcoembedError:
        return
    assert len(frame) in (299, 300, 301)
    assert not frame.index.isna().any()


@settings(SETTINGS, max_examples=200)
@given(flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4))
@pytest.mark.parametrize("kind", ["zip", "xlsx"])
def test_an_archive_with_flipped_bytes(
    tmp_path_factory: pytest.TempPathFactory, kind: str, flips: list[tuple[float, int]]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    whole = folder / f"whole.{kind}"
    if not whole.exists():
        if kind == "zip":
            with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(NAME, TEXT)
        else:
            TABLE.iloc[:20].to_excel(whole, index=False)
    content = bytearray(whole.read_bytes())
    for share, mask in flips:
        content[int(share * len(content))] ^= mask
    damaged = folder / f"{NAME}.{kind}"
    damaged.write_bytes(content)
    try:
        for table in find_tables(damaged):
            read_columns(table, [name for name in ("TA_F",) if name in table.columns])
    except EcoembedError:
        pass


@SETTINGS
@given(content=st.binary(max_size=3000))
def test_any_bytes_at_all(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / NAME
    path.write_bytes(content)
    try:
        for table in find_tables(path):
            read_columns(table, table.columns)
    except EcoembedError:
        pass


@SETTINGS
@given(times=st.lists(st.datetimes(pd.Timestamp(1900, 1, 1), pd.Timestamp(2199, 12, 31)), min_size=1, max_size=20))
def test_stamps_of_digits_are_what_strptime_says(times: list[pd.Timestamp]) -> None:
    for pattern, digits in (("%Y%m%d%H%M", 12), ("%Y%m%d", 8), ("%Y%m", 6), ("%Y", 4)):
        text = [f"{time:{pattern}}" for time in times]
        expected = pd.to_datetime(pd.Series(text), format=pattern).to_numpy("datetime64[ns]")
        np.testing.assert_array_equal(parse_digits(np.array(text, dtype="int64"), digits), expected)
        np.testing.assert_array_equal(parse_text(text, pattern), expected)


@SETTINGS
@given(stamps=st.lists(st.integers(0, 999_999_999_999), min_size=1, max_size=30), digits=st.sampled_from([4, 6, 8, 12]))
def test_no_stamp_is_read_that_is_none(stamps: list[int], digits: int) -> None:
    pattern = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 12: "%Y%m%d%H%M"}[digits]
    parsed = parse_digits(np.array(stamps), digits)
    for stamp, time in zip(stamps, parsed, strict=True):
        if not np.isnat(time):
            shown = pd.Timestamp(time).strftime(pattern)
            midnight = (pd.Timestamp(time) - pd.Timedelta("1D")).strftime("%Y%m%d") + "2400"
            assert str(stamp) in (shown, midnight)
