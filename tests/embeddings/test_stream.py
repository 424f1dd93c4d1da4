"""A cube streams: from store to store part by part, with the numbers of the whole and a bounded memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoembed.cubes import store
from ecoembed.cubes.store import load_cube, save_cubes
from ecoembed.embeddings import batches, codes, encode, parts, tracks
from ecoembed.embeddings.batches import frames_of, pad_missing
from ecoembed.embeddings.codes import sensor_codes
from ecoembed.errors import UnitError

from .conftest import make_cube


@pytest.fixture(scope="module")
def stored(place):
    return tuple(load_cube(place, name, lazy=True) for name in ("S2_L2A", "S1"))


@pytest.fixture(scope="module")
def whole(encoder, s2, s1):
    return {window: encoder.encode(s2, s1, window=window) for window in ("centred", "causal")}


@settings(max_examples=8, deadline=None)
@given(
    part=st.integers(5, 12),
    tile=st.integers(4, 12),
    dates=st.integers(4, 30),
    block=st.integers(20, 150),
    threads=st.integers(1, 3),
    window=st.sampled_from(["centred", "causal"]),
)
def test_seamless_for_any_parts_tiles_blocks_and_threads(
    encoder, whole, stored, part, tile, dates, block, threads, window
):
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART_SIDE", part)
        patch.setattr(parts, "FEWEST_DATES", dates)
        patch.setattr(parts, "PART_BYTES", 1)
        patch.setattr(encode, "TILE", tile)
        patch.setattr(codes, "BLOCK_PIXELS", block)
        try:
            torch.set_num_threads(threads)
            z = encoder.encode(*(cube[..., :12, :12] for cube in stored), window=window).compute(num_workers=threads)
        finally:
            torch.set_num_threads(before)
    # farther in, the pixels that the crop lost are within reach
    np.testing.assert_allclose(z.values[..., :5, :5], whole[window].values[..., :5, :5], atol=1e-5)


def test_a_lazy_cube_gives_a_lazy_one_with_the_same_coordinates_and_attributes(encoder, whole, stored, tmp_path):
    z = encoder.encode(*stored)
    assert z.chunks
    save_cubes({"embeddings": z}, tmp_path / "z.zarr")
    written = load_cube(tmp_path / "z.zarr", "embeddings")
    xr.testing.assert_allclose(written, whole["centred"], atol=1e-5)
    assert {k: written.attrs[k] for k in ("weights", "window", "site", "sensor", "units")} == {
        k: whole["centred"].attrs[k] for k in ("weights", "window", "site", "sensor", "units")
    }


@pytest.mark.parametrize("seen", [0, 4])
def test_batch_companions_and_gaps_in_time_change_nothing(encoder, s2, s1, seen):
    """A date's codes are the same whichever other dates are asked for, also after frames that no window sees."""
    frames, sensor = pad_missing(frames_of(s2)), "S2_L2A"
    network, card = encoder.model.encoder(sensor), encoder.card.sensors[sensor]
    everything, _ = sensor_codes(network, card, frames, frames.days, "centred")
    some = np.array([seen, 20, 29])
    torch.testing.assert_close(
        sensor_codes(network, card, frames, frames.days[some], "centred")[0], everything[some], atol=1e-5, rtol=0
    )


def test_values_far_from_a_part_are_not_even_read(encoder, stored, whole):
    """What a part computes cannot depend on what it does not read."""
    z = encoder.encode(*stored)
    read = []
    original = batches.read_frames
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART_SIDE", 4)
        patch.setattr(tracks, "read_frames", lambda cube, t, y, x: read.append((t, y, x)) or original(cube, t, y, x))
        z = encoder.encode(*stored)[..., :4, :4].compute(scheduler="synchronous")
    assert {(y.stop, x.stop) for _, y, x in read} == {(11, 11)}
    np.testing.assert_allclose(z.values, whole["centred"].values[..., :4, :4], atol=1e-5)


def test_threads_of_the_caller_are_as_before(encoder, s2, s1):
    before = torch.get_num_threads()
    encoder.encode(s2.isel(time=slice(0, 4)), s1)
    assert torch.get_num_threads() == before


def test_wrong_units_on_disk_are_refused_before_anything_is_computed(encoder, s2, s1, tmp_path):
    save_cubes({"S2_L2A": s2 * np.float32(1e4), "S1": s1}, tmp_path / "a.zarr")
    numbers, radar = (load_cube(tmp_path / "a.zarr", name, lazy=True) for name in ("S2_L2A", "S1"))
    with pytest.raises(UnitError, match="cannot be Sentinel-2"):
        encoder.encode(numbers, radar)


def test_an_interrupted_write_leaves_the_store_as_it_was(encoder, stored, tmp_path):
    out = tmp_path / "z.zarr"
    save_cubes({"embeddings": encoder.encode(*stored)}, out)
    before = {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}

    def broken(*_: object) -> None:
        raise OSError("the disk is gone")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracks, "read_frames", broken)
        with pytest.raises(OSError, match="the disk is gone"):
            save_cubes({"embeddings": encoder.encode(*stored, window="causal")}, out)
    assert {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["z.zarr"]


PEAK = """
import sys
import torch
torch.set_num_threads(1)
from ecoembed.cubes import store
from ecoembed.cubes.store import load_cube, save_cubes
from ecoembed.embeddings import checks, encode, parts
store._SIDE, store._VALUES = 64, 1 << 17
parts.PART_SIDE, parts.PART_BYTES, parts.FEWEST_DATES = 64, 1, 12
checks.SMALL_BYTES = 1 << 20
import dask
dask.config.set(scheduler="threads", num_workers=1)
s2, s1 = (load_cube(sys.argv[1], name, lazy=True) for name in ("S2_L2A", "S1"))
save_cubes({"embeddings": encode.load_encoder("random").encode(s2, s1)}, sys.argv[1] + ".z")
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's account")
def test_memory_grows_neither_with_pixels_nor_with_dates(tmp_path, monkeypatch):
    from ecoembed.embeddings.encode import load_encoder

    smoothing = load_encoder().card.sensors["S1"].smoothing
    # everything at a quarter of the usual scale: parts as wide as stored chunks
    monkeypatch.setattr(store, "_SIDE", 64)
    monkeypatch.setattr(store, "_VALUES", 1 << 17)
    peaks = {}
    for name, side, dates in (("small", 128, 12), ("wide", 320, 12), ("long", 128, 72)):
        cubes = {sensor: make_cube(sensor, n=dates, side=side) for sensor in ("S2_L2A", "S1")}
        cubes["S1"].attrs |= {"smoothing": smoothing} if smoothing else {}
        save_cubes(cubes, tmp_path / name)
        command = [sys.executable, "-c", PEAK, tmp_path / name]
        runs = [subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(4)]
        peaks[name] = min(int(done.stdout) for done in runs) / 1024  # a busy machine frees late: it only adds
    # the two larger ones hold 50 MiB more of bands and 29 MiB more of embeddings, and each copy would be as much again
    assert max(peaks.values()) < peaks["small"] + 35, peaks
