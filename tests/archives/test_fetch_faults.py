"""What goes wrong on the way: it is tried again, told by name, or refused; nothing half-written, nothing forgotten."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pystac_client", reason="the extra `cloud` is not installed")

from ecoembed.archives.satellite.rasters import open_raster
from ecoembed.archives.stac import Plan, fetch, plan_fetch, transport
from ecoembed.cubes.build import open_cube
from ecoembed.errors import ArchiveError, ConfigError, FileError
from tests.archives import stac_archives as archives
from tests.archives.stac_places import FIELD, YEAR, provider, reflectance, run, scene, tile_of
from tests.archives.stac_server import StacServer

DAYS = (4, 9)
SECOND = "20190709"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little patience: a second for an answer, hardly any wait before the next try."""
    monkeypatch.setattr(transport, "TIMEOUT", 1.0)
    monkeypatch.setattr(transport, "FIRST_WAIT", 0.05)


@pytest.fixture
def server() -> Iterator[StacServer]:
    with StacServer(page=1) as server:
        for day in DAYS:
            server.add(*archives.planetary_computer(scene(day, tile_of(FIELD)), server.url))
        yield server


def _plan(server: StacServer, folder: Path) -> Plan:
    archive = provider("planetary-computer", server)
    return plan_fetch(FIELD, folder, *YEAR, provider=archive, sensors=("S2_L2A",))


def _item(server: StacServer, stamp: str = SECOND) -> dict[str, Any]:
    return next(item for item in server.items if stamp in item["id"])


def _written(folder: Path) -> set[str]:
    return {path.name[7:15] for path in folder.glob("*.nc")}


def _only_whole_files(folder: Path) -> bool:
    names = {path.name for path in folder.iterdir()}
    return all(name.endswith(".nc") or name == "fetch.json" for name in names)


@pytest.mark.parametrize(
    ("match", "fault", "named"),
    [
        (f"{SECOND}T105621_B05", {"kind": "status", "status": 404}, "B05"),
        (f"{SECOND}T105621_SCL", {"kind": "status", "status": 403}, "SCL"),
        (f"{SECOND}T105621_B11", {"kind": "truncated"}, "B11"),
        (f"{SECOND}T105621_B04", {"kind": "cut"}, "B04"),
    ],
)
def test_a_broken_file_costs_its_item_only(
    server: StacServer, tmp_path: Path, match: str, fault: dict[str, Any], named: str
) -> None:
    server.fault(match, **fault)
    fetched = fetch(_plan(server, tmp_path), retries=1)
    item = _item(server)["id"]
    assert list(fetched.failed) == [item]
    assert named in fetched.failed[item]
    assert _written(tmp_path) == {"20190704"}
    assert _only_whole_files(tmp_path)
    held = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.nc")}

    server.faults.clear()  # mended: the same process asks again, and for that item alone
    server.forget()
    again = fetch(_plan(server, tmp_path))
    assert not again.failed
    assert (len(again.written), len(again.already)) == (1, 1)
    assert server.asked("20190704T") == 0
    assert all(path.stat().st_mtime_ns == at for path, at in held.items())
    truth = reflectance(scene(9, tile_of(FIELD)), "B05", FIELD)
    assert np.abs(open_cube(tmp_path).sel(band="B05").values[1] - truth).max() < 1e-6


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 429, "retry_after": "1"},
        {"kind": "cut"},
        {"kind": "truncated"},
    ],
)
def test_a_passing_fault_of_a_file_is_tried_again(server: StacServer, tmp_path: Path, fault: dict[str, Any]) -> None:
    server.fault("_B03_10m.tif", times=1, **fault)
    fetched = fetch(_plan(server, tmp_path))
    assert not fetched.failed
    cube = open_cube(tmp_path)
    for n, day in enumerate(DAYS):
        truth = reflectance(scene(day, tile_of(FIELD)), "B03", FIELD)
        assert np.abs(cube.sel(band="B03").values[n] - truth).max() < 1e-6


@pytest.mark.parametrize("fault", ["truncated", "cut"])
def test_a_jpeg_2000_that_cannot_be_decoded_gives_no_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Read by several threads, GDAL returns what lay in memory and no error."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with StacServer() as server:
        item = server.add(*archives.copernicus(scene(4, tile_of(FIELD, size=5120)), server.url))
        server.fault("_B04_10m.jp2", fault)
        _, fetched = run(FIELD, tmp_path, provider("copernicus", server), retries=1)
        assert "B04" in fetched.failed[item["id"]]
        server.faults.clear()
        _, fetched = run(FIELD, tmp_path, provider("copernicus", server))
    assert not fetched.failed
    truth = reflectance(scene(4, tile_of(FIELD, size=5120)), "B04", FIELD)
    assert np.abs(open_cube(tmp_path).sel(band="B04").values[0] - truth).max() < 1e-6


