"""Bad input, through the API and the command line: a typed error that says what, where, found and expected; nothing
is overwritten."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ecoembed import load_encoder, open_cube, pretrain, schema
from ecoembed.cli import main
from ecoembed.cubes.store import save_cubes
from ecoembed.embeddings.checks import check_values
from ecoembed.embeddings.encode import Encoder
from ecoembed.embeddings.weights import save_weights
from ecoembed.errors import EcoembedError, GridError, UnitError, VariableError

from .conftest import make_cube

Cubes = tuple[xr.DataArray, xr.DataArray]


def _put(cube: xr.DataArray, value: object, **where: object) -> xr.DataArray:
    """The cube with another value (or function of the values) at some places, by position."""
    broken = cube.copy(deep=True)
    part = broken[where].values
    broken[where] = value(part) if callable(value) else np.full_like(part, value)
    return broken


def _power(db: np.ndarray) -> np.ndarray:
    return 10 ** (db / 10)


def _one_more_band(s2: xr.DataArray) -> xr.DataArray:
    return xr.concat([s2, s2.isel(band=[0]).assign_coords(band=["B01"])], "band").assign_attrs(s2.attrs)


#: What is wrong -> how it becomes so, the error, and what must be said.
FAULTS: dict[str, tuple[Callable[[xr.DataArray, xr.DataArray], Cubes], type[EcoembedError], str]] = {
    "digital numbers": (
        lambda s2, s1: (s2 * np.float32(1e4), s1),
        UnitError,
        "cannot be Sentinel-2.*ecoembed.open_cube",
    ),
    "percent": (lambda s2, s1: (s2 * np.float32(100), s1), UnitError, "expected values of about 0 to 1"),
    "one band in digital numbers": (
        lambda s2, s1: (_put(s2, lambda v: v * 1e4, band=3), s1),
        UnitError,
        "in B05 .*median",
    ),
    "dates in digital numbers": (
        lambda s2, s1: (_put(s2, lambda v: v * 1e4, time=slice(7, 8)), s1),
        UnitError,
        "another unit on 1 dates, first on 2020-02-05",
    ),
    "scaled twice": (lambda s2, s1: (s2 * np.float32(1e-4), s1), UnitError, "scaled twice"),
    "unit of another name": (
        lambda s2, s1: (s2.assign_attrs(units="%"), s1),
        VariableError,
        r"unit differs \(found %; expected 1 \(Sentinel-2 L2A surface reflectance",
    ),
    "linear power labelled dB": (
        lambda s2, s1: (s2, _put(s1, _power)),
        UnitError,
        r"linear power labelled dB \(found values from 0\.\d+ .* -30 to 5 dB.*log10",
    ),
    "dates in linear power": (
        lambda s2, s1: (s2, _put(s1, _power, time=slice(4, 6))),
        UnitError,
        "linear power labelled dB on 2 dates, first on 2020-01-25",
    ),
    "dB labelled linear": (lambda s2, s1: (s2, s1.assign_attrs(units="1")), VariableError, "found 1; expected dB"),
    "dB in digital numbers": (lambda s2, s1: (s2, s1 * np.float32(100)), UnitError, "cannot be Sentinel-1"),
    "a constant band": (
        lambda s2, s1: (s2.where(s2["band"] != "B8A", 0.25).where(s2.notnull()), s1),
        VariableError,
        "a band is constant while others vary .found B8A = 0.25 at every pixel",
    ),
    "a constant polarisation": (
        lambda s2, s1: (s2, s1.where(s1["band"] != "VH", -9.0)),
        VariableError,
        "constant while others vary .found VH = -9",
    ),
    "a band without values": (
        lambda s2, s1: (s2.where(s2["band"] != "B11"), s1),
        VariableError,
        "no value at all in B11",
    ),
    "no clear frame": (lambda s2, s1: (s2.where(False), s1), VariableError, "no clear pixel on any date .*30 dates"),
    "an infinite value": (
        lambda s2, s1: (_put(s2, np.inf, time=12, band=2, y=3, x=4), s1),
        VariableError,
        "infinite values .found 1, first on 2020-03-01",
    ),
    "dates that stand twice": (
        lambda s2, s1: (s2.isel(time=[*range(30), 5]).sortby("time"), s1),
        VariableError,
        r"dates stand twice \(found 1 repeated, first 2020-01-26 10:48",
    ),
    "dates out of order": (
        lambda s2, s1: (s2.isel(time=[*range(9), 10, 9, *range(11, 30)]), s1),
        VariableError,
        r"out of order \(found 2020-02-15 10:48:00 after 2020-02-20 10:48:00.*sortby",
    ),
    "bands in another order": (
        lambda s2, s1: (s2.isel(band=[1, 0, *range(2, 10)]), s1),
        VariableError,
        "band order differs .found B03, B02.*sel.band=",
    ),
    "a band too many": (lambda s2, s1: (_one_more_band(s2), s1), VariableError, "more bands than .*found .*B01"),
    "a band too few": (lambda s2, s1: (s2.isel(band=slice(0, 9)), s1), VariableError, "1 of 10 bands absent"),
    "bands of swapped names": (
        lambda s2, s1: (s2, s1.assign_coords(band=["VH", "VV"])),
        VariableError,
        "band order differs",
    ),
    "Sentinel-1 as Sentinel-2": (
        lambda s2, s1: (s1, s1),
        VariableError,
        "cube of another sensor .found S1; expected S2_L2A",
    ),
    "another size": (lambda s2, s1: (s2, s1.isel(x=slice(0, 9))), GridError, "different grids"),
    "another origin": (lambda s2, s1: (s2, s1.assign_coords(x=s1["x"] + 10)), GridError, "different grids"),
    "another zone": (lambda s2, s1: (s2, s1.rio.write_crs(32632)), GridError, "different grids|differ in CRS"),
    "doubles": (lambda s2, s1: (s2.astype("float64"), s1), VariableError, "float32"),
}
faults = pytest.mark.parametrize("fault", FAULTS)


def broken(fault: str) -> Cubes:
    s2, s1 = make_cube("S2_L2A"), make_cube("S1", n=26, every=6.0, cloud=0.0)
    return FAULTS[fault][0](s2, s1)


def check_message(error: EcoembedError | str, fault: str) -> None:
    text = str(error)
    assert re.search(FAULTS[fault][2], text), text
    assert "XX-T00" in text or ".zarr" in text, f"nowhere: {text}"
    assert "expected" in text, f"against nothing: {text}"


@faults
def test_encode_refuses_it(encoder: Encoder, fault):
    with pytest.raises(FAULTS[fault][1]) as caught:
        encoder.encode(*broken(fault))
    check_message(caught.value, fault)


@faults
def test_encode_refuses_it_of_cubes_on_disk_before_anything_is_written(encoder: Encoder, fault):
    with pytest.raises(FAULTS[fault][1]):
        encoder.encode(*(cube.chunk(time=8) for cube in broken(fault)))


def unchecked_store(path: Path, cubes: Cubes) -> Path:
    """A store as other software may have written it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "check_cube", lambda cube, *_, **__: cube)
        save_cubes(dict(zip(("S2_L2A", "S1"), cubes, strict=True)), path)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def run(*arguments: object) -> int:
    """Exit code of the command line."""
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def weights(encoder: Encoder, tmp_path_factory) -> Path:
    return save_weights(encoder.model, encoder.card, tmp_path_factory.mktemp("w") / "w.safetensors")


