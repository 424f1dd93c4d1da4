"""The command line as a user meets it: help with an example, JSON, exit codes, no tracebacks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ecoembed.cli.app import as_text
from ecoembed.cubes.store import load_cube

from .study_helpers import answer, refused, run_cli, snapshot

COMMANDS = ("run", "fetch", "flux", "sites", "footprint", "cube", "pretrain", "embed", "extract", "benchmark")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    done = run_cli(command, "--help")
    assert done.returncode == 0
    assert f"Example: ecoembed {command}" in " ".join(done.stdout.split())


def test_help_imports_nothing_heavy():
    code = (
        "import sys, ecoembed.cli\n"
        "try: ecoembed.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'xarray', 'pandas', 'geopandas', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_json_holds_no_number_that_is_not_finite():
    said = as_text({"r2": float("nan"), "rows": [{"low": -np.inf, "n": 3}], "out": Path("a.csv")})
    assert json.loads(said, parse_constant=pytest.fail) == {"r2": None, "rows": [{"low": None, "n": 3}], "out": "a.csv"}


@pytest.fixture(scope="module")
def tower(network: Path) -> Path:
    return next((network / "flux").glob("*XX-V01*"))


def test_flux(tower):
    said = answer(run_cli("flux", tower, "--json"))
    assert said["site"] == "XX-V01"
    assert said["units"] == "gC m-2 d-1"
    rows = said["rows"]
    assert rows["in"] == 365
    assert rows["in"] == sum(v for k, v in rows.items() if k != "in")
    assert f"{rows['out']:8d}  out" in run_cli("flux", tower).stdout


def test_the_chain_by_hand(network, tower, tmp_path):
    """cube -> pretrain -> embed -> extract, each reading what the one before wrote."""
    stores = []
    for site in ("XX-V01", "XX-V02"):
        stores.append(tmp_path / f"{site}.zarr")
        said = answer(run_cli("cube", network / "satellite" / site, "--out", stores[-1], "--json"))
        assert said["S2_L2A"]["band"] == 10
        assert said["S1"]["units"] == "dB"
    weights = tmp_path / "mine.safetensors"
    card = answer(run_cli("pretrain", *stores, "--out", weights, "--steps", 2, "--validation", 1, "--json"))["card"]
    assert [p["role"] for p in card["places"]].count("validation") == 1
    z = tmp_path / "z.zarr"
    assert answer(run_cli("embed", stores[0], "--out", z, "--weights", weights, "--json"))["band"] == 7
    out = tmp_path / "z.csv"
    where = ("--sites", network / "sites.csv", "--site", "XX-V01", "--flux", tower)
    said = answer(run_cli("extract", z, "--group", "embeddings", *where, "--out", out, "--json"))
    table = pd.read_csv(out)
    assert list(table.columns) == ["time", *(f"z{i}" for i in range(1, 8)), "coverage"]
    assert len(table) == said["dates"]
    assert 0 < said["footprint"]["inside"] <= 1


def test_run_prints_scores_and_the_report(finished, tmp_path):
    folder = Path(shutil.copytree(finished, tmp_path / "study"))
    done = run_cli("run", folder)
    assert done.returncode == 0, done.stderr
    assert "pooled scores, unseen-site" in done.stdout
    assert "embeddings:random" in done.stdout
    report = Path(done.stdout.rsplit("Report: ", 1)[1].strip().replace("\n", ""))
    assert report.is_file()


def test_run_exits_with_1_and_lists_the_site_that_failed(finished, tmp_path):
    folder = Path(shutil.copytree(finished, tmp_path / "study"))
    next((folder / "flux").glob("*XX-V02*")).unlink()
    done = run_cli("run", folder, "--json")
    assert done.returncode == 1
    assert "FAILED XX-V02: FileError" in done.stderr
    assert '"XX-V02"' in done.stdout


def test_bad_input_is_refused_and_changes_nothing(network, tower, finished, tmp_path):
    """One clear typed error, exit code 2, and every existing file as it was."""
    from ecoembed.embeddings.weights import default_weights

    folder = Path(shutil.copytree(finished, tmp_path / "study"))
    (tmp_path / "old.csv").write_text("old")
    (tmp_path / "old.safetensors").write_text("old")
    half = tmp_path / tower.name
    half.write_bytes(tower.read_bytes()[:5000])
    other = tmp_path / "AMF_US-Tw3_BASE_HH_5-5.csv"
    other.write_text(
        "# Site: US-Tw3\n# Version: 5-5\nTIMESTAMP_START,TIMESTAMP_END,FC\n201301010000,201301010030,-9999\n"
    )
    place = tmp_path / "place"
    shutil.copytree(network / "satellite" / "XX-V01", place)
    next(place.glob("S2_L2A_20m*")).unlink()
    toml = tmp_path / "b.toml"
    toml.write_text('target = "GPP"\nregresors = ["ridge"]\n[features]\na = ["b"]\n')
    far = tmp_path / "far.csv"
    sites = pd.read_csv(network / "sites.csv", dtype=str)
    sites["longitude"] = (sites["longitude"].astype(float) + 1).astype(str)
    sites.to_csv(far, index=False)
    (folder / "study.toml").write_text("[study]\nseeds = 1\n")
    cubes = folder / "cubes" / "XX-V01.zarr"
    before = snapshot(tmp_path)

    refused(run_cli("flux", half), "FileError", half.name)
    refused(run_cli("flux", other), "VariableError", "GPP_NT_VUT_REF absent", "made here")
    refused(run_cli("flux", tower, "--target", "GPP_NT_VUT_REFF"), "VariableError", "GPP_NT_VUT_REF")
    refused(run_cli("flux", tmp_path / "absent.zip"), "FileError", "absent.zip")
    refused(run_cli("cube", place, "--out", tmp_path / "c.zarr"), "VariableError", "bands absent")
    refused(
        run_cli("extract", cubes, "--sites", far, "--site", "XX-V01", "--out", tmp_path / "old.csv"), "GridError", " m"
    )
    refused(
        run_cli("extract", cubes, "--sites", far, "--site", "XX-V01", "--out", far), "FileError", "one of the inputs"
    )
    refused(run_cli("run", folder), "ConfigError", "study: unknown key", "'seed'")
    refused(run_cli("run", tmp_path / "nowhere"), "FileError", "study.toml")
    refused(run_cli("embed", cubes, "--out", tmp_path / "z.zarr", "--weights", half), "WeightsError")
    refused(run_cli("embed", cubes, "--out", cubes / "z"), "FileError", "lies in one of the inputs")
    refused(run_cli("pretrain", place, "--out", tmp_path / "old.safetensors"), "FileError")
    refused(run_cli("benchmark", far, "--config", toml, "--out", tmp_path / "b"), "ConfigError", "regresors")
    refused(run_cli("embed", cubes, "--out", default_weights(), "--window", "sideways"))
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("--radius", "-5"), ("FootprintError", "radius", "-5")),
        (("--period", "month"), ("ConfigError", "a disc is the same in every period", "month")),
        (("--model", "disc", "--period", "overpass", "--flux", "own"), ("ConfigError", "overpass")),
        (("--flux", "other"), ("ProductError", "another site", "XX-V02")),
    ],
)
def test_a_footprint_that_cannot_be_had_as_asked_is_refused(finished, tmp_path, asked, says):
    """Never a disc in its place without a word."""
    files = {"own": "XX-V01", "other": "XX-V02"}
    asked = [next((finished / "flux").glob(f"*{files[a]}*")) if a in files else a for a in asked]
    where = ("--sites", finished / "sites.csv", "--site", "XX-V01", "--out", tmp_path / "out.csv")
    refused(run_cli("extract", finished / "cubes" / "XX-V01.zarr", *where, *asked), *says)
    assert not (tmp_path / "out.csv").exists()


def test_the_version_is_said():
    from ecoembed import __version__

    assert run_cli("--version").stdout.strip() == __version__


def test_the_public_names_are_there():
    import ecoembed

    for name in ecoembed.__all__:
        assert getattr(ecoembed, name) is not None
    assert set(ecoembed.__all__) <= set(dir(ecoembed))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ecoembed.nothing


def test_a_cloud_mask_of_ones_own_takes_the_place_of_the_classification(network, tmp_path):
    """A layer `cloudmask`, 0 where clear, in a file without SCL."""
    place = tmp_path / "place"
    shutil.copytree(network / "satellite" / "XX-V01", place)
    (path,) = place.glob("S2_L2A_20m_*")
    with xr.open_dataset(path, mask_and_scale=False) as data:
        scl = data["SCL"].load()
        cloudy = (scl.dims, (~np.isin(scl, [4, 5, 6])).astype("uint8"))
        own = data.drop_vars("SCL").assign(cloudmask=cloudy).load()
    path.unlink()
    own.to_netcdf(path)
    refused(run_cli("cube", place, "--out", tmp_path / "c.zarr"), "scene classification (SCL) absent")
    done = run_cli("cube", place, "--out", tmp_path / "c.zarr", "--mask", "learned", "--json")
    assert answer(done)["S2_L2A"]["time"] > 10
    assert load_cube(tmp_path / "c.zarr", "S2_L2A").attrs["mask"] == "learned"


def test_a_place_without_sentinel_1_is_built_and_embedded_and_says_so(network, tmp_path):
    place, store = tmp_path / "place", tmp_path / "c.zarr"
    shutil.copytree(network / "satellite" / "XX-V01", place, ignore=shutil.ignore_patterns("S1_*"))
    done = run_cli("cube", place, "--out", store)
    assert (done.returncode, "Without S1: no file of it" in " ".join(done.stdout.split())) == (0, True), done.stderr
    said = answer(run_cli("embed", store, "--out", tmp_path / "z.zarr", "--json"))
    assert (said["without"], said["band"]) == (["S1"], 7)
    far = run_cli("embed", store, "--out", tmp_path / "far.zarr", "--dates", "2019-07-01", "2029-07-01")
    assert "no acquisition is in reach: 1" in " ".join(far.stdout.split()), (far.stdout, far.stderr)
    refused(run_cli("cube", place, "--out", place / "c.zarr"), "FileError", "lies in one of the inputs")
    answer(run_cli("cube", network / "satellite" / "XX-V01", "--out", store, "--json"))
    before = snapshot(tmp_path)
    refused(run_cli("cube", place, "--out", store), "FileError", "holds S1 of an earlier run", "delete the store")
    assert snapshot(tmp_path) == before
