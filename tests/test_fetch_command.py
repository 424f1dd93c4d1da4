"""`ecoembed fetch` as a user meets it: a study's towers, a catalogue, and what `ecoembed run` then finds."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pystac_client", reason="the extra `cloud` is not installed")

from ecoembed import open_study
from ecoembed.archives.stac import SiteGrid, UnreachableError, transport
from ecoembed.cubes.grid import site_grid
from ecoembed.errors import ConfigError
from tests.archives import stac_archives as archives
from tests.archives import stac_products as products
from tests.archives.stac_places import scene, tile_of
from tests.archives.stac_server import StacServer

from .study_helpers import answer, refused, run_cli, snapshot

SITES = ("XX-V01", "XX-V02")


@pytest.fixture
def server():
    with StacServer() as server:
        yield server


@pytest.fixture
def study(network: Path, tmp_path: Path, server: StacServer) -> Path:
    """Two towers with fluxes of 2019 and no image; the catalogue holds two dates of each."""
    folder = tmp_path / "study"
    shutil.copytree(network, folder, ignore=shutil.ignore_patterns("satellite", "truth"))
    table = (folder / "sites.csv").read_text().splitlines()
    (folder / "sites.csv").write_text("\n".join(table[:3]) + "\n")
    (folder / "study.toml").write_text(
        f'[satellite]\nprovider = "{server.url}"\nradar_provider = "{server.url}"\nsize = 24\n'
    )
    sites = open_study(folder).sites
    for site in SITES:
        latitude, longitude = (float(sites.loc[site, axis]) for axis in ("latitude", "longitude"))
        where = SiteGrid(site, latitude, longitude, *site_grid(latitude, longitude, 24))
        tile = tile_of(where, {"XX-V01": "31UDS", "XX-V02": "32UPU"}[site])
        for day in (4, 9):
            server.add(*archives.planetary_computer(scene(day, tile, baseline="05.10"), server.url))
        server.add(*archives.radar(products.Radar(tile, datetime(2019, 7, 5, 17, 33, int(site[-1]))), server.url))
    return folder


def test_a_plan_fetches_nothing(study, server):
    before = snapshot(study / "flux")
    done = run_cli("fetch", study, "--plan", "--json")
    said = answer(done)
    assert not said["failures"]
    for site in SITES:
        assert len(said["sites"][site]["missing"]) == 3
        assert said["sites"][site]["bytes"] > 0
        assert f"{site}: 2 of S2_L2A, 1 of S1" in done.stderr
        assert "2019-01-01" not in done.stderr  # the look-back of a causal window comes before the tower's first day
    assert not (study / "satellite").exists()
    assert snapshot(study / "flux") == before
    assert server.asked(".tif") == 0


def test_what_is_fetched_becomes_cubes(study, server):
    done = run_cli("fetch", study)
    assert done.returncode == 0, done.stderr
    for site in SITES:
        assert f"{site}: 3 fetched, 0 here already, 0 failed" in done.stdout
        manifest = json.loads((study / "satellite" / site / "fetch.json").read_text())
        assert {entry["sensor"] for entry in manifest["files"].values()} == {"S2_L2A", "S1"}
    from ecoembed.stages import build_cubes

    opened = open_study(study)
    for site in SITES:
        build_cubes(opened.folder, site, opened.config)
        cube = opened.cube(site)
        assert cube.sizes["time"] == 2
        assert cube.attrs["site"] == site
        row = opened.sites.loc[site]
        assert np.allclose(cube["x"], site_grid(row["latitude"], row["longitude"], 24)[1])
    server.forget()
    again = run_cli("fetch", study, "--sites", "XX-V02", "--json")
    assert answer(again)["sites"]["XX-V02"]["already"]
    assert server.asked(".tif") == 0


def test_a_site_that_fails_is_told_and_the_other_goes_on(study, server):
    flux = next((study / "flux").glob("*XX-V01*"))
    flux.unlink()
    server.fault("20190709T105621_B05", "status", status=404)
    done = run_cli("fetch", study)
    assert done.returncode == 1
    assert "FAILED XX-V01: FileError: XX-V01" in done.stderr
    assert "FAILED XX-V02 " in done.stderr
    assert "B05" in done.stderr
    assert "XX-V02: 2 fetched" in done.stdout
    assert "Traceback" not in done.stderr
    server.faults.clear()
    assert run_cli("fetch", study, "--sites", "XX-V02").returncode == 0


def test_wrong_requests_end_in_one_line(study):
    refused(run_cli("fetch", study, "--sites", "XX-V09"), "XX-V09", "XX-V01")
    config = (study / "study.toml").read_text()
    (study / "study.toml").write_text('[satellite]\nprovider = "planetary-compute"\n')
    refused(run_cli("fetch", study), "planetary-compute", "Did you mean 'planetary-computer'?")
    (study / "study.toml").write_text(config + "start = 2020-02-01\nend = 2020-01-01\n")
    refused(run_cli("fetch", study), "study.toml", "satellite.start", "2020-02-01 to 2020-01-01")
    (study / "study.toml").write_text('[satellite]\nradar_provider = "earth-search"\n')
    refused(run_cli("fetch", study), "study.toml, satellite.radar_provider", "planetary-computer")
    (study / "study.toml").write_text("[satellite]\nsize = 33\n")
    refused(run_cli("fetch", study), "satellite.size", "found 33", "an even number of 10 m pixels")


def test_without_a_connection_one_line_and_one_site_asked(study):
    """Refused connections, four waits in all: not those of every site."""
    (study / "study.toml").write_text('[satellite]\nprovider = "http://127.0.0.1:9"\n')
    done = run_cli("fetch", study)
    refused(done, "http://127.0.0.1:9", "the archive does not answer", "connection")
    assert "XX-V02" not in done.stderr


def test_an_archive_that_falls_silent_is_not_asked_for_every_site(study, server, monkeypatch):
    monkeypatch.setattr(transport, "FIRST_WAIT", 0.001)
    opened = open_study(study)
    found = opened.plan_fetch(["XX-V01", *["XX-V02"] * 9])
    assert isinstance(next(found)[1], list)
    server.fault("/", "status", status=503)
    assert isinstance(next(found)[1], UnreachableError)
    with pytest.raises(UnreachableError):
        next(found)


def test_without_the_extra_one_line_says_what_to_install(study, monkeypatch):
    monkeypatch.setitem(sys.modules, "odc.stac", None)
    with pytest.raises(ConfigError, match=r"no odc.stac.*pip install 'ecoembed\[cloud\]'"):
        next(open_study(study).plan_fetch())


def test_a_full_disk_ends_in_one_line_and_goes_on_later(study, server):
    """The largest file that this process may write is smaller than an image."""
    resource = pytest.importorskip("resource")
    program = f"import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (20_000, {resource.RLIM_INFINITY}))\n"
    program += "from ecoembed.cli import main; main()"
    run_cli("fetch", study, "--plan")  # the flux table is there
    done = subprocess.run([sys.executable, "-c", program, "fetch", str(study)], capture_output=True, text=True)
    refused(done, "satellite/XX-V01/", "cannot be written", "Make room")
    assert not list((study / "satellite").rglob("*.part*"))
    assert run_cli("fetch", study).returncode == 0


def test_what_stands_in_the_way_is_named(study):
    (study / "satellite").touch()
    refused(run_cli("fetch", study), "satellite/XX-V01/fetch.json: cannot be written", "Not a directory")


def test_a_plan_says_what_all_sites_take_together(study):
    assert "In all: 6 to fetch, at most " in run_cli("fetch", study, "--plan").stderr
    done = run_cli("fetch", study, "--plan", "--sites", "XX-V01")
    assert "from the STAC API of 127.0.0.1:" in done.stderr