@faults
def test_the_command_line_says_it_in_one_line_and_keeps_what_is_there(fault, weights, tmp_path, capsys):
    store, out = unchecked_store(tmp_path / "XX-T00.zarr", broken(fault)), tmp_path / "out.zarr"
    save_cubes({"embeddings": make_cube("S1", n=2).assign_attrs(sensor="embedding")}, out)
    before = contents(tmp_path)
    assert run("embed", store, "--out", out, "--weights", weights) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"ecoembed: {FAULTS[fault][1].__name__}: "), said
    assert len(said.splitlines()) == 1
    check_message(said, fault)
    assert contents(tmp_path) == before


@faults
def test_pretrain_refuses_it_before_training_and_keeps_what_is_there(fault, tmp_path):
    store = unchecked_store(tmp_path / "XX-T00.zarr", broken(fault))
    (tmp_path / "w.safetensors").write_bytes(b"old")
    before = contents(tmp_path)
    with pytest.raises(FAULTS[fault][1]) as caught:
        pretrain([store], tmp_path / "w.safetensors", steps=10**9)
    check_message(caught.value, fault)
    assert contents(tmp_path) == before


@given(order=st.permutations(range(12)))
@settings(max_examples=20, deadline=None)
def test_no_order_of_dates_but_the_right_one_passes(order):
    cube = make_cube("S1", n=12, side=4)
    if order == sorted(order):
        schema.check_cube(cube, "S1")
    else:
        with pytest.raises(VariableError, match="out of order"):
            schema.check_cube(cube.isel(time=order), "S1")


