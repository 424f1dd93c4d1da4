"""The table of archives, and what is asked of them and how: tokens, patience, granule metadata, the choice of tiles."""

from __future__ import annotations

import contextlib
import json
import math
import socket
import sys
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pystac
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from ecoembed.archives.stac import PROVIDERS, SiteGrid, fetch, get_provider, plan_fetch, transport
from ecoembed.archives.stac.access import address
from ecoembed.archives.stac.angles import angles
from ecoembed.archives.stac.estimate import bytes_of
from ecoembed.archives.stac.providers import collection_of
from ecoembed.archives.stac.scenes import Scene, needed
from ecoembed.archives.stac.transport import PassingError, Patience, UnreachableError, bare, request
from ecoembed.errors import ArchiveError, ConfigError, GridError, ProductError
from ecoembed.sensors import get_sensor
from tests.archives import stac_archives as archives
from tests.archives.stac_places import FIELD, YEAR, provider, scene, tile_of
from tests.archives.stac_server import StacServer

# --- the table


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_has_all_bands_of_its_sensors(name: str) -> None:
    for sensor, collection in PROVIDERS[name].collections.items():
        known = get_sensor(sensor)
        assert set(collection.assets) == {*known.band_names, *([known.quality] if known.quality else [])}
        keys = [key for spellings in collection.assets.values() for key in spellings]
        assert len(keys) == len(set(keys))  # no asset is taken for two bands
        assert np.can_cast(np.min_scalar_type(collection.nodata), np.float64)


def test_only_one_archive_has_terrain_corrected_radar_and_the_others_say_who() -> None:
    assert [name for name, one in PROVIDERS.items() if "S1" in one.collections] == ["planetary-computer"]
    for name in set(PROVIDERS) - {"planetary-computer"}:
        with pytest.raises(ConfigError, match="planetary-computer"):
            collection_of(PROVIDERS[name], "S1")


def test_names_and_addresses() -> None:
    with pytest.raises(ConfigError, match="planetary-computer"):
        get_provider("planetary-computr")
    assert get_provider("https://stac.dataspace.copernicus.eu/v1/") is PROVIDERS["copernicus"]
    for wrong in ("file:///etc/passwd", "ftp://x.org", "https://"):
        with pytest.raises(ConfigError):
            get_provider(wrong)
    assert get_provider("https://me:secret@x.org/stac").name == "x.org"


# --- tokens


def test_blob_addresses_are_signed_with_one_token_and_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from planetary_computer import sas
    from planetary_computer.settings import Settings

    soon = datetime.now(UTC) + timedelta(hours=1)
    token = {"msft:expiry": f"{soon:%Y-%m-%dT%H:%M:%SZ}", "token": "se=1&sig=SECRET"}
    with StacServer() as server:
        server.files["/token/sentinel2l2a01/sentinel2-l2"] = json.dumps(token).encode()
        server.fault("/token", "status", status=429, retry_after="0", times=1)
        monkeypatch.setattr(Settings, "get", classmethod(lambda cls: Settings(sas_url=f"{server.url}/token")))
        monkeypatch.setattr(sas, "TOKEN_CACHE", {})
        blob = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/33/U/B02.tif"
        pc = PROVIDERS["planetary-computer"]
        for _ in range(3):
            assert address(blob, pc, Patience(1)) == f"{blob}?se=1&sig=SECRET"
        assert server.asked("/token") == 2  # the second try, and then never again
        assert address(f"{server.url}/B02.tif", pc, Patience(1)) == f"{server.url}/B02.tif"
        assert address(blob, PROVIDERS["earth-search"], Patience(1)) == blob
        with pytest.raises(ArchiveError, match="PC_SDK_SUBSCRIPTION_KEY"):  # a container without a token: 404
            address(blob.replace("sentinel2-l2", "other"), pc, Patience(1))
    assert bare(f"failed: {blob}?se=1&sig=SECRET, again") == f"failed: {blob}, again"


@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=8), st.sampled_from([" ", "'", '"', ", ", ""]))
def test_no_signature_survives(secret: str, after: str) -> None:
    before = "cannot open 'https://a.org/b.tif"
    assert bare(f"{before}?sig={secret}&x={secret}{after}") == before + after


# --- patience


