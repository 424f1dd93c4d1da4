"""Training places and the samples drawn from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ecoembed.cubes.pairing import pair
from ecoembed.cubes.store import load_cube
from ecoembed.embeddings import batches
from ecoembed.embeddings.batches import FRAMES, MARGIN, MAX_OFFSET_DAYS, Frames, Normalisation, Window
from ecoembed.embeddings.card import PlaceCard, sensor_card
from ecoembed.embeddings.codes import sensor_codes
from ecoembed.embeddings.objectives import Points
from ecoembed.embeddings.weights import TwoStage
from ecoembed.errors import ConfigError, TableError, VariableError
from ecoembed.schema import check_cube
from ecoembed.sensors import S1

#: Training draws its frames from this many consecutive dates.
CONSECUTIVE = 20
#: Side of a training crop in px, without margin.
SIDE = 8
#: Pixel-dates of one place whose codes stage 2 keeps.
CODED_PIXEL_DATES = 30_000


@dataclass
class Place:
    """One place: frames of both sensors, padded by 7 px of missing values, and S1's index and gap for each S2 date."""

    card: PlaceCard
    frames: dict[str, Frames]
    pairs: dict[Window, tuple[np.ndarray, np.ndarray]]
    smoothing: str | None


def load_place(path: str | Path) -> Place:
    """A training place from a Zarr store with the groups ``S2_L2A`` and ``S1``.

    Raises
    ------
    TableError
        If the place is too small, never seen, or has fewer than 11 acquisitions of either sensor.
    """
    path = Path(path)
    cubes = {name: check_cube(load_cube(path, name), name, where=path) for name in ("S2_L2A", "S1")}
    for name, cube in cubes.items():
        if cube.sizes["time"] < FRAMES:
            raise TableError(
                f"too few {name} acquisitions to learn from", where=path, found=cube.sizes["time"], expected=FRAMES
            )
    if min(cubes["S2_L2A"].shape[2:]) < SIDE:
        raise TableError(
            "too small to learn from", where=path, found=cubes["S2_L2A"].shape[2:], expected=f">= {SIDE} px"
        )
    pairs = {window: pair(*cubes.values(), causal=window == "causal") for window in batches.RANKS}
    frames = {name: batches.pad_missing(batches.frames_of(cube)) for name, cube in cubes.items()}
    if not any((index >= 0).any() for index, _ in pairs.values()):
        expected = f"an S1 acquisition within {S1.max_gap_days:g} days"
        raise TableError("no Sentinel-2 date has a Sentinel-1 acquisition near it", where=path, expected=expected)
    if not frames["S2_L2A"].valid.any() or not frames["S1"].valid.any():
        raise TableError("no clear pixel", where=path)
    return Place(_card(cubes["S2_L2A"], path), frames, pairs, cubes["S1"].attrs.get("smoothing"))


def split(places: list[Place], validation: int | None, rng: np.random.Generator) -> list[Place]:
    """The places with their roles: `validation` of them (one in five by default) held out, drawn by `rng`.

    Cubes of one name, or whose centres lie within 1 km, are one place and fall on one side.

    Raises
    ------
    ConfigError
        If no place would be left to train on.
    VariableError
        If the Sentinel-1 cubes were not smoothed alike.
    """
    if len({place.smoothing for place in places}) > 1:
        found = ", ".join(f"{place.card.id}: {place.smoothing}" for place in places)
        raise VariableError(
            "Sentinel-1 cubes are not smoothed alike", found=found, remedy="Build all with ecoembed cube"
        )
    group: list[int] = []
    for i, place in enumerate(places):
        same = [k for k in range(i) if _is_one_place(places[k].card, place.card)]
        group.append(group[same[0]] if same else max(group, default=-1) + 1)
    n = max(group) + 1
    n_held = n // 5 if validation is None else validation
    if not 0 <= n_held < n:
        raise ConfigError("no place left to train on", found=f"{n_held} of {n} places held out")
    held = set(rng.permutation(n)[:n_held].tolist())
    return [
        replace(p, card=p.card.model_copy(update={"role": "validation"})) if g in held else p
        for p, g in zip(places, group, strict=True)
    ]


def _is_one_place(a: PlaceCard, b: PlaceCard) -> bool:
    from pyproj import Geod

    return a.id == b.id or Geod(ellps="WGS84").inv(a.longitude, a.latitude, b.longitude, b.latitude)[2] < 1000.0


def _card(cube: xr.DataArray, path: Path) -> PlaceCard:
    from pyproj import Transformer

    to_degrees = Transformer.from_crs(cube.rio.crs, 4326, always_xy=True)
    longitude, latitude = to_degrees.transform(float(cube["x"].mean()), float(cube["y"].mean()))
    days = cube["time"].values.astype("datetime64[D]").astype(str)
    return PlaceCard(
        id=cube.attrs.get("site", path.stem),
        latitude=latitude,
        longitude=longitude,
        start=days[0],
        end=days[-1],
        dates=len(days),
        role="train",
    )