@given(order=st.permutations(range(10)))
@settings(max_examples=20, deadline=None)
def test_bands_are_never_taken_in_another_order_and_the_remedy_is_one(order):
    cube = make_cube("S2_L2A", n=3, side=4).isel(band=order)
    if order != sorted(order):
        with pytest.raises(VariableError, match="band order differs"):
            schema.check_cube(cube, "S2_L2A")
    right = list(make_cube("S2_L2A", n=3, side=4)["band"].values)
    schema.check_cube(cube.sel(band=right), "S2_L2A")


def test_gamma_and_sigma_nought_are_told_apart_only_where_both_are_declared(encoder: Encoder, s2, s1):
    radar = encoder.card.sensors["S1"].model_copy(update={"quantity": "gamma0"})
    card = encoder.card.model_copy(update={"sensors": {**encoder.card.sensors, "S1": radar}})
    of_gamma = Encoder(encoder.model, card)
    with pytest.raises(UnitError, match="found sigma0; expected gamma0"):
        of_gamma.encode(s2, s1.assign_attrs(quantity="sigma0; not declared"))
    for quantity in ("gamma0", "not declared"):
        of_gamma.encode(s2[:2], s1.assign_attrs(quantity=quantity))
    encoder.encode(s2[:2], s1.assign_attrs(quantity="sigma0"))


def test_places_of_gamma_and_of_sigma_nought_are_not_trained_on_together(tmp_path):
    for k, quantity in enumerate(("gamma0", "sigma0")):
        s2, s1 = make_cube("S2_L2A", seed=k), make_cube("S1", n=26, every=6.0, cloud=0.0, seed=k)
        moved = [c.assign_coords(x=c["x"] + 5000 * k) for c in (s2, s1.assign_attrs(quantity=quantity))]
        save_cubes(dict(zip(("S2_L2A", "S1"), moved, strict=True)), tmp_path / f"{k}.zarr")
    with pytest.raises(UnitError, match="gamma0 at XX-T00, sigma0 at XX-T01"):
        pretrain(sorted(tmp_path.glob("*.zarr")), tmp_path / "w.safetensors", steps=1)
    assert not (tmp_path / "w.safetensors").exists()


@pytest.mark.parametrize(
    "change", [lambda cube: cube.values, lambda cube: cube.to_dataset(name="a"), lambda cube: "a.nc"]
)
def test_what_is_no_cube_is_refused(encoder: Encoder, s2, s1, change):
    for cubes, name in (((change(s2), s1), "S2_L2A"), ((s2, change(s1)), "S1")):
        with pytest.raises(VariableError, match=rf"{name}: not a cube .*expected xr.DataArray.*ecoembed.open_cube"):
            encoder.encode(*cubes)


def test_a_cube_without_pixels_is_refused(encoder: Encoder, s2):
    with pytest.raises(VariableError, match=r"the cube is empty .found 30 time x 10 band x 0 y"):
        encoder.encode(s2.isel(y=slice(0, 0)), None)


def test_of_a_large_cube_on_disk_twelve_dates_are_looked_at(monkeypatch):
    monkeypatch.setattr("ecoembed.embeddings.checks.SMALL_BYTES", 0)
    s2, read = make_cube("S2_L2A"), []
    lazy = s2.chunk(time=1).copy(
        data=s2.chunk(time=1).data.map_blocks(lambda v: read.append(1) or v, dtype="f4", meta=s2.values[:0])
    )
    check_values(lazy)
    assert len(read) == 13  # and once to see that anything is there
    with pytest.raises(UnitError, match="cannot be Sentinel-2"):
        check_values((s2 * np.float32(1e4)).assign_attrs(s2.attrs).chunk(time=1))