def test_waits_double_and_are_as_long_as_the_archive_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    stop = threading.Event()
    monkeypatch.setattr(stop, "wait", waited.append)
    monkeypatch.setattr(transport, "FIRST_WAIT", 1.0)

    def fail(wait: float | None) -> None:
        raise PassingError("HTTP 503", wait)

    with pytest.raises(UnreachableError, match="5 tries"):
        Patience(4, stop).ask(lambda: fail(None), "x")
    assert len(waited) == 4
    assert all(0.5 * 2**n <= wait <= 1.5 * 2**n for n, wait in enumerate(waited))
    waited.clear()
    with pytest.raises(UnreachableError):
        Patience(2, stop).ask(lambda: fail(7.0), "x")
    assert waited == [7.0, 7.0]
    with pytest.raises(UnreachableError, match="asks to wait 3600 s"):
        Patience(2, stop).ask(lambda: fail(3600.0), "x")
    assert waited == [7.0, 7.0]


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None), (None, None)]
)
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    with StacServer() as server:
        server.fault("/x", "status", status=429, retry_after=header)
        with pytest.raises(PassingError) as error:
            request("GET", f"{server.url}/x")
    assert error.value.wait == seconds


def test_answers_are_limited_in_length_and_refusals_are_final() -> None:
    with StacServer() as server:
        server.files["/long"] = bytes(3 << 20)
        assert len(request("GET", f"{server.url}/long")) == 3 << 20
        with pytest.raises(ArchiveError, match="too long"):
            request("GET", f"{server.url}/long", limit=1 << 20)
        server.fault("/long", "cut")
        with pytest.raises(PassingError):
            request("GET", f"{server.url}/long")
        with pytest.raises(ArchiveError, match="HTTP 404"):
            request("GET", f"{server.url}/absent?token=SECRET")
    with pytest.raises(ArchiveError, match="not fetched"):
        request("GET", "file:///etc/passwd")