class CodedPlace:
    """The frozen encoders' codes of a part of one place, (date, pixel, code) of each sensor at the dates of S2.

    The part is a square drawn so that it holds at most CODED_PIXEL_DATES: what stage 2 keeps in memory grows with the
    number of places only.
    """

    def __init__(
        self,
        model: TwoStage,
        norms: dict[str, Normalisation],
        place: Place,
        windows: tuple[Window, ...],
        rng: np.random.Generator,
    ) -> None:
        dates, height, width = place.frames["S2_L2A"].valid.shape
        inner = height - 2 * MARGIN, width - 2 * MARGIN
        self.side = min(*inner, max(1, int((CODED_PIXEL_DATES / dates) ** 0.5)))
        corner = [int(rng.integers(0, size - self.side + 1)) for size in inner]
        rows, columns = (slice(c, c + self.side + 2 * MARGIN) for c in corner)
        self.frames = {name: frames.crop(rows, columns) for name, frames in place.frames.items()}
        self.pairs = {window: place.pairs[window] for window in windows}
        self.clear = np.argwhere(self.frames["S2_L2A"].valid[:, MARGIN:-MARGIN, MARGIN:-MARGIN].flatten(1).numpy())
        self.codes: dict[Window, tuple[Tensor, Tensor]] = {}
        for window, (index, _) in self.pairs.items():
            radar_dates, where = np.unique(np.maximum(index, 0), return_inverse=True)
            optical, radar = (
                sensor_codes(model.encoder(name), sensor_card(name, norms[name]), self.frames[name], centres, window)
                for name, centres in (("S2_L2A", np.arange(dates)), ("S1", radar_dates))
            )
            self.codes[window] = (optical, radar[torch.from_numpy(where)])


@dataclass
class Sequence:
    """A crop in space and a drawn part of the dates: what one step of stage 1 sees of one place."""

    frames: Frames
    centres: np.ndarray
    index: np.ndarray
    offset: Tensor
    window: Window


def draw_sequence(frames: Frames, side: int, centres: int, rng: np.random.Generator) -> Sequence:
    """A random crop of `side` px (plus margin) and 11 to 20 of 20 consecutive dates, with random centre dates.

    Centred and causal windows are drawn in turn, so that the same weights serve both.
    """
    n = min(CONSECUTIVE, len(frames))
    start = int(rng.integers(0, len(frames) - n + 1))
    kept = np.sort(rng.choice(n, size=int(rng.integers(min(FRAMES, n), n + 1)), replace=False)) + start
    corner = [int(rng.integers(0, size - 2 * MARGIN - side + 1)) for size in frames.valid.shape[1:]]
    rows, columns = (slice(c, c + side + 2 * MARGIN) for c in corner)
    crop = frames.crop(rows, columns, kept)
    window: Window = "centred" if rng.random() < 0.5 else "causal"
    chosen = rng.choice(len(kept), size=min(centres, len(kept)), replace=False)
    index = batches.neighbours(crop.days, crop.days[chosen], window)
    offset = crop.days[index] - crop.days[chosen][:, None]
    return Sequence(crop, chosen, index, torch.from_numpy(offset).float(), window)


def targets(
    frames: Frames, centre: np.ndarray, yx: np.ndarray, points: Points, causal: np.ndarray | bool
) -> tuple[Tensor, Tensor, Tensor]:
    """What the decoder must say at each loss point of each sample.

    Parameters
    ----------
    frames : Frames
        Padded by 7 px.
    centre : (n,) int
        Frame of each sample.
    yx : (n, 2) int
        Pixel of each sample, not counting the padding.
    points : Points
    causal : bool or (n,) bool
        Where true, frames after the centre are no targets.

    Returns
    -------
    values (n, point, band), valid (n, point), days (n, point)
    """
    frame = centre[:, None] + points.rank[None]
    exists = (frame >= 0) & (frame < len(frames)) & ~(np.asarray(causal)[..., None] & (points.rank > 0))
    frame = np.clip(frame, 0, len(frames) - 1)
    days = frames.days[frame] - frames.days[centre][:, None]
    exists &= np.abs(days) <= MAX_OFFSET_DAYS
    y, x = (torch.from_numpy(yx[:, None, k] + MARGIN + points.dyx[None, :, k]) for k in (0, 1))
    f = torch.from_numpy(frame)
    valid = frames.valid[f, y, x] & torch.from_numpy(exists)
    return frames.values[f, :, y, x], valid, torch.from_numpy(days).float()
