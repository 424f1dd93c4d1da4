"""Training: learns, is repeatable, holds places out, and leaves nothing half-written."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ecoembed import load_encoder, pretrain, smooth
from ecoembed.cubes.store import save_cubes
from ecoembed.embeddings.batches import frames_of, pad_missing
from ecoembed.embeddings.objectives import Coefficients, context_loss, loss_points
from ecoembed.embeddings.samples import load_place, split, targets
from ecoembed.embeddings.weights import read_weights
from ecoembed.errors import ConfigError, FileError, TableError, VariableError

from .conftest import make_cube


def test_the_loss_points_hold_more_than_99_percent_of_the_weight():
    points, everything = loss_points(), loss_points(threshold=0.0)
    assert len(everything.weight) == 11 * 15 * 15
    assert points.weight.sum() / everything.weight.sum() > 0.99
    assert len(points.weight) == 47
    at = {(int(r), *map(int, d)): w for r, d, w in zip(points.rank, points.dyx, points.weight, strict=True)}
    assert at[0, 0, 0] == 1
    assert at[1, 0, 0] == pytest.approx(0.1)
    assert at[0, 1, 1] == pytest.approx(0.01)
    assert at[0, 0, -2] == pytest.approx(0.001)
    assert at[-1, 1, 0] == pytest.approx(0.001)


def test_the_centre_weight_is_set():
    points = loss_points(1.75)
    assert points.weight[(points.rank == 0) & (points.dyx == 0).all(axis=1)] == 1.75


def test_drawn_points_keep_the_expected_weight():
    points, rng = loss_points(), np.random.default_rng(0)
    mean = np.zeros(len(points.weight))
    where = {(int(r), *map(int, d)): i for i, (r, d) in enumerate(zip(points.rank, points.dyx, strict=True))}
    for _ in range(2000):
        part = points.drawn(12, rng)
        assert len(part.weight) == 15
        mean[[where[int(r), *map(int, d)] for r, d in zip(part.rank, part.dyx, strict=True)]] += part.weight / 2000
    np.testing.assert_allclose(mean, points.weight, rtol=0.2)


def test_a_perfect_prediction_costs_nothing_and_invalid_values_do_not_count():
    rng = np.random.default_rng(0)
    observed = torch.from_numpy(rng.random((5, 47, 10))).float()
    valid = torch.from_numpy(rng.random((5, 47)) > 0.3)
    weight = torch.from_numpy(loss_points().weight).float()
    c = Coefficients(1.0, 1.0, 1.0)
    assert context_loss(observed, observed, valid, weight, c) < 1e-5
    spoiled = torch.where(valid[..., None], observed, 99.0)
    assert context_loss(spoiled, observed, valid, weight, c) < 1e-5


def test_the_loss_is_the_weighted_mean_error_and_angle():
    a, b = torch.tensor([[[1.0, 0.0], [0.2, 0.2]]]), torch.tensor([[[0.0, 1.0], [0.2, 0.3]]])
    valid, weight = torch.tensor([[True, True]]), torch.tensor([1.0, 0.5])
    mae = (2 / 3) * 1.0 + (1 / 3) * 0.05
    assert context_loss(a, b, valid, weight, Coefficients(1, 0, 1)).item() == pytest.approx(mae, rel=1e-5)
    angle = (2 / 3) * np.pi / 2 + (1 / 3) * (np.arctan2(0.3, 0.2) - np.pi / 4)
    both = context_loss(a, b, valid, weight, Coefficients(0, 1, 1)).item()
    assert both == pytest.approx(angle, rel=1e-3)


def test_targets_are_the_values_at_the_offsets(s2):
    frames, points = pad_missing(frames_of(s2)), loss_points()
    centre, yx = np.array([9, 0]), np.array([[10, 11], [0, 19]])
    values, valid, days = targets(frames, centre, yx, points, np.array([False, True]))
    raw = s2.values
    for i in range(2):
        for p, (rank, (dy, dx)) in enumerate(zip(points.rank, points.dyx, strict=True)):
            t, y, x = centre[i] + rank, yx[i, 0] + dy, yx[i, 1] + dx
            inside = 0 <= t < 30 and 0 <= y < 20 and 0 <= x < 20 and not (i == 1 and rank > 0)
            expected = inside and np.isfinite(raw[t, :, y, x]).all()
            assert bool(valid[i, p]) == expected
            if expected:
                np.testing.assert_allclose(values[i, p].numpy(), raw[t, :, y, x])
                assert days[i, p] == pytest.approx(5.0 * rank)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("places")
    for k in range(3):
        cubes = {"S2_L2A": make_cube("S2_L2A", seed=k), "S1": make_cube("S1", n=26, every=6.0, seed=k, cloud=0.0)}
        cubes = {name: c.assign_coords(x=c["x"] + 5000 * k) for name, c in cubes.items()}
        save_cubes(cubes, folder / f"p{k}.zarr")
    return sorted(folder.glob("*.zarr"))


@pytest.fixture(autouse=True, scope="module")
def small_steps():
    """Fewer samples a step: what is tested is the loop, not the result."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"CROPS": 2, "FUSION_BATCH": 96, "POINTS": 6}.items():
            patch.setattr(f"ecoembed.embeddings.pretrain.{name}", value)
        yield


