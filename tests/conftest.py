"""Shared fixtures. Real inputs lie outside the repository: ``../shared/real`` or ``ECOEMBED_REAL_DATA``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REAL = Path(os.environ.get("ECOEMBED_REAL_DATA", Path(__file__).resolve().parents[2] / "shared" / "real"))


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real inputs; skips where it is absent."""
    if not REAL.is_dir():
        pytest.skip("real inputs absent: set ECOEMBED_REAL_DATA to their folder")
    return REAL