def test_an_infinite_value_anywhere_in_a_large_cube_is_met_when_it_is_read(encoder: Encoder, tmp_path, monkeypatch):
    monkeypatch.setattr("ecoembed.embeddings.checks.SMALL_BYTES", 0)
    s2 = _put(make_cube("S2_L2A"), np.inf, time=12, band=2, y=3, x=4)
    z = encoder.encode(s2.chunk(time=8), None)
    with pytest.raises(VariableError, match=r"infinite values .found 1, first on 2020-03-01"):
        save_cubes({"embeddings": z}, tmp_path / "z.zarr")
    assert not list(tmp_path.iterdir())


def test_what_looks_odd_and_is_true_passes():
    s2, s1 = make_cube("S2_L2A"), make_cube("S1", n=26, every=6.0, cloud=0.0)
    check_values(s2.where(False, np.float32(0.3)).assign_attrs(s2.attrs))  # nothing varies: a made-up place
    check_values(_put(s2, 0.4, time=3, band=2))  # one band saturated on one date
    check_values(_put(s2, 1.7, time=slice(0, 3)))  # snow and glint on some dates
    check_values(_put(s1, 3.0, y=slice(0, 3)))  # a town: very bright
    check_values(s2.where(s2["time"] == s2["time"][17]))  # one clear date


def test_real_cubes_pass(real):
    folder = real / "cubes" / "belgium_00002806639B424A"
    for sensor in ("S2_L2A", "S1"):
        check_values(open_cube(folder, sensor=sensor))


def test_weights_that_are_nan_stop_the_command_line(encoder: Encoder, place, weights, tmp_path, capsys):
    state = {name: tensor.clone() for name, tensor in encoder.model.state_dict().items()}
    state["encoders.S1.head.1.bias"][4] = np.nan
    bad = tmp_path / "bad.safetensors"
    with safe_open(weights, framework="pt") as file:
        save_file(state, bad, metadata=file.metadata())
    assert run("embed", place, "--out", tmp_path / "z.zarr", "--weights", bad) == 2
    assert "WeightsError" in (said := capsys.readouterr().err)
    assert "found 1 of 128 in encoders.S1.head.1.bias" in said
    assert not (tmp_path / "z.zarr").exists()


def test_a_place_is_embedded_however_small(encoder: Encoder, s2, s1):
    one = (slice(None), slice(None), slice(5, 6), slice(5, 6))
    z = encoder.encode(s2[one], s1[one])
    assert np.isfinite(z.values).any()


def test_the_default_weights_refuse_what_was_smoothed_otherwise(s2, s1):
    with pytest.raises(VariableError, match=r"not smoothed as it was in training.*found not smoothed.*ecoembed.smooth"):
        load_encoder().encode(s2, s1)


def test_a_training_that_diverges_leaves_the_old_weights_and_the_last_good_ones(place, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ecoembed.embeddings.training.recipes.Dense.learning_rate", 1e30)
    monkeypatch.setattr("ecoembed.embeddings.training.dense_stages.SensorStage.crops", 1)
    out = tmp_path / "w.safetensors"
    out.write_bytes(b"old")
    assert run("pretrain", place, "--out", out, "--steps", 30) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ecoembed: ")]
    assert len(said) == 1
    assert re.match(r"ecoembed: TrainingError: XX-T00: stage \w+ diverges: .*at step \d+, learning rate", said[0]), said
    assert "are kept in" in said[0]
    assert out.read_bytes() == b"old"
    kept = list((tmp_path / "w.safetensors.training").glob("*.safetensors"))
    assert kept
    for file in kept:
        assert all(torch.isfinite(t).all() for name, t in load_file(file).items() if name.startswith("module "))


def test_weights_of_another_version_stop_the_command_line(place, encoder: Encoder, tmp_path, capsys):
    card = encoder.card.model_dump_json().replace('"format":2', '"format":1')
    state = {name: t.contiguous() for name, t in encoder.model.state_dict().items()}
    save_file(state, tmp_path / "old.safetensors", metadata={"ecoembed": card})
    before = contents(tmp_path)
    assert run("embed", place, "--out", tmp_path / "z.zarr", "--weights", tmp_path / "old.safetensors") == 2
    said = capsys.readouterr().err
    assert re.match(r"ecoembed: WeightsError: .*old.safetensors: .*found format 1, written by ecoembed", said), said
    assert contents(tmp_path) == before