@pytest.fixture(scope="module")
def trained(places, tmp_path_factory):
    return pretrain(places, tmp_path_factory.mktemp("w") / "w.safetensors", steps=60, validation=1, seed=5)


def test_training_beats_the_mean_at_a_place_held_out(trained):
    card = read_weights(trained)[1]
    unseen = card.scores["unseen-place"]["centre_mae"]
    assert unseen["fused"]["S2"] < 0.6 * unseen["mean"]["S2"]
    assert [p.role for p in card.places].count("validation") == 1
    assert sorted(p.id for p in card.places) == ["XX-T00", "XX-T01", "XX-T02"]
    assert 0 < card.places[0].latitude < 90


def test_the_card_and_an_encoder_come_back(trained, s2, s1):
    z = load_encoder(trained).encode(s2, s1)
    assert np.isfinite(z.values).any()
    assert z.attrs["weights"] == load_encoder(trained).weights


def test_the_same_seed_gives_the_same_weights(places, tmp_path):
    hashes = {
        load_encoder(pretrain(places, tmp_path / f"{i}.safetensors", steps=3, seed=seed)).weights
        for i, seed in enumerate((1, 1, 2))
    }
    assert len(hashes) == 2


def test_a_failure_leaves_the_old_file(places, tmp_path, monkeypatch):
    out = tmp_path / "w.safetensors"
    out.write_bytes(b"old")
    monkeypatch.setattr("ecoembed.embeddings.weights.save", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pretrain(places, out, steps=1)
    assert out.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_nothing_to_train_on_is_refused(places, tmp_path):
    with pytest.raises(ConfigError):
        pretrain([], tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match="held out"):
        pretrain(places, tmp_path / "w.safetensors", validation=3)


def test_cubes_of_one_place_fall_on_one_side(tmp_path):
    """Two years of one site, or twin towers: held out together or not at all."""
    for k, (name, seed) in enumerate((("XX-A", 0), ("XX-A", 1), ("XX-B", 2))):
        cubes = [make_cube("S2_L2A", seed=seed), make_cube("S1", n=26, every=6.0, seed=seed, cloud=0.0)]
        shift = 0 if name == "XX-A" else 5000
        moved = [c.assign_attrs(site=name).assign_coords(x=c["x"] + shift) for c in cubes]
        save_cubes(dict(zip(("S2_L2A", "S1"), moved, strict=True)), tmp_path / f"{k}.zarr")
    stores = sorted(tmp_path.glob("*.zarr"))
    for seed in range(4):
        places = split([load_place(p) for p in stores], 1, np.random.default_rng(seed))
        roles = [p.card.role for p in places]
        assert roles[0] == roles[1] != roles[2]
    with pytest.raises(ConfigError, match="2 of 2 places"):
        split(places, 2, np.random.default_rng(0))


def test_cubes_smoothed_differently_are_refused(places, tmp_path):
    cubes = [make_cube("S2_L2A", seed=9), smooth(make_cube("S1", n=26, every=6.0, seed=9, cloud=0.0))]
    save_cubes(dict(zip(("S2_L2A", "S1"), cubes, strict=True)), tmp_path / "p.zarr")
    with pytest.raises(VariableError, match="not smoothed alike"):
        pretrain([*places, tmp_path / "p.zarr"], tmp_path / "w.safetensors", steps=1)


@pytest.mark.parametrize(
    ("s2", "s1", "says"),
    [
        (make_cube("S2_L2A", side=6), make_cube("S1", side=6, cloud=0.0), "too small"),
        (make_cube("S2_L2A", cloud=1.0), make_cube("S1", cloud=0.0), "no clear pixel"),
        (make_cube("S2_L2A"), make_cube("S1", cloud=0.0, start="2024-01-01"), "no Sentinel-2 date has"),
    ],
)
def test_a_place_that_teaches_nothing_is_refused_before_training(tmp_path, s2, s1, says):
    save_cubes({"S2_L2A": s2, "S1": s1}, tmp_path / "p.zarr")
    with pytest.raises(TableError, match=says):
        pretrain([tmp_path / "p.zarr"], tmp_path / "w.safetensors", steps=1)


def test_a_folder_as_output_is_refused_before_training(places, tmp_path):
    with pytest.raises(FileError, match="is a folder"):
        pretrain(places, tmp_path, steps=10**9)


def test_a_place_with_too_few_dates_is_refused(tmp_path):
    save_cubes({"S2_L2A": make_cube("S2_L2A", n=10), "S1": make_cube("S1", cloud=0.0)}, tmp_path / "p.zarr")
    with pytest.raises(TableError, match="too few S2_L2A acquisitions"):
        pretrain([tmp_path / "p.zarr"], tmp_path / "w.safetensors")
