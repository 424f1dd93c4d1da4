"""The catalogue of the tests behaves as a real one does, to a client and a reader that are not ours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pytest
import rasterio
import requests

from tests.archives import stac_archives as archives
from tests.archives import stac_products as products
from tests.archives.stac_server import StacServer

TILE = products.Tile("31UDS", 32631, 499980, 5525000)
SCENES = [products.Scene(TILE, datetime(2019, 7, day, 10, 56, 21)) for day in (4, 9, 14)]


@pytest.fixture
def server() -> Iterator[StacServer]:
    with StacServer() as server:
        yield server


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_another_client_pages_through_a_search(server: StacServer, method: str) -> None:
    client = pytest.importorskip("pystac_client")
    for scene in SCENES:
        server.add(*archives.planetary_computer(scene, server.url))
    search = client.Client.open(server.url).search(
        collections=["sentinel-2-l2a"], bbox=[2.9, 49.8, 3.1, 49.9], datetime="2019-07-05/2019-07-31", method=method
    )
    assert [item.datetime.day for item in search.items()] == [14, 9]
    everything = client.Client.open(server.url).search(collections=["sentinel-2-l2a"], limit=1, method=method)
    assert len(list(everything.items())) == 3
    assert server.asked("/search") == 4
    assert not server.absent


def test_a_search_box_may_cross_the_antimeridian(server: StacServer) -> None:
    west = products.Tile("60KYF", 32760, 815000, 8140000)  # a piece of it lies beyond 180 degrees
    item = server.add(*archives.planetary_computer(products.Scene(west, datetime(2021, 3, 1, 22, 1)), server.url))
    assert item["geometry"]["type"] in ("Polygon", "MultiPolygon")
    for bbox, found in (([179, -17.5, -179, -16], 1), ([-179, -17.5, 179, -16], 0), ([170, -10, -170, -5], 0)):
        answer = requests.post(f"{server.url}/search", json={"bbox": bbox}, timeout=5).json()
        assert len(answer["features"]) == found, bbox


@pytest.mark.parametrize(
    "query", [{"datetime": "2019-07-04/2019-07-05"}, {"bbox": [0, 0, 1, 1], "intersects": {"type": "Point"}}]
)
def test_what_real_catalogues_refuse_is_refused(server: StacServer, query: dict[str, object]) -> None:
    assert requests.post(f"{server.url}/search", json=query, timeout=5).status_code == 400


@pytest.mark.parametrize("shape", [archives.planetary_computer, archives.earth_search, archives.copernicus])
def test_files_are_read_by_range_and_hold_the_numbers(server: StacServer, shape: object) -> None:
    large = products.Tile("31UDS", 32631, 499980, 5525000, 10_240)
    scene = products.Scene(large, datetime(2019, 7, 4, 10, 56, 21), surface=products.noise)
    server.add(*shape(scene, server.url))  # type: ignore[operator]
    path = next(path for path in server.files if "B02" in path)
    with (
        rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", CPL_VSIL_CURL_USE_HEAD="YES"),
        rasterio.open(server.url + path) as file,
    ):
        window = rasterio.windows.Window(10, 20, 8, 8)
        assert np.array_equal(file.read(1, window=window), scene.numbers("B02")[20:28, 10:18])
        assert file.crs.to_epsg() == 32631
        assert file.bounds.left == 499980
    assert server.sent < len(server.files[path])  # the window only, not the file
    assert not server.absent


def test_faults_wear_off(server: StacServer) -> None:
    server.files["/a.tif"] = bytes(100)
    server.fault("/a.tif", "status", status=429, retry_after="1", times=1)
    first, second = (requests.get(f"{server.url}/a.tif", timeout=5) for _ in range(2))
    assert (first.status_code, first.headers["Retry-After"], second.status_code) == (429, "1", 200)
    server.fault("/a.tif", "cut", times=1)
    with pytest.raises(requests.RequestException):
        requests.get(f"{server.url}/a.tif", timeout=5)
    server.fault("/a.tif", "truncated", times=1)
    assert len(requests.get(f"{server.url}/a.tif", timeout=5).content) == 50
    assert requests.head(f"{server.url}/a.tif", timeout=5).headers["Content-Length"] == "100"
