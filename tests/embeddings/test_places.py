"""Places and crops: split by place, of any size and any sensors, the same from memory and from disk."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ecoembed import smooth
from ecoembed.cubes.store import save_cubes
from ecoembed.embeddings.batches import MARGIN
from ecoembed.embeddings.training import places as module
from ecoembed.embeddings.training import roles
from ecoembed.embeddings.training.places import draw_crop, fit_normalisation, load_places
from ecoembed.embeddings.training.roles import check_together, split, with_role
from ecoembed.errors import ConfigError, GridError, TableError, UnitError, VariableError

from .conftest import make_cube

SENSORS = ("S2_L2A", "S1")


def cubes(seed=0, side=20, shift=None, cloud=0.2, name=None):
    found = {
        "S2_L2A": make_cube("S2_L2A", seed=seed, side=side, cloud=cloud),
        "S1": make_cube("S1", n=26, every=6.0, seed=seed, side=side, cloud=0.0),
    }
    shift = 5000 * seed if shift is None else shift
    moved = {sensor: cube.assign_coords(x=cube["x"] + shift) for sensor, cube in found.items()}
    return {sensor: cube.assign_attrs(site=name) if name else cube for sensor, cube in moved.items()}


def stored(folder, *places):
    for k, place in enumerate(places):
        save_cubes(place, folder / f"{k}.zarr")
    return sorted(folder.glob("*.zarr"))


def same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name].values, b[name].values)
        assert torch.equal(a[name].valid, b[name].valid)
        np.testing.assert_array_equal(a[name].days, b[name].days)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """A place that is 12 px wide and 30 high, as the columns of a real one that are kept for tests."""
    folder = tmp_path_factory.mktemp("narrow")
    return stored(folder, {name: cube[..., :12] for name, cube in cubes(side=30).items()})[0]


def test_a_crop_holds_the_values_of_its_place(narrow):
    (place,) = load_places([narrow], SENSORS)
    truth = place.cubes["S2_L2A"].values
    for k in range(6):
        crop = draw_crop(place, 8, 10, np.random.default_rng(k))
        assert crop.place == "XX-T00"
        frames = crop.frames["S2_L2A"]
        assert frames.values.shape == (10, 10, 8 + 2 * MARGIN, 8 + 2 * MARGIN)
        t = int(np.searchsorted(place.days["S2_L2A"], frames.days[0]))
        np.testing.assert_array_equal(frames.days, place.days["S2_L2A"][t : t + 10])
        padded = np.pad(truth[t : t + 10, 3:5], [(0, 0), (0, 0), (22, 22), (22, 22)], constant_values=np.nan)
        expected = np.where(frames.valid[:, None], frames.values, np.nan)[:, 3:5]
        windows = np.lib.stride_tricks.sliding_window_view(padded, (22, 22), axis=(2, 3))
        assert (np.isclose(windows, expected[:, :, None, None], equal_nan=True).all((0, 1, 4, 5))).any()


def test_other_sensors_come_with_all_that_could_be_paired(narrow):
    (place,) = load_places([narrow], SENSORS)
    crop = draw_crop(place, 8, 6, np.random.default_rng(3))
    days, radar = crop.frames["S2_L2A"].days, place.days["S1"]
    near = (np.abs(radar[:, None] - days).min(axis=1) <= 6) | ((radar > days[0]) & (radar < days[-1]))
    np.testing.assert_array_equal(crop.frames["S1"].days, radar[near])


def test_a_place_smaller_than_the_crop_hangs_over_with_missing_pixels(narrow):
    (place,) = load_places([narrow], SENSORS)
    crop = draw_crop(place, 16, 99, np.random.default_rng(0))
    valid = crop.frames["S1"].valid
    assert valid.shape == (26, 30, 30)
    assert len(crop.frames["S2_L2A"]) == 30
    assert not valid[:, :, :MARGIN].any()
    assert not valid[:, :, MARGIN + 12 :].any()
    assert valid[:, :, MARGIN : MARGIN + 12].any()


def test_what_is_streamed_equals_what_is_held(narrow, tmp_path, monkeypatch):
    stores = [narrow, *stored(tmp_path, cubes(1))]
    held = load_places(stores, SENSORS)
    monkeypatch.setattr(module, "CACHE_BYTES", 0)
    streamed = load_places(stores, SENSORS)
    assert all(place.held for place in held)
    assert not any(place.held for place in streamed)
    for a, b in zip(held, streamed, strict=True):
        for k in range(5):
            same(*(draw_crop(place, 10, 12, np.random.default_rng(k)).frames for place in (a, b)))
    for sensor in SENSORS:
        assert fit_normalisation(held, sensor) == fit_normalisation(streamed, sensor)


def bytes_of(place):
    frames = place.held.values()
    return sum(f.values.numel() * f.values.element_size() + f.valid.numel() for f in frames)


def test_what_is_held_in_memory_is_bounded(tmp_path, monkeypatch):
    stores = stored(tmp_path, cubes(0), cubes(1, side=24), cubes(2, side=12), cubes(3))
    whole = load_places(stores, SENSORS)
    assert [bytes_of(place) for place in whole] == [place.nbytes for place in whole]
    for bound in (0, whole[2].nbytes, whole[0].nbytes + whole[2].nbytes + 5, 10**9):
        monkeypatch.setattr(module, "CACHE_BYTES", bound)
        places = load_places(stores, SENSORS)
        assert sum(bytes_of(place) for place in places) <= bound
    assert sum(map(bytes_of, places)) == sum(place.nbytes for place in whole)


def test_a_crop_of_a_place_on_disk_reads_only_the_chunks_it_needs(tmp_path, monkeypatch):
    """A place of many chunks in time: what is read of it does not grow with it."""
    from ecoembed.cubes import store

    monkeypatch.setattr(store, "_VALUES", 5000)
    monkeypatch.setattr(module, "CACHE_BYTES", 0)
    (path,) = stored(tmp_path, cubes(0))
    (place,) = load_places([path], SENSORS)
    read = []
    monkeypatch.setattr(
        module, "read_frames", lambda cube, times, *rest: (read.append(times), original(cube, times, *rest))[1]
    )
    draw_crop(place, 8, 6, np.random.default_rng(0))
    assert sum(times.stop - times.start for times in read) < 6 + 10


original = module.read_frames


def test_the_normalisation_is_that_of_all_valid_pixels(tmp_path):
    places = load_places(stored(tmp_path, cubes(0), cubes(1)), SENSORS)
    seen = np.concatenate([place.cubes["S2_L2A"].values.transpose(1, 0, 2, 3).reshape(10, -1) for place in places], 1)
    seen = np.clip(seen[:, np.isfinite(seen).all(axis=0)], 0, 1)
    norm = fit_normalisation(places, "S2_L2A")
    np.testing.assert_allclose(norm.mean, seen.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(norm.std, seen.std(axis=1), rtol=1e-4)


# --- roles


def test_cubes_of_one_place_fall_on_one_side(tmp_path):
    """Two years of one site, or twin towers: held out together or not at all."""
    years = [cubes(0, name="XX-A"), cubes(1, name="XX-A", shift=0), cubes(2, name="XX-B"), cubes(3, shift=10_400)]
    places = load_places(stored(tmp_path, *years), SENSORS)
    drawn = set()
    for seed in range(8):
        given = [place.card.role for place in split(places, 1, np.random.default_rng(seed))]
        assert given[0] == given[1] != given[2] == given[3]  # the last two lie 400 m apart
        drawn.add(tuple(given))
    assert len(drawn) == 2
    with pytest.raises(ConfigError, match="2 of 2 places"):
        split(places, 2, np.random.default_rng(0))


def test_what_a_third_place_joins_falls_on_one_side(tmp_path):
    """Two that lie 1.4 km apart, and one between them."""
    chain = [cubes(k, side=6, shift=shift) for k, shift in enumerate((0, 1400, 700, 50_000))]
    places = load_places(stored(tmp_path, *chain), SENSORS)
    drawn = {tuple(p.card.role for p in split(places, 1, np.random.default_rng(seed))) for seed in range(8)}
    assert {given[:3] for given in drawn} == {("train",) * 3, ("validation",) * 3}
    assert all(given[3] != given[0] for given in drawn)


def test_places_that_overlap_fall_on_one_side_however_far_their_centres(tmp_path, monkeypatch):
    monkeypatch.setattr(roles, "one_place", lambda a, b: a.id == b.id)
    places = load_places(stored(tmp_path, *(cubes(k, shift=shift) for k, shift in enumerate((0, 150, 400)))), SENSORS)
    for seed in range(6):
        first, second, apart = (p.card.role for p in split(places, 1, np.random.default_rng(seed)))
        assert first == second != apart


def test_one_place_in_five_is_held_out_by_default(tmp_path):
    places = load_places(stored(tmp_path, *(cubes(k, side=6) for k in range(5))), SENSORS)
    given = [place.card.role for place in split(places, None, np.random.default_rng(0))]
    assert sorted(given) == ["train"] * 4 + ["validation"]
    assert {place.card.role for place in split(places[:4], None, np.random.default_rng(0))} == {"train"}


def test_what_kept_encoders_were_trained_on_is_not_held_out(tmp_path):
    places = load_places(stored(tmp_path, *(cubes(k, side=6) for k in range(4))), SENSORS)
    known = [place.card for place in places[:3]]
    for seed in range(5):
        given = [place.card.role for place in split(places, 1, np.random.default_rng(seed), known)]
        assert given == ["train"] * 3 + ["validation"]
    with pytest.raises(ConfigError, match="have not seen"):
        split(places, 2, np.random.default_rng(0), known)


def test_a_test_place_is_no_place_that_is_learnt_from(tmp_path):
    whole = cubes(0, side=30)
    left, right, over = (
        {n: c[..., part].assign_attrs(site=f"XX-{k}") for n, c in whole.items()}
        for k, part in enumerate((slice(0, 12), slice(18, 30), slice(10, 22)))
    )
    left, right, over, far = load_places(stored(tmp_path, left, right, over, cubes(5, name="XX-0")), SENSORS)
    check_together([left, with_role(right, "test")])
    for place in (over, far):  # one overlaps it, the other has its name
        with pytest.raises(ConfigError, match="is, or overlaps, one that is learnt from"):
            check_together([left, with_role(place, "test")])
    with pytest.raises(ConfigError, match="known to the kept encoders"):
        check_together([left, with_role(right, "test")], [right.card.model_copy(update={"id": "another name"})])
    check_together([left, with_role(right, "test")], [with_role(right, "test").card])  # kept encoders were probed there


def test_cubes_smoothed_differently_do_not_go_together(tmp_path):
    other = cubes(1)
    places = load_places(stored(tmp_path, cubes(0), other | {"S1": smooth(other["S1"])}), SENSORS)
    with pytest.raises(VariableError, match=r"S1 are not smoothed alike.*XX-T01: trailing"):
        check_together(places)


# --- bad stores


def refused(tmp_path, place, error, match, sensors=SENSORS):
    with pytest.raises(error, match=match):
        load_places(stored(tmp_path, place), sensors)


def test_a_store_without_a_sensor_is_named_with_what_it_holds(tmp_path):
    refused(
        tmp_path,
        cubes(),
        VariableError,
        r"0\.zarr: no group HLS \(found S2_L2A, S1; .*--sensors S2_L2A S1$",
        (*SENSORS, "HLS"),
    )


def test_a_place_of_a_few_pixels_is_enough_and_of_three_is_not(tmp_path):
    few = {name: cube[..., :4, :4] for name, cube in cubes(cloud=0.0).items()}
    (place,) = load_places(stored(tmp_path / "a", few), SENSORS)
    assert draw_crop(place, 8, 5, np.random.default_rng(0)).frames["S2_L2A"].valid.sum() == 5 * 16
    (tmp_path / "b").mkdir()
    refused(tmp_path / "b", {n: c[..., :3, :] for n, c in cubes().items()}, TableError, "too small to learn from")


def test_a_place_that_teaches_nothing_is_refused(tmp_path):
    (tmp_path / "b").mkdir()
    refused(tmp_path, cubes() | {"S1": make_cube("S1", n=10)}, TableError, "too few S1 acquisitions")
    later = {"S1": make_cube("S1", cloud=0.0, start="2024-01-01")}
    refused(tmp_path / "b", cubes() | later, TableError, "no date of S2_L2A has an acquisition of S1")


def test_cubes_on_other_grids_or_in_other_units_are_refused(tmp_path):
    (tmp_path / "b").mkdir()
    moved = cubes()
    moved["S1"] = moved["S1"].assign_coords(x=moved["S1"]["x"] + 10)
    refused(tmp_path, moved, GridError, "different grids")
    counts = cubes()
    counts["S2_L2A"] = (counts["S2_L2A"] * 10_000).assign_attrs(counts["S2_L2A"].attrs)
    refused(tmp_path / "b", counts, UnitError, "reflectance")
