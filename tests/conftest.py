"""Shared fixtures. Real inputs lie outside the repository: ``../shared/real`` or ``ECOEMBED_REAL_DATA``."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

REAL = Path(os.environ.get("ECOEMBED_REAL_DATA", Path(__file__).resolve().parents[2] / "shared" / "real"))


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real inputs; skips where it is absent."""
    if not REAL.is_dir():
        pytest.skip("real inputs absent: set ECOEMBED_REAL_DATA to their folder")
    return REAL


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual study of four small sites, not run."""
    from ecoembed.virtual.network import write_network

    return write_network(tmp_path_factory.mktemp("network") / "study", sites=4, years=(2019, 2019), size=24, seed=11)


@pytest.fixture(scope="session")
def finished(network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same study after one run; not to be changed."""
    from ecoembed import open_study

    folder = tmp_path_factory.mktemp("finished") / "study"
    shutil.copytree(network, folder)
    open_study(folder).run()
    return folder
