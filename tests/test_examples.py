"""The examples run as they stand, and the docstrings' examples are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import ecoembed

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("[0-9]*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example(path, tmp_path):
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not list(tmp_path.iterdir())


def test_every_stage_has_an_example():
    assert [p.stem.split("_", 1)[1] for p in EXAMPLES] == [
        "flux",
        "cubes",
        "embeddings",
        "footprints",
        "benchmark",
        "study",
        "another_sensor",
        "new_sensor",
        "own_site",
    ]


@pytest.mark.parametrize(
    "name", [m.name for m in pkgutil.walk_packages(ecoembed.__path__, "ecoembed.") if m.name != "ecoembed.__main__"]
)
def test_docstrings(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
