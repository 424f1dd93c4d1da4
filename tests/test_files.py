"""The one writer: whole or not at all, whatever dies in between. Errors: all facts in the message, also from afar."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecoembed import errors, units
from ecoembed.files import atomic, digest, write_json


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_is_replaced_whole(tmp_path):
    store = tmp_path / "a.zarr"
    for text in ("one", "two"):
        with atomic(store) as temporary:
            temporary.mkdir()
            (temporary / text).write_text(text)
    assert names(store) == ["two"]
    with pytest.raises(RuntimeError), atomic(store) as temporary:  # noqa: PT012
        temporary.mkdir()
        (temporary / "three").write_text("half")
        raise RuntimeError
    assert names(store) == ["two"]
    assert names(tmp_path) == ["a.zarr"]


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (
        "import sys, time; from ecoembed.files import atomic\n"
        "with atomic(sys.argv[1]) as t:\n    t.write_text('half'); print('writing', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    assert path.read_text() == "old"


def test_where_nothing_can_be_written_is_a_typed_error(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "a.txt", tmp_path / "folder", tmp_path / ("a" * 300)):
        with pytest.raises(errors.FileError, match="cannot be written"), atomic(path) as temporary:
            temporary.write_text("new")
    assert names(tmp_path) == ["file", "folder"]
    assert names(tmp_path / "folder") == []


def test_a_copy_that_a_full_disk_stops_is_a_typed_error(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "copy2", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space")))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("old")
    with pytest.raises(errors.FileError, match=r"cannot be written .*No space"), atomic(tmp_path / "c") as temporary:
        shutil.copytree(tmp_path / "a", temporary, copy_function=shutil.copy2)
    assert names(tmp_path) == ["a"]


def test_a_digest_sees_content_and_names_and_not_times(tmp_path):
    a, b = tmp_path / "x" / "f", tmp_path / "y" / "f"
    for path in (a, b):
        path.parent.mkdir()
        path.write_text("same")
    assert digest(a) == digest(b)
    before = digest(a.parent)
    os.utime(a, (time.time() - 1000,) * 2)
    assert digest(a.parent) == before
    a.rename(a.with_name("g"))
    assert digest(a.parent) != before


def test_json_is_sorted_and_whole(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": Path("x")})
    assert (tmp_path / "a.json").read_text().index('"a"') < (tmp_path / "a.json").read_text().index('"b"')


KINDS = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_says_everything_also_after_a_journey(kind):
    error = kind("3 of 10 bands absent", where="cubes/DE-Gri.zarr", found=7, expected=10, remedy="Rebuild the cube")
    assert str(error) == "cubes/DE-Gri.zarr: 3 of 10 bands absent (found 7; expected 10). Rebuild the cube"
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(again) is kind
    assert str(again) == str(error)


@given(st.floats(-1e6, 1e6), st.sampled_from(sorted(units._LINEAR)))
def test_conversions_go_both_ways(value, pair):
    there = units.convert(value, *pair)
    assert units.convert(there, *reversed(pair)) == pytest.approx(value, abs=1e-6)


def test_known_conversions():
    assert units.convert(1.0, "umol m-2 s-1", "gC m-2 d-1") == pytest.approx(1.0377504)
    assert units.convert(273.15, "K", "degC") == pytest.approx(0.0)
    assert units.convert(1.0, "kPa", "hPa") == 10
    with pytest.raises(errors.UnitError, match="furlong"):
        units.convert(1.0, "furlong", "m")
