"""A third sensor joins: the old encoders stay bit for bit, any sensor may be missing, and what it saw shows in z."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from safetensors.numpy import load_file
from sklearn.linear_model import RidgeCV

from ecoembed import load_encoder, pretrain
from ecoembed.cubes.store import load_cube, save_cubes
from ecoembed.embeddings.encode import Encoder
from ecoembed.embeddings.weights import default_weights
from ecoembed.errors import EcoembedError, WeightsError
from ecoembed.sensors import HLS, SENSORS
from ecoembed.stages import write_cubes
from ecoembed.virtual.network import write_network

from .conftest import make_cube

TWO, THREE = ("S2_L2A", "S1"), ("S2_L2A", "S1", "HLS")
Z = [f"z{i}" for i in range(1, 8)]
STEPS = 100


def cubes(seed: int) -> dict[str, xr.DataArray]:
    """A place of three sensors that pass every 5, 6 and 8 days; another seed, another place."""
    found = {
        "S2_L2A": make_cube("S2_L2A", seed=seed),
        "S1": make_cube("S1", n=26, every=6.0, cloud=0.0, seed=seed),
        "HLS": make_cube("HLS", n=20, every=8.0, seed=seed),
    }
    return {name: cube.assign_coords(x=cube["x"] + 10_000.0 * seed) for name, cube in found.items()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weights of two sensors, and those of three that kept them; hardly trained, at one place."""
    work = tmp_path_factory.mktemp("join")
    store, two, three = (work / name for name in ("XX-T00.zarr", "two.safetensors", "three.safetensors"))
    save_cubes(cubes(0), store)
    hardly_trained(store, two, sensors=TWO)
    hardly_trained(store, three, sensors=THREE, keep=two)
    return {"two": two, "three": three}


def hardly_trained(store: Path, out: Path, **choices: object) -> None:
    with pytest.warns(UserWarning, match="not calibrated"):  # no place is held out
        pretrain([store], out, steps=1, validation=0, **choices)


@pytest.fixture(scope="module")
def three(trained: dict[str, Path]) -> Encoder:
    return load_encoder(trained["three"])


@pytest.fixture(scope="module")
def place() -> dict[str, xr.DataArray]:
    return cubes(2)


def test_the_old_encoders_are_bit_identical(trained: dict[str, Path]) -> None:
    before, after = (load_file(trained[name]) for name in ("two", "three"))
    encoders = [name for name in before if name.startswith("encoders.")]
    assert {name.split(".")[1] for name in encoders} == set(TWO)
    for name in encoders:
        assert before[name].tobytes() == after[name].tobytes(), name
    assert {name.split(".")[1] for name in after if name.startswith("encoders.")} == set(THREE)
    fusion = {name for name in after if name.startswith("fusion.")}
    assert fusion - set(before)  # it is another one


def test_the_card_says_what_was_kept_and_trained(trained: dict[str, Path], three: Encoder) -> None:
    two = load_encoder(trained["two"])
    assert two.card.kept is None
    assert three.card.kept == two.weights
    assert tuple(three.card.sensors) == THREE
    for name in TWO:  # how values enter is part of an encoder
        assert three.card.sensors[name] == two.card.sensors[name]
    assert three.card.sensors["HLS"].bands == HLS.band_names
    assert set(three.card.steps) == {"HLS", "fusion"}
    assert set(two.card.steps) == {"S2_L2A", "S1", "fusion"}


def test_any_sensor_may_be_missing(three: Encoder, place: dict[str, xr.DataArray]) -> None:
    dates = place["S2_L2A"]["time"].values[3:28:4] + np.timedelta64(26, "h")  # none is a date of Sentinel-2
    found = {}
    for n in (1, 2, 3):
        for given in combinations(THREE, n):
            s2, s1 = (place[name] if name in given else None for name in TWO)
            more = [place[name] for name in given if name not in TWO]
            z = three.encode(s2, s1, more=more, dates=dates)
            assert z.sizes["time"] == len(dates)
            assert np.isfinite(z.values).all(), given
            found[given] = z.sel(band=Z).values
    assert len(found) == 7
    for one, other in combinations(found, 2):
        assert not np.allclose(found[one], found[other]), (one, other)


def test_the_embedding_says_how_far_each_sensor_was(three: Encoder, place: dict[str, xr.DataArray]) -> None:
    s2, s1, hls = place.values()
    z = three.encode(s2, s1, more=[hls])
    days = (hls["time"].values[None] - s2["time"].values[:, None]) / np.timedelta64(1, "D")
    nearest = np.take_along_axis(days, np.abs(days).argmin(axis=1)[:, None], axis=1)[:, 0]
    np.testing.assert_allclose(z["hls_gap"], nearest, atol=1e-4)
    assert np.isfinite(z["s1_gap"]).all()
    without = three.encode(s2, s1)
    assert "hls_gap" not in without.coords or np.isnan(without["hls_gap"]).all()


def test_a_causal_window_sees_no_later_pass_of_any_sensor(three: Encoder, place: dict[str, xr.DataArray]) -> None:
    s2, s1, hls = place.values()
    now = s2["time"].values[15]
    spoiled = [cube.where(cube["time"] <= now, other) for cube, other in ((s2, 0.9), (s1, -3.0), (hls, 0.9))]
    past = slice(None, 16)
    before = three.encode(s2, s1, more=[hls], window="causal")[past]
    after = three.encode(spoiled[0], spoiled[1], more=[spoiled[2]], window="causal")[past]
    np.testing.assert_array_equal(before, after)
    assert float(before["hls_gap"].max()) <= 0
    centred = [three.encode(s2, s1, more=[cube])[past] for cube in (hls, spoiled[2])]
    assert not np.allclose(*centred, equal_nan=True)  # the centred one does


