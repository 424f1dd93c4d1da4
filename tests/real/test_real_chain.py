"""The whole chain on the real Belgian place, by the command line: cube, pretrain, embed, extract."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ecoembed import extract, fixed_radius, load_encoder
from ecoembed.cubes.store import load_cube
from tests.study_helpers import answer, run_cli


@pytest.fixture(scope="module")
def store(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chain") / "belgium.zarr"
    said = answer(run_cli("cube", next((real / "cubes").glob("belgium_*")), "--out", path, "--json"))
    assert (said["S2_L2A"]["time"], said["S2_L2A"]["band"], said["S2_L2A"]["y"]) == (65, 10, 64)
    assert (said["S1"]["time"], said["S1"]["units"]) == (159, "dB")
    return path


def test_the_stores_are_zarr_version_3(store):

    for group in ("S2_L2A", "S1"):
        assert json.loads((store / group / "zarr.json").read_text())["zarr_format"] == 3


def test_pretrain_embed_extract(store, tmp_path):
    """A few steps on one place: learning is shown by the losses falling, no more."""
    weights, z, out = tmp_path / "w.safetensors", tmp_path / "z.zarr", tmp_path / "z.csv"
    card = answer(run_cli("pretrain", store, "--out", weights, "--steps", 40, "--json"))["card"]
    for curve in card["curves"].values():
        assert np.mean(curve["loss"][-3:]) < 0.9 * np.mean(curve["loss"][:3])
    assert "not_measured" in card["probes"]
    (place,) = card["places"]
    assert place["latitude"] == pytest.approx(50.8160, abs=1e-3)
    assert answer(run_cli("embed", store, "--weights", weights, "--out", z, "--json"))["time"] == 65
    sites = tmp_path / "sites.csv"
    sites.write_text(f"site_id,latitude,longitude\nBE-X,{place['latitude']:.6f},{place['longitude']:.6f}\n")
    where = ("--sites", sites, "--site", "BE-X", "--radius", 150, "--out", out)
    said = answer(run_cli("extract", z, "--group", "embeddings", *where, "--json"))
    assert said["footprint"]["inside"] == pytest.approx(1.0, abs=1e-6)
    table = pd.read_csv(out)
    assert len(table) == 65
    clear = table[table["coverage"] > 0.9]
    assert len(clear) > 30
    assert clear.drop(columns=["time", "coverage"]).notna().all(axis=None)


@pytest.fixture(scope="module")
def embedded(store) -> dict[str, xr.DataArray]:
    s2, s1 = load_cube(store, "S2_L2A"), load_cube(store, "S1")
    encoder = load_encoder()
    return {"s2": s2, "s1": s1, "centred": encoder.encode(s2, s1), "random": encoder.random(0).encode(s2, s1)}


def test_the_default_encoder_on_a_pixels_own_neighbourhood(embedded):
    s2, s1, whole = embedded["s2"], embedded["s1"], embedded["centred"]
    rng = np.random.default_rng(0)
    for t, y, x in zip(rng.integers(5, 66, 6), rng.integers(7, 57, 6), rng.integers(7, 57, 6), strict=True):
        radar = int(np.abs(s1["time"].values - s2["time"].values[t]).argmin())
        box = {"y": slice(y - 7, y + 8), "x": slice(x - 7, x + 8)}
        alone = load_encoder().encode(
            s2.isel(time=slice(t - 5, t + 6), **box), s1.isel(time=slice(max(radar - 5, 0), radar + 6), **box)
        )
        here = alone.sel(time=s2["time"].values[t], y=s2["y"].values[y], x=s2["x"].values[x])
        np.testing.assert_allclose(here.values, whole.values[t, :, y, x], atol=1e-5, equal_nan=True)


def test_bands_and_embeddings_pass_the_same_footprint(embedded):
    weights = fixed_radius(embedded["s2"], 100.0)
    series = {name: extract(embedded[name], weights) for name in ("s2", "centred", "random")}
    coverage = series["s2"]["coverage"].values
    for one in series.values():
        np.testing.assert_allclose(one["coverage"].values, coverage, atol=1e-12)
    assert (coverage > 0.5).sum() > 40
