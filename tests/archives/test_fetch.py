"""From a place to its cube, by a real catalogue and real files: the numbers that come out are those of the ground."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from scipy import ndimage

pytest.importorskip("pystac_client", reason="the extra `cloud` is not installed")

from ecoembed.archives.satellite.rasters import open_raster
from ecoembed.archives.stac import PROVIDERS, fetch, get_provider, plan_fetch
from ecoembed.cubes.build import open_cube
from ecoembed.errors import ArchiveError, ConfigError
from ecoembed.files import digest
from tests.archives import stac_archives as archives
from tests.archives import stac_products as products
from tests.archives.stac_places import (
    FIELD,
    LAYOUTS,
    YEAR,
    delivered,
    place,
    provider,
    reflectance,
    run,
    scene,
    tile_of,
)
from tests.archives.stac_server import StacServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StacServer]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
    with StacServer() as server:
        yield server


#: Archive -> (baseline, has the archive taken the offset away): what each of them really delivers.
DELIVERED = {
    "planetary-computer": [("03.01", False), ("04.00", False), ("05.10", False)],
    "earth-search": [("03.01", False), ("04.00", True), ("05.10", True), ("05.11", False)],
    "copernicus": [("03.01", False), ("04.00", False), ("05.10", False)],
}


@pytest.mark.parametrize("name", DELIVERED)
def test_the_offset_is_applied_exactly_once(server: StacServer, tmp_path: Path, name: str) -> None:
    scenes = [
        scene(4 + 5 * n, tile_of(FIELD), baseline=baseline, applied=applied)
        for n, (baseline, applied) in enumerate(DELIVERED[name])
    ]
    for one in scenes:
        server.add(*LAYOUTS[name](one, server.url))
    _, fetched = run(FIELD, tmp_path, provider(name, server))
    assert not fetched.failed
    cube = open_cube(tmp_path, "S2_L2A")
    assert list(cube["time"].values.astype("datetime64[s]")) == [np.datetime64(one.time) for one in scenes]
    for n, one in enumerate(scenes):
        for band in products.BANDS:
            truth = reflectance(one, band, FIELD)
            assert np.abs(cube.isel(time=n).sel(band=band).values - truth).max() < 1e-6, (one.baseline, band)
    assert not server.absent  # no sidecar, no folder listing was asked for


@pytest.mark.parametrize("name", LAYOUTS)
def test_fetched_files_hold_the_numbers_as_delivered(server: StacServer, tmp_path: Path, name: str) -> None:
    one = scene(4, tile_of(FIELD), baseline="05.10", applied=name == "earth-search")
    item = server.add(*LAYOUTS[name](one, server.url))
    run(FIELD, tmp_path, provider(name, server))
    (path,) = tmp_path.glob("*.nc")
    assert path.name == f"S2_L2A_20190704T105621_{item['id']}.nc"
    raster = open_raster(path)
    assert np.array_equal(raster["x"].values, FIELD.x)
    assert np.array_equal(raster["y"].values, FIELD.y)
    assert raster.rio.crs.to_epsg() == FIELD.epsg
    for band in (*products.BANDS, "SCL"):
        assert raster[band].dtype == ("uint8" if band == "SCL" else "uint16")
        assert np.array_equal(raster[band].values[0], delivered(one, band, FIELD)), band
    attrs = raster.attrs
    assert (attrs["site"], attrs["item"], attrs["collection"]) == (FIELD.site, item["id"], "sentinel-2-l2a")
    assert attrs["provider"] == name
    assert str(attrs["processing_baseline"]) == "05.10"
    assert (str(attrs.get("boa_offset_applied", "")).lower() == "true") == (name == "earth-search")


@pytest.mark.parametrize("view", [(7.25, 104.5), (2.5, 359.6)])
def test_angles_are_those_of_the_granule(server: StacServer, tmp_path: Path, view: tuple[float, float]) -> None:
    one = scene(4, tile_of(FIELD), view=view, sun=(31.5, 152.25))
    server.add(*archives.planetary_computer(one, server.url))
    run(FIELD, tmp_path, provider("planetary-computer", server))
    (path,) = tmp_path.glob("*.nc")
    raster = open_raster(path)
    found = {
        name: float(np.ravel(raster[name].values if name in raster else raster.attrs[name])[0])
        for name in ("sunZenithAngles", "sunAzimuthAngles", "viewZenithMean", "viewAzimuthMean")
    }
    turned = (found["viewAzimuthMean"] - view[1] + 180) % 360 - 180  # the bands' azimuths lie on both sides of north
    assert found["sunZenithAngles"] == pytest.approx(31.5, abs=0.01)
    assert found["sunAzimuthAngles"] == pytest.approx(152.25, abs=0.01)
    assert found["viewZenithMean"] == pytest.approx(view[0], abs=0.02)
    assert abs(turned) < 0.5


def test_radar_gives_the_known_backscatter(server: StacServer, tmp_path: Path) -> None:
    passes = [
        products.Radar(tile_of(FIELD), datetime(2019, 7, 5, 17, 33, 12), "ascending", 59),
        products.Radar(
            tile_of(FIELD), datetime(2019, 7, 8, 5, 50, 1), "descending", 8, valid=lambda x, y: x > FIELD.x[4] + 0 * y
        ),
    ]
    for one in passes:
        server.add(*archives.radar(one, server.url))
    _, fetched = run(FIELD, tmp_path, provider("planetary-computer", server), ("S1",))
    assert not fetched.failed
    assert len(list(tmp_path.glob("S1_20190705T173312_*.nc"))) == 1
    cube = open_cube(tmp_path, "S1")
    for n, one in enumerate(passes):
        for band in ("VV", "VH"):
            power = delivered(one, band, FIELD).astype("float64")
            truth = 10 * np.log10(np.where(power > 0, power, np.nan))
            assert np.array_equal(np.isnan(cube.isel(time=n).sel(band=band).values), np.isnan(truth))
            assert np.nanmax(np.abs(cube.isel(time=n).sel(band=band).values - truth)) < 1e-4
    assert list(cube["orbit"].values) == ["A059", "D008"]


def test_sentinel_1_and_2_are_fetched_together(server: StacServer, tmp_path: Path) -> None:
    server.add(*archives.planetary_computer(scene(4, tile_of(FIELD)), server.url))
    server.add(*archives.radar(products.Radar(tile_of(FIELD), datetime(2019, 7, 5, 17, 33, 12)), server.url))
    plan, fetched = run(FIELD, tmp_path, provider("planetary-computer", server), ("S2_L2A", "S1"))
    assert len(plan.items) == 2
    assert sorted(path.name[:3] for path in tmp_path.glob("*.nc")) == ["S1_", "S2_"]
    assert open_cube(tmp_path, "S2_L2A").sizes["time"] == open_cube(tmp_path, "S1").sizes["time"] == 1
    assert len(fetched.written) == 2


def test_of_two_tiles_with_the_same_ground_one_is_fetched(server: StacServer, tmp_path: Path) -> None:
    first, second = scene(4, tile_of(FIELD, "31UDS", east=-300)), scene(4, tile_of(FIELD, "31UES", east=300))
    for one in (first, second):
        server.add(*archives.planetary_computer(one, server.url))
    plan, _ = run(FIELD, tmp_path, provider("planetary-computer", server))
    assert len(plan.items) == 1
    assert sum(plan.skipped.values()) == 1
    cube = open_cube(tmp_path, "S2_L2A")
    assert np.abs(cube.sel(band="B02").values[0] - reflectance(first, "B02", FIELD)).max() < 1e-6


def test_two_tiles_that_share_the_ground_are_both_fetched(server: StacServer, tmp_path: Path) -> None:
    west = scene(4, tile_of(FIELD, "31UDS", east=-640))
    east = scene(4, tile_of(FIELD, "31UES", east=620))
    for one in (west, east):
        server.add(*archives.planetary_computer(one, server.url))
    plan, _ = run(FIELD, tmp_path, provider("planetary-computer", server))
    assert len(plan.items) == 2
    assert not sum(plan.skipped.values())
    cube = open_cube(tmp_path, "S2_L2A")
    assert cube.sizes["time"] == 1
    whole = scene(4, tile_of(FIELD))
    for band in ("B02", "B11"):
        assert np.abs(cube.sel(band=band).values[0] - reflectance(whole, band, FIELD)).max() < 1e-6


def test_of_two_processings_of_one_scene_the_newer_is_fetched(server: StacServer, tmp_path: Path) -> None:
    old = scene(4, tile_of(FIELD), baseline="02.12", made="20201004T123456")
    new = scene(4, tile_of(FIELD), baseline="05.00", made="20230604T123456")
    for one in (old, new):
        server.add(*archives.planetary_computer(one, server.url))
    plan, _ = run(FIELD, tmp_path, provider("planetary-computer", server))
    assert sum(plan.skipped.values()) == 1
    (path,) = tmp_path.glob("*.nc")
    assert str(open_raster(path).attrs["processing_baseline"]) == "05.00"
    assert np.abs(open_cube(tmp_path).sel(band="B04").values[0] - reflectance(new, "B04", FIELD)).max() < 1e-6


def _plane(where: object, epsg: int) -> products.Surface:
    """Reflectance that rises evenly over the ground of a place, seen from a tile in any CRS."""
    back = Transformer.from_crs(epsg, where.epsg, always_xy=True).transform  # type: ignore[attr-defined]

    def surface(band: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        east, north = back(*np.broadcast_arrays(x, y))
        return 2000 + 0.5 * (east - where.x.mean()) + 0.8 * (north - where.y.mean())  # type: ignore[attr-defined]

    return surface


def _beyond(where: object, name: str, epsg: int, size: float = 1280) -> products.Tile:
    """A tile of another zone with the place in its middle."""
    x, y = Transformer.from_crs(where.epsg, epsg, always_xy=True).transform(where.x.mean(), where.y.mean())  # type: ignore[attr-defined]
    return products.Tile(name, epsg, *(float(np.floor(v / 20) * 20) for v in (x - size / 2, y + size / 2)), size)


@pytest.mark.parametrize("name", ["planetary-computer", "copernicus"])  # the latter's files declare no fill value
def test_a_tile_of_the_next_zone_is_brought_to_the_grid_and_says_so(
    server: StacServer, tmp_path: Path, name: str
) -> None:
    seam = place(50.0, 5.98, 32631)
    tile = _beyond(seam, "32UKA", 32632)
    middle = tile.left + tile.size / 2
    one = scene(
        4, tile, baseline="05.10", surface=_plane(seam, 32632),
        valid=lambda x, y: x + 0 * y < middle + 80, cloudy=lambda x, y: x + 0 * y < middle - 60,
    )  # fmt: skip
    server.add(*LAYOUTS[name](one, server.url))
    _, fetched = run(seam, tmp_path, provider(name, server))
    assert not fetched.failed
    (path,) = tmp_path.glob("*.nc")
    raster = open_raster(path)
    assert raster.rio.crs.to_epsg() == 32631
    assert "32632" in json.dumps({key: str(value) for key, value in raster.attrs.items()})
    assert set(np.unique(raster["SCL"].values)) == {0, products.VEGETATION, products.CLOUD}
    truth = _plane(seam, 32631)("", seam.x[None, :], seam.y[:, None]) + one.offset
    for band in products.BANDS:
        values = raster[band].values[0].astype("float64")
        there = values > 0
        assert 0.5 < there.mean() < 0.95  # the part without data is missing, and not mixed into its neighbours
        inside = ndimage.binary_erosion(there, iterations=2, border_value=1)  # at its edge a pixel leans to one side
        assert np.abs(values - truth)[inside].max() < 2.0, band  # half a pixel aside would be 2.5 to 8
        assert np.abs(values - truth)[there].max() < 12


@settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(east=st.integers(-70, 70), north=st.integers(-70, 70), odd=st.booleans())
def test_each_pixel_is_the_files_own_wherever_the_tile_lies(
    tmp_path_factory: pytest.TempPathFactory, east: int, north: int, odd: bool
) -> None:
    """Also where the tile ends within the window, and where its corner is no multiple of 20 m off ours."""
    tile = tile_of(FIELD, east=10 * east, north=10 * north)
    tile = dataclasses.replace(tile, left=tile.left + 10 * odd)
    one, folder = scene(4, tile), tmp_path_factory.mktemp("fetched")
    with StacServer() as server:
        server.add(*archives.planetary_computer(one, server.url))
        run(FIELD, folder, provider("planetary-computer", server))
    (path,) = folder.glob("*.nc")
    raster = open_raster(path)
    for band in ("B02", "SCL") if odd else ("B02", "B05", "SCL"):
        assert np.array_equal(raster[band].values[0], delivered(one, band, FIELD)), band


def test_across_the_antimeridian_both_sides_are_fetched(server: StacServer, tmp_path: Path) -> None:
    fiji = place(-16.8, 179.9995, 32760)
    line = float(Transformer.from_crs(4326, 32760, always_xy=True).transform(180, -16.8)[0])
    assert fiji.x[0] < line < fiji.x[-1]
    tile = _beyond(fiji, "60KYF", 32760)
    west = scene(4, tile, surface=_plane(fiji, 32760), west=0, valid=lambda x, y: x + 0 * y < line)
    east = scene(4, _beyond(fiji, "01KAB", 32701), surface=_plane(fiji, 32701), east=0)
    for one in (west, east):
        server.add(*archives.planetary_computer(one, server.url))
    plan, fetched = run(fiji, tmp_path, provider("planetary-computer", server))
    assert (len(plan.items), fetched.failed) == (2, {})
    cube = open_cube(tmp_path, "S2_L2A")
    truth = _plane(fiji, 32760)("", fiji.x[None, :], fiji.y[:, None]) / 10_000
    assert cube.sizes["time"] == 1
    assert np.abs(cube.values[0, 0] - truth).max() < 2e-4


def test_the_southern_hemisphere(server: StacServer, tmp_path: Path) -> None:
    cape = place(-33.2, 18.9, 32734)
    one = scene(4, tile_of(cape, "34HBH"), baseline="04.00")
    server.add(*archives.planetary_computer(one, server.url))
    run(cape, tmp_path, provider("planetary-computer", server))
    assert np.abs(open_cube(tmp_path).sel(band="B08").values[0] - reflectance(one, "B08", cape)).max() < 1e-6


@pytest.mark.parametrize(
    ("where", "period"),
    [(place(46.0, -30.0, 32626, site="XX-Sea"), YEAR), (FIELD, (date(2013, 1, 1), date(2013, 12, 31)))],
)
def test_where_there_is_nothing_the_error_says_what_was_asked(
    server: StacServer, tmp_path: Path, where: object, period: tuple[date, date]
) -> None:
    server.add(*archives.planetary_computer(scene(4, tile_of(FIELD)), server.url))
    with pytest.raises(ArchiveError) as error:
        plan_fetch(where, tmp_path, *period, provider=provider("planetary-computer", server), sensors=("S2_L2A",))  # type: ignore[arg-type]
    text = str(error.value)
    assert where.site in text  # type: ignore[attr-defined]
    assert "sentinel-2-l2a" in text
    assert str(period[0].year) in text
    assert error.value.remedy
    assert not any(tmp_path.iterdir())


def test_a_plan_reads_nothing_and_estimates_what_will_be_read(server: StacServer, tmp_path: Path) -> None:
    large = tile_of(FIELD, size=10_240)  # with inner tiles of 512 pixels, as the real files have
    for day in (4, 9):
        server.add(*archives.planetary_computer(scene(day, large, surface=products.noise), server.url))
    plan = plan_fetch(FIELD, tmp_path, *YEAR, provider=provider("planetary-computer", server), sensors=("S2_L2A",))
    assert server.asked("sentinel2-l2") == 0
    assert (len(plan.items), len(plan.missing)) == (2, 2)
    assert FIELD.site in plan.summary()
    assert "2 to fetch" in plan.summary()
    server.forget()
    fetched = fetch(plan)
    assert 0.25 < server.sent / plan.bytes < 4
    assert 0.25 < fetched.bytes / server.sent < 4 or fetched.bytes == sum(
        p.stat().st_size for p in tmp_path.glob("*.nc")
    )


def test_the_period_is_whole_days_and_nothing_beyond(server: StacServer, tmp_path: Path) -> None:
    for day in (3, 4, 9, 10):
        server.add(*archives.planetary_computer(scene(day, tile_of(FIELD)), server.url))
    archive = provider("planetary-computer", server)
    plan = plan_fetch(FIELD, tmp_path, date(2019, 7, 4), date(2019, 7, 9), provider=archive, sensors=("S2_L2A",))
    assert len(plan.items) == 2


def test_what_is_held_is_not_asked_for_again(server: StacServer, tmp_path: Path) -> None:
    archive = provider("planetary-computer", server)
    for day in (4, 9):
        server.add(*archives.planetary_computer(scene(day, tile_of(FIELD)), server.url))
    run(FIELD, tmp_path, archive)
    server.forget()
    plan, fetched = run(FIELD, tmp_path, archive)
    assert (plan.missing, list(fetched.written), plan.bytes) == ([], [], 0)
    assert len(fetched.already) == 2
    assert server.asked("sentinel2-l2") == 0

    next(iter(sorted(tmp_path.glob("*.nc")))).unlink()  # a lost file is fetched again, and only that
    server.add(*archives.planetary_computer(scene(14, tile_of(FIELD)), server.url))
    plan, fetched = run(FIELD, tmp_path, archive)
    assert len(fetched.written) == 2
    assert server.asked("20190709") == 0
    assert open_cube(tmp_path).sizes["time"] == 3


def test_the_manifest_tells_every_layer_and_no_secret(server: StacServer, tmp_path: Path) -> None:
    item, files = archives.planetary_computer(scene(4, tile_of(FIELD), baseline="05.10"), server.url)
    for asset in item["assets"].values():
        asset["href"] += "?st=2019&se=2020&sig=SECRET%3D"
    server.add(item, files)
    run(FIELD, tmp_path, provider("planetary-computer", server))
    (path,) = tmp_path.glob("*.nc")
    text = (tmp_path / "fetch.json").read_text("utf-8")
    for part in (item["id"], "sentinel-2-l2a", "planetary-computer", "05.10", path.name, digest(path)):
        assert part in text
    for band in (*products.BANDS, "SCL"):
        assert item["assets"][band]["href"].split("?")[0] in text
    assert "sig=" not in text
    assert b"SECRET" not in path.read_bytes()
    assert "/tmp" not in text  # a study may be moved  # noqa: S108


KILLED = """
import sys
from datetime import date
from pathlib import Path
from ecoembed.archives.stac import fetch, plan_fetch
from tests.archives.stac_places import FIELD, YEAR, provider
class Server: url = sys.argv[1]
archive = provider("planetary-computer", Server)
fetch(plan_fetch(FIELD, Path(sys.argv[2]), *YEAR, provider=archive, sensors=("S2_L2A",)), workers=1)
"""


def test_a_killed_fetch_goes_on_without_asking_for_what_it_has(server: StacServer, tmp_path: Path) -> None:
    days = (4, 9, 14, 19)
    for day in days:
        server.add(*archives.planetary_computer(scene(day, tile_of(FIELD)), server.url))
    server.fault("_B05_20m.tif", "slow", seconds=0.1)
    folder = tmp_path / "XX-Tst"
    running = subprocess.Popen([sys.executable, "-c", KILLED, server.url, str(folder)], cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 60
    while len(list(folder.glob("S2*.nc"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    held = {path.name[7:15] for path in folder.glob("S2*.nc")}
    assert 2 <= len(held) < len(days)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("S2*.nc")}

    server.faults.clear()
    server.forget()
    _, fetched = run(FIELD, folder, provider("planetary-computer", server))
    assert not fetched.failed
    assert {stamp for stamp in held if server.asked(f"_{stamp}T")} == set()
    assert all(path.stat().st_mtime_ns == at for path, at in before.items())
    cube = open_cube(folder)
    assert cube.sizes["time"] == len(days)
    assert np.isfinite(cube.values).all()


@pytest.mark.parametrize("name", [*PROVIDERS, "nowhere"])
def test_providers_have_names(name: str) -> None:
    if name in PROVIDERS:
        assert get_provider(name) is PROVIDERS[name]
    else:
        with pytest.raises(ConfigError, match="planetary-computer"):
            get_provider(name)


@pytest.mark.parametrize("name", ["planetary-computer", "earth-search"])
def test_another_catalogue_by_its_address_alone(server: StacServer, tmp_path: Path, name: str) -> None:
    one = scene(4, tile_of(FIELD), baseline="05.10", applied=name == "earth-search")
    server.add(*LAYOUTS[name](one, server.url))
    _, fetched = run(FIELD, tmp_path, get_provider(server.url))
    assert not fetched.failed
    assert np.abs(open_cube(tmp_path).sel(band="B8A").values[0] - reflectance(one, "B8A", FIELD)).max() < 1e-6


def test_files_can_be_read_without_the_catalogue(server: StacServer, tmp_path: Path) -> None:
    server.add(*archives.planetary_computer(scene(4, tile_of(FIELD)), server.url))
    run(FIELD, tmp_path, provider("planetary-computer", server))
    (path,) = tmp_path.glob("*.nc")
    with xr.open_dataset(path, mask_and_scale=False) as opened:
        assert set(products.BANDS) <= set(opened.data_vars)