def test_a_sensor_that_is_far_in_time_is_missing(three: Encoder, place: dict[str, xr.DataArray]) -> None:
    s2, s1, hls = place.values()
    late = hls.assign_coords(time=hls["time"] + np.timedelta64(1000, "D"))
    np.testing.assert_array_equal(three.encode(s2, s1, more=[late]), three.encode(s2, s1))


@pytest.mark.parametrize("kind", ["of no sensor of the model", "twice", "on another grid", "in digital numbers"])
def test_further_cubes_are_checked(three: Encoder, place: dict[str, xr.DataArray], trained, kind: str) -> None:
    s2, s1, hls = place.values()
    encoder = load_encoder(trained["two"]) if kind == "of no sensor of the model" else three
    more = {
        "of no sensor of the model": [hls],
        "twice": [hls, hls],
        "on another grid": [hls.assign_coords(x=hls["x"] + 5)],
        "in digital numbers": [hls * 10_000],
    }[kind]
    more = [cube.assign_attrs(hls.attrs) for cube in more]
    with pytest.raises(EcoembedError, match=r"HLS|Harmonized|grid"):
        encoder.encode(s2, s1, more=more)


def test_a_sensor_of_ones_own_joins(trained: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = replace(HLS, name="MINE", bands=HLS.bands[:2], products={})
    monkeypatch.setitem(SENSORS, "MINE", own)
    store, out, sensors = tmp_path / "a.zarr", tmp_path / "mine.safetensors", (*TWO, "MINE")
    here = cubes(1)
    here["MINE"] = here.pop("HLS")[:, :2].assign_attrs(sensor="MINE")
    save_cubes(here, store)
    hardly_trained(store, out, sensors=sensors, keep=trained["two"])
    s2, s1, mine = (load_cube(store, name) for name in sensors)
    z = load_encoder(out).encode(s2, s1, more=[mine])
    assert np.isfinite(z["mine_gap"]).all()
    monkeypatch.delitem(SENSORS, "MINE")
    with pytest.raises(WeightsError, match="MINE"):
        load_encoder(out)


# The gain, measured: Sentinel-2 as if one of its satellites flew, and an HLS-like sensor that saw the other's dates.


def put_away(s2: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Every second acquisition of Sentinel-2, and all of them as a sensor of 30 m and six bands."""
    kept = np.arange(s2.sizes["time"]) % 2 == 0
    coarse = s2.sel(band=list(HLS.products["HLSS30"])).coarsen(y=3, x=3).reduce(np.mean)
    hls = coarse.reindex(y=s2["y"], x=s2["x"], method="nearest").assign_coords(band=list(HLS.band_names))
    return s2[kept], hls.assign_attrs(s2.attrs, sensor="HLS").astype("float32")


def z_and_truth(encoder: Encoder, store: Path, whole: xr.DataArray, given: tuple[str, ...]) -> list[np.ndarray]:
    """z (n, 7) on the dates that were put away, and the ten bands (n, 10) that Sentinel-2 saw there."""
    s2, s1, hls = (load_cube(store, name) for name in THREE)
    dates = np.setdiff1d(hls["time"].values, s2["time"].values)
    z = encoder.encode(s2, s1 if "S1" in given else None, more=[hls] if "HLS" in given else [], dates=dates)
    there = [np.moveaxis(cube.values, 1, -1) for cube in (z.sel(band=Z), whole.sel(time=dates))]
    seen = np.logical_and(*(np.isfinite(values).all(axis=-1) for values in there))
    return [values[seen] for values in there]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore:the expected error")  # no place is held out: both are trained as long as one asks
def test_what_the_new_sensor_saw_shows_in_the_embedding(tmp_path: Path) -> None:
    study = write_network(tmp_path / "study", sites=5, years=(2019, 2019), size=18, seed=3)
    stores = [tmp_path / f"{folder.name}.zarr" for folder in sorted((study / "satellite").iterdir())]
    whole = {store: write_cubes(study / "satellite" / store.stem, store, store.stem)[0] for store in stores}
    for store, s2 in whole.items():
        save_cubes(dict(zip(("S2_L2A", "HLS"), put_away(s2), strict=True)), store)
    known, unseen = stores[:3], stores[3:]
    two, three = (
        pretrain(
            known, tmp_path / f"{len(n)}.safetensors", sensors=n, keep=default_weights(), steps=STEPS, validation=0
        )
        for n in (TWO, THREE)
    )

    def error(weights: Path, given: tuple[str, ...]) -> float:
        """Mean error in reflectance, at unseen places, of the bands by a regression on z that others taught."""
        encoder = load_encoder(weights)
        z, bands = map(np.concatenate, zip(*(z_and_truth(encoder, s, whole[s], given) for s in known), strict=True))
        fitted = RidgeCV(alphas=np.logspace(-4, 2, 7)).fit(z, bands)
        told = [z_and_truth(encoder, store, whole[store], given) for store in unseen]
        return float(np.mean([np.abs(fitted.predict(z) - bands).mean() for z, bands in told]))

    before = error(two, TWO)
    errors = {given: error(three, given) for given in (THREE, TWO, ("S2_L2A", "HLS"), ("S2_L2A",))}
    print(f"two sensors {before:.4f};", {"+".join(given): round(value, 4) for given, value in errors.items()})
    assert errors[THREE] < 0.97 * before  # weights that know two sensors, trained as shortly
    assert errors[THREE] < 0.9 * errors[TWO]