def test_an_archive_that_falls_silent_is_not_asked_for_every_scene(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(transport, "FIRST_WAIT", 0.01)
    with StacServer(page=50) as server:
        for day in range(1, 17):
            server.add(*archives.planetary_computer(scene(day, tile_of(FIELD)), server.url))
        plan = plan_fetch(FIELD, tmp_path, *YEAR, provider=provider("planetary-computer", server), sensors=("S2_L2A",))
        server.fault(".tif", "status", status=503)
        fetched = fetch(plan, workers=2, retries=1)
        silent = [reason for reason in fetched.failed.values() if "stopped answering" in reason]
        assert len(fetched.failed) == 16
        assert len(silent) >= 4  # after eight in a row, and what was under way
        server.faults.clear()
        again = fetch(plan)
        assert (len(again.written), again.failed) == (16, {})


# --- granule metadata


def _granule(rng: np.random.Generator, left: float, top: float, epsg: int) -> bytes:
    """MTD_TL.xml with angle grids of 13 bands and three detectors that do not see everything."""

    def grid(values: np.ndarray) -> str:
        rows = "".join(
            f"<VALUES>{' '.join('NaN' if np.isnan(v) else f'{v:.4f}' for v in row)}</VALUES>" for row in values
        )
        return f'<COL_STEP unit="m">5000</COL_STEP><ROW_STEP unit="m">5000</ROW_STEP><Values_List>{rows}</Values_List>'

    text = f"<Sun_Angles_Grid><Zenith>{grid(40 + rng.random((23, 23)))}</Zenith>"
    text += f"<Azimuth>{grid(150 + rng.random((23, 23)))}</Azimuth></Sun_Angles_Grid>"
    for band in range(13):
        for detector in range(3):
            unseen = np.abs(np.arange(23) - 4 - 7 * detector) > 5
            zenith, azimuth = 5 + 3 * rng.random((23, 23)), 100 + 2 * rng.random((23, 23))
            zenith[:, unseen] = azimuth[:, unseen] = np.nan
            text += (
                f'<Viewing_Incidence_Angles_Grids bandId="{band}" detectorId="{detector + 1}"><Zenith>{grid(zenith)}'
            )
            text += f"</Zenith><Azimuth>{grid(azimuth)}</Azimuth></Viewing_Incidence_Angles_Grids>"
    size = "".join(
        f'<Geoposition resolution="{step}"><ULX>{left:.0f}</ULX><ULY>{top:.0f}</ULY></Geoposition>'
        for step in (10, 20, 60)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?><n1:Level-2A_Tile_ID '
        'xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-2A_Tile_Metadata.xsd"><n1:Geometric_Info>'
        f"<Tile_Geocoding><HORIZONTAL_CS_CODE>EPSG:{epsg}</HORIZONTAL_CS_CODE>{size}</Tile_Geocoding>"
        f"<Tile_Angles>{text}</Tile_Angles></n1:Geometric_Info></n1:Level-2A_Tile_ID>"
    ).encode()


def test_angles_at_the_tower_are_those_that_sen2nbar_reads(tmp_path: Path) -> None:
    sen2nbar = pytest.importorskip("sen2nbar.metadata")
    left, top = float(FIELD.x[0] - 42_000), float(FIELD.y[0] + 63_000)
    text = _granule(np.random.default_rng(3), left, top, FIELD.epsg)
    (tmp_path / "MTD_TL.xml").write_bytes(text)
    theirs = sen2nbar.angles_from_metadata(str(tmp_path / "MTD_TL.xml"))
    row, column = round((top - FIELD.y.mean()) / 5000), round((FIELD.x.mean() - left) / 5000)
    at = theirs.isel(y=row, x=column)
    ours = angles(text, FIELD.latitude, FIELD.longitude)
    views = at.sel(band=[name for name in at["band"].values if name != "Sun"]).mean("band")
    assert ours["sunZenithAngles"] == pytest.approx(float(at.sel(band="Sun", angle="Zenith")), abs=1e-9)
    assert ours["sunAzimuthAngles"] == pytest.approx(float(at.sel(band="Sun", angle="Azimuth")), abs=1e-9)
    assert ours["viewZenithMean"] == pytest.approx(float(views.sel(angle="Zenith")), abs=1e-9)
    assert ours["viewAzimuthMean"] == pytest.approx(float(views.sel(angle="Azimuth")), abs=0.01)


def test_azimuths_are_averaged_as_directions() -> None:
    view = "".join(
        f"<Mean_Viewing_Incidence_Angle><ZENITH_ANGLE>4</ZENITH_ANGLE><AZIMUTH_ANGLE>{azimuth}</AZIMUTH_ANGLE>"
        "</Mean_Viewing_Incidence_Angle>"
        for azimuth in (358, 2, 0)
    )
    sun = "<Mean_Sun_Angle><ZENITH_ANGLE>30</ZENITH_ANGLE><AZIMUTH_ANGLE>160</AZIMUTH_ANGLE></Mean_Sun_Angle>"
    views = f"<Mean_Viewing_Incidence_Angle_List>{view}</Mean_Viewing_Incidence_Angle_List>"
    found = angles(f"<a><Tile_Angles>{sun}{views}</Tile_Angles></a>".encode(), 50, 3)
    assert math.cos(math.radians(found["viewAzimuthMean"])) == pytest.approx(1.0)
    assert (found["viewZenithMean"], found["sunAzimuthAngles"]) == pytest.approx((4, 160))


LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><a><Tile_Angles>&b;</Tile_Angles></a>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a><Tile_Angles>&x;</Tile_Angles></a>'


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS.encode(),
        OUTSIDE.encode(),
        f'<?xml version="1.0" encoding="UTF-16"?>{LAUGHS}'.encode("utf-16"),
        f'<?xml version="1.0" encoding="cp037"?>{LAUGHS}'.encode("cp037"),
        b"<html><body>Not found</body></html>",
        b"<a><Tile_Angles/></a>",
        b"<a><Tile_Angles><Mean_Sun_Angle><ZENITH_ANGLE>x</ZENITH_ANGLE></Mean_Sun_Angle></Tile_Angles></a>",
        b"<a><Tile_Angles>",
        b"",
    ],
)
def test_metadata_of_strangers_are_refused(text: bytes) -> None:
    with pytest.raises(ProductError):
        angles(text, 50.0, 3.0)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_an_error_of_ours(text: bytes) -> None:
    with pytest.raises(ProductError):
        angles(text, 50.0, 3.0)


# --- tiles of a pass, and what they cost


