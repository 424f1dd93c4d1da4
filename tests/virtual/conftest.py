"""One small network for all tests of the virtual world: eight sites, one year, 32 x 32 pixels."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ecoembed.virtual.network import write_network
from ecoembed.virtual.places import VirtualPlace, draw_place, streams
from ecoembed.virtual.world import World, make_world

SITES, YEARS, SIZE, SEED = 8, (2020, 2020), 32, 7


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("network"), sites=SITES, years=YEARS, size=SIZE, seed=SEED)


@pytest.fixture(scope="session")
def crop_world() -> World:
    """Site 2, whose tower stands in a field of a crop."""
    return make_world(2, YEARS, SIZE, SEED)


@pytest.fixture(scope="session")
def place() -> VirtualPlace:
    return draw_place(2, streams(SEED, 2)["place"])


@pytest.fixture(scope="session")
def days() -> pd.DatetimeIndex:
    return pd.date_range("2019-01-01", "2020-12-31", unit="ns")