def test_an_image_without_its_metadata_file_says_what_was_done_without(server: StacServer, tmp_path: Path) -> None:
    server.fault(f"{SECOND}T105621/MTD_TL.xml", "status", status=404)
    assert not fetch(_plan(server, tmp_path)).failed
    (path,) = tmp_path.glob(f"*_{SECOND}T*.nc")
    raster = open_raster(path)
    assert sum(json.loads(raster.attrs["repairs"]).values()) == 1
    assert float(np.ravel(raster.attrs["sunZenithAngles"])[0]) == pytest.approx(29.6)  # the item's own
    assert open_cube(tmp_path).sizes["time"] == len(DAYS)


def test_an_item_without_an_asset_is_told(server: StacServer, tmp_path: Path) -> None:
    item = _item(server)
    del item["assets"]["B8A"]
    plan = _plan(server, tmp_path)
    fetched = fetch(plan)
    assert "B8A" in fetched.failed[item["id"]]
    assert _written(tmp_path) == {"20190704"}


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429, "retry_after": "1"}, {"status": 502}])
def test_a_busy_catalogue_is_asked_again(server: StacServer, tmp_path: Path, fault: dict[str, Any]) -> None:
    server.fault("/search", "status", times=2, **fault)
    start = time.monotonic()
    assert len(_plan(server, tmp_path).items) == len(DAYS)
    if "retry_after" in fault:
        assert time.monotonic() - start >= 2.0  # it said: not before a second has gone


@pytest.mark.parametrize("status", [500, 503])
def test_a_catalogue_that_stays_ill_is_named(server: StacServer, tmp_path: Path, status: int) -> None:
    server.fault("/search", "status", status=status)
    with pytest.raises(ArchiveError) as error:
        _plan(server, tmp_path)
    assert server.url in str(error.value)
    assert str(status) in str(error.value)
    assert 1 < server.asked("/search") < 20


def test_a_catalogue_that_refuses_is_not_asked_again(server: StacServer, tmp_path: Path) -> None:
    server.fault("/search", "status", status=400)
    with pytest.raises(ArchiveError, match="400"):
        _plan(server, tmp_path)
    assert server.asked("/search") == 1


def test_a_catalogue_that_is_down_is_named(tmp_path: Path) -> None:
    with StacServer() as server:
        archive = provider("planetary-computer", server)
    with pytest.raises(ArchiveError) as error:
        plan_fetch(FIELD, tmp_path, *YEAR, provider=archive, sensors=("S2_L2A",))
    assert archive.url in str(error.value)
    assert error.value.remedy


@pytest.mark.parametrize(("fault", "counts"), [("loop", False), ("loop", True), ("repeat", True)])
def test_pages_that_repeat_end_the_search(server: StacServer, tmp_path: Path, fault: str, counts: bool) -> None:
    server.counts = counts
    server.fault("/search", fault)
    with pytest.raises(ArchiveError, match="repeats a page") as error:
        _plan(server, tmp_path)
    assert server.url in str(error.value)
    assert server.asked("/search") <= 3
    server.faults.clear()
    assert len(_plan(server, tmp_path).items) == len(DAYS)


def test_a_last_page_that_repeats_gives_nothing_twice(server: StacServer, tmp_path: Path) -> None:
    server.fault("/search", "repeat")  # and nobody says that a second item is owed
    with pytest.warns(UserWarning, match=server.url):
        plan = _plan(server, tmp_path)
    assert len({item.id for item in plan.items}) == len(plan.items) == 1


@pytest.mark.parametrize("match", ["/search", "_B02_10m.tif"])
def test_a_slow_answer_is_asked_for_again(server: StacServer, tmp_path: Path, match: str) -> None:
    server.fault(match, "slow", seconds=3.0, times=1)
    assert not fetch(_plan(server, tmp_path)).failed
    assert _written(tmp_path) == {"20190704", "20190709"}