def _scene(name: str, minute: float, outline: object, epsg: int, baseline: str) -> Scene:
    taken = datetime(2020, 7, 1, 10, tzinfo=UTC) + timedelta(minutes=minute)
    properties = {"proj:code": f"EPSG:{epsg}", "s2:processing_baseline": baseline, "platform": "sentinel-2a"}
    return Scene("S2_L2A", pystac.Item(name, None, None, taken, properties), outline)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_tiles_kept_show_all_that_any_shows_and_none_is_idle(data: st.DataObject) -> None:
    left, bottom, right, top = FIELD.bounds
    share = st.integers(0, 24)
    found = []
    for n in range(data.draw(st.integers(1, 6))):
        x = sorted((data.draw(share), data.draw(share)))
        y = sorted((data.draw(share), data.draw(share)))
        outline = box(left + 10 * x[0], bottom + 10 * y[0], left + 10 * (x[1] + 1), bottom + 10 * (y[1] + 1))
        outline = outline.intersection(box(left, bottom, right, top))
        if outline.area < 100:
            continue
        epsg = data.draw(st.sampled_from([32631, 32632]))
        found.append(_scene(f"T{n}", data.draw(st.sampled_from([0, 3, 100])), outline, epsg, "05.10"))
    if not found:
        return
    found = sorted(found, key=lambda one: (one.time, one.id))
    kept, skipped = needed(found, FIELD)
    assert len(kept) + sum(skipped.values()) == len(found)
    for first, last in ((0, 50), (50, 200)):
        start = datetime(2020, 7, 1, 10, tzinfo=UTC)
        pass_of = [one for one in found if first <= (one.time - start).total_seconds() / 60 < last]
        mine = [one for one in kept if one in pass_of]
        everything = shapely.union_all([one.footprint for one in pass_of])
        assert everything.difference(shapely.union_all([one.footprint for one in mine])).area < 100 * len(found)


def test_of_a_pass_the_own_zone_and_the_newest_processing_come_first() -> None:
    window = box(*FIELD.bounds)
    found = [_scene("old", 0, window, 32631, "02.09"), _scene("new", 0, window, 32631, "05.00")]
    found += [_scene("next zone", 0, window, 32632, "05.11"), _scene("next pass", 60, window, 32632, "05.11")]
    kept, skipped = needed(found, FIELD)
    assert [one.id for one in kept] == ["new", "next pass"]
    assert sum(skipped.values()) == 2


@pytest.mark.parametrize(
    ("id_", "same"), [("S2A_T31UDS", True), ("../../etc/x", False), ("a" * 500, False), ("é", False)]
)
def test_file_names_are_plain_and_distinct(id_: str, same: bool) -> None:
    one = _scene(id_, 0, box(*FIELD.bounds), 32631, "05.00")
    assert set(one.file) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
    assert len(one.file) < 160
    assert (f"_{id_}.nc" in one.file) == same
    assert one.file != _scene(id_ + "é", 0, box(*FIELD.bounds), 32631, "05.00").file


def test_a_window_over_more_inner_tiles_costs_more() -> None:
    collection = PROVIDERS["planetary-computer"].collections["S2_L2A"]

    def cost(east: float) -> int:
        one = _scene("T", 0, box(*FIELD.bounds), FIELD.epsg, "05.00")
        corner = [10.0, 0.0, float(FIELD.x[0] - 5 - east), 0.0, -10.0, float(FIELD.y[0] + 5 + 100)]
        one.item.properties["proj:transform"] = corner
        return bytes_of(one, FIELD, collection)

    inside, across = cost(100), cost(5120 - 100)  # the latter over an edge of the 10 m bands' inner tiles
    assert across - inside == 4 * 512 * 512 * 2


def test_a_grid_that_is_none_is_refused() -> None:
    with pytest.raises(GridError):
        SiteGrid("XX-Tst", 50.0, 3.0, 32631, np.arange(5.0, 100, 20), FIELD.y)
    with pytest.raises(GridError):
        SiteGrid("XX-Tst", 50.0, 3.0, 32631, FIELD.x, FIELD.y[::-1])


def test_a_period_that_ends_before_it_begins_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ends before"):
        plan_fetch(FIELD, tmp_path, date(2020, 2, 1), date(2020, 1, 1))


def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pystac_client", None)
    with pytest.raises(ConfigError, match=r"ecoembed\[cloud\]"):
        plan_fetch(FIELD, tmp_path, *YEAR)


def test_a_request_ends_in_time_though_bytes_keep_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "TIMEOUT", 0.5)

    dripped: list[bool] = []

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n")
        with contextlib.suppress(OSError):  # whoever asked has hung up
            for _ in range(300):
                time.sleep(0.1)
                connection.sendall(b"x" * 70_000)
                dripped.append(True)
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,), daemon=True)
        thread.start()
        with pytest.raises(PassingError, match="no whole answer"):
            request("GET", f"http://127.0.0.1:{listening.getsockname()[1]}/x")
        thread.join(60)
        assert len(dripped) < 300


def test_where_nobody_lets_us_in_little_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue that is full drops what comes, as a firewall does."""
    monkeypatch.setattr(transport, "CONNECT", 0.3)
    with socket.socket() as full, contextlib.ExitStack() as queue:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        with pytest.raises(PassingError, match=r"no connection within 0\.3 s"):
            request("GET", f"http://127.0.0.1:{full.getsockname()[1]}/stac")