def test_slow_answers_are_given_up(server: StacServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waited for them would have got all."""
    server.fault("_B02_10m.tif", "slow", seconds=3.0)
    assert len(fetch(_plan(server, tmp_path)).failed) == len(DAYS)
    monkeypatch.setattr(transport, "TIMEOUT", 0.2)
    server.fault("/search", "slow", seconds=3.0)
    with pytest.raises(ArchiveError, match="does not answer"):
        _plan(server, tmp_path)


@pytest.mark.parametrize(
    "href",
    [
        "file:///etc/hostname",
        "/etc/hostname",
        "ftp://127.0.0.1/a.tif",
        "/vsicurl/http://127.0.0.1:9/a.tif",
        "../../a.tif",
    ],
)
def test_only_addresses_of_the_net_are_opened(server: StacServer, tmp_path: Path, href: str) -> None:
    item = _item(server)
    item["assets"]["B06"]["href"] = href
    fetched = fetch(_plan(server, tmp_path), retries=0)
    assert "B06" in fetched.failed[item["id"]]
    assert _written(tmp_path) == {"20190704"}


def test_a_local_file_is_never_read_for_a_catalogue(server: StacServer, tmp_path: Path) -> None:
    """A catalogue that names a raster of this machine does not get it into the study."""
    item = _item(server)
    path = next(path for path in server.files if f"{SECOND}T105621_B06" in path)
    local = tmp_path / "private.tif"
    local.write_bytes(server.files[path])
    folder = tmp_path / "XX-Tst"
    for href in (f"file://{local}", str(local), f"/vsigzip/{local}"):
        item["assets"]["B06"]["href"] = href
        assert item["id"] in fetch(_plan(server, folder), retries=0).failed, href


@pytest.mark.parametrize("name", ["../../escape", "/tmp/escape", "a\\..\\b", "..", "a\x00b", "x" * 300])  # noqa: S108
def test_names_of_items_cannot_leave_the_folder(server: StacServer, tmp_path: Path, name: str) -> None:
    item = _item(server)
    item["id"] = name
    folder = tmp_path / "satellite" / "XX-Tst"
    fetched = fetch(_plan(server, folder))
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} == {folder}
    if not fetched.failed:
        assert open_cube(folder).sizes["time"] == len(DAYS)
        again = fetch(_plan(server, folder))
        assert (len(again.written), len(again.already)) == (0, len(DAYS))


def test_a_damaged_manifest_is_told_and_a_lost_one_made_anew(server: StacServer, tmp_path: Path) -> None:
    fetch(_plan(server, tmp_path))
    manifest = tmp_path / "fetch.json"
    whole = json.loads(manifest.read_text())
    manifest.write_text(manifest.read_text()[:50])
    with pytest.raises(FileError, match=r"fetch\.json"):
        fetch(_plan(server, tmp_path))
    manifest.unlink()
    server.forget()
    again = fetch(_plan(server, tmp_path))
    assert (len(again.written), len(again.already)) == (0, len(DAYS))
    assert server.asked("sentinel2-l2") == 0
    anew = json.loads(manifest.read_text())
    for entry in (*whole["files"].values(), *anew["files"].values()):
        entry.pop("fetched", None)  # when: known to the manifest alone
    assert anew == whole


def test_a_damaged_file_is_fetched_again(server: StacServer, tmp_path: Path) -> None:
    fetch(_plan(server, tmp_path))
    (path,) = tmp_path.glob(f"*{SECOND}*.nc")
    path.write_bytes(path.read_bytes()[:5000])
    again = fetch(_plan(server, tmp_path))
    assert len(again.written) == 1
    assert open_cube(tmp_path).sizes["time"] == len(DAYS)


def test_without_the_keys_of_an_archive_it_is_not_asked(
    server: StacServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    server.items.clear()
    server.add(*archives.copernicus(scene(4, tile_of(FIELD)), server.url))
    with pytest.raises((ArchiveError, ConfigError), match="AWS_ACCESS_KEY_ID"):
        run(FIELD, tmp_path, provider("copernicus", server))


def test_an_interrupted_fetch_keeps_what_it_has(server: StacServer, tmp_path: Path) -> None:
    def interrupt(scene: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(_plan(server, tmp_path), workers=1, progress=interrupt)
    held = _written(tmp_path)
    assert held
    assert _only_whole_files(tmp_path)
    server.forget()
    again = fetch(_plan(server, tmp_path))
    assert (len(again.already), len(again.written)) == (len(held), len(DAYS) - len(held))
    assert not any(server.asked(f"{stamp}T") for stamp in held)


def test_several_workers_write_what_one_does(server: StacServer, tmp_path: Path) -> None:
    one, many = (run(FIELD, tmp_path / str(n), provider("planetary-computer", server), workers=n)[1] for n in (1, 2))
    assert sorted(path.name for path in map(Path, one.written)) == sorted(path.name for path in map(Path, many.written))
    noted = [json.loads((tmp_path / n / "fetch.json").read_text()) for n in ("1", "2")]
    assert json.dumps(noted[0], sort_keys=True).count('"item"') == json.dumps(noted[1], sort_keys=True).count('"item"')
    assert np.array_equal(open_cube(tmp_path / "1").values, open_cube(tmp_path / "2").values)
