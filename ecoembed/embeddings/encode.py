"""From cubes to embeddings: ``load_encoder(...).encode(s2, s1)``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from ecoembed._version import __version__
from ecoembed.embeddings import batches
from ecoembed.embeddings.batches import MARGIN, Window
from ecoembed.embeddings.card import ANCHOR, ModelCard
from ecoembed.embeddings.codes import BLOCK_PIXELS, sensor_codes
from ecoembed.embeddings.fusion import DIMENSIONS
from ecoembed.embeddings.parts import assembled, spans
from ecoembed.embeddings.reference.checkpoint import is_official
from ecoembed.embeddings.reference.encode import ReferenceEncoder, load_official_checkpoint, reference_encoder
from ecoembed.embeddings.tracks import Part, Timeline, given_cubes, timeline_of
from ecoembed.embeddings.weights import (
    TwoStage,
    default_weights,
    empty_model,
    fill,
    random_model,
    read_tensors,
    weights_hash,
)
from ecoembed.errors import ConfigError

#: Side in pixels of what passes the encoders at once; for each pixel, 8 kB of 11 frames are held.
TILE = 128


class Encoder:
    """The two-stage encoder: Sentinel-2 and Sentinel-1 cubes of one place -> an embedding of each pixel and date.

    Attributes
    ----------
    card : ModelCard
        Sensors, band order, normalisation, training places, code version, probes.
    weights : str
        Hash of the weights.
    """

    def __init__(self, model: TwoStage, card: ModelCard) -> None:
        self.model, self.card = model.eval(), card
        self.weights = weights_hash(model, card)

    def random(self, seed: int = 0) -> Encoder:
        """The same architecture and normalisation with random weights."""
        return Encoder(random_model(seed, self.card.sensors), self.card)

    def encode(
        self,
        s2: xr.DataArray | None,
        s1: xr.DataArray | None = None,
        *,
        dates: Any = None,
        window: Window = "centred",
        more: Sequence[xr.DataArray] = (),
    ) -> xr.DataArray:
        """Embed every pixel at every Sentinel-2 date, or on any dates.

        Parameters
        ----------
        s2 : xr.DataArray (time, band, y, x) or None
            Reflectance 0-1, NaN = missing, as :func:`ecoembed.open_cube` gives. Without it, `dates` are needed.
        s1 : xr.DataArray (time, band, y, x) or None
            Backscatter in dB on the same grid, smoothed as in training (:func:`ecoembed.smooth`). Each date takes the
            nearest acquisition; the last one before it, if the window is causal.
        dates : sequence, optional
            Any dates or datetimes, cloudy ones too, increasing; without a time zone they are UTC. On a UTC day on
            which Sentinel-2 saw anything of the place, the date is that acquisition's; on any other day, and at pixels
            that were not seen, the embedding comes from the other acquisitions of the window.
        window : {"centred", "causal"}
            Five acquisitions before and five after each date, or ten before and none after (for uses in which the
            future must not be seen).
        more : sequence of xr.DataArray
            Cubes of further sensors of the model, each paired as Sentinel-1. A sensor of the model of which there is
            no cube is missing, everywhere.

        Returns
        -------
        xr.DataArray (time, band, y, x)
            Bands ``z1..z7``, dimensionless; NaN where the pixel was not observed by Sentinel-2 on that date. Over
            time: ``s1_gap`` (days from the date to its Sentinel-1 acquisition, or NaN), and ``s1_orbit`` if known; the
            same of each further sensor.

            With `dates`, NaN only where no sensor observed the pixel in the whole window; and one band more, ``error``:
            the mean absolute error (reflectance) that is expected of the ten Sentinel-2 bands rebuilt from the
            embedding, against a clear view of that date, calibrated where the truth was hidden.

        Raises
        ------
        ConfigError
            If the window is unknown, or `dates` cannot be read, do not increase, or are all out of reach.
        TableError
            If there is no acquisition at all.
        VariableError
            If a band is absent, or broken; no pixel of any date is clear; or a cube is of another sensor or unit, or of
            a sensor that the model does not know.
        UnitError
            If the values contradict their unit (digital numbers for reflectance, linear power for dB).
        GridError
            If the cubes lie on different grids.

        Notes
        -----
        The result at one pixel and date depends on that pixel's 15 x 15 neighbourhood in the frames of its windows
        and on nothing else: not on the rest of the image, on tiling, or on other dates. A frame is an acquisition in
        which anything of the cube was observed: one that is cloudy all over is as one that is not there. A window
        reaches 200 days at most; ``attrs["dates_without"]`` counts the dates asked for that it leaves empty.
        Of cubes that were opened lazily, the result is lazy, too: it is computed part by part as it is written, and
        then memory does not grow with the number of pixels or dates: about 1 GB for each core. Units are then checked
        on twelve dates.

        Source: Peters et al. (2025), arXiv 2511.11706, for the two stages.
        """
        if window not in batches.RANKS:
            raise ConfigError("unknown window", found=window, expected=" or ".join(batches.RANKS))
        cubes = given_cubes(self.card.sensors, s2, s1, more)
        timeline = timeline_of(self.card.sensors, cubes, dates, window)
        like, threads = next(iter(cubes.values())), torch.get_num_threads()
        shape = len(timeline.times), DIMENSIONS + timeline.any_date, like.sizes["y"], like.sizes["x"]
        read = sum(track.values_a_date() for track in timeline.tracks.values())
        z = assembled(shape, read, threads, partial(self._part, timeline, threads))
        attrs: dict[str, Any] = {"weights": self.weights, "window": window, "code_version": __version__}
        attrs |= {"error_unit": "reflectance", "dates_without": timeline.without} if timeline.any_date else {}
        cube = batches.embedding_cube(z, like, attrs, timeline.times).assign_coords(timeline.pairs)
        lazy = any(given.chunks for given in cubes.values())
        return cube if lazy else cube.compute(scheduler="threads", num_workers=threads)

    def _part(self, timeline: Timeline, threads: int, times: slice, rows: slice, columns: slice) -> np.ndarray:
        """Embeddings (time, band, y, x) of a part, tile by tile; parts run side by side, so each takes one thread."""
        torch.set_num_threads(1)
        try:
            parts = {name: track.read(times, rows, columns) for name, track in timeline.tracks.items()}
            dates, height, width = (s.stop - s.start for s in (times, rows, columns))
            z = np.empty((dates, DIMENSIONS + timeline.any_date, height, width), dtype=np.float32)
            for tile in product(spans(height, TILE), spans(width, TILE)):
                z[..., *tile] = self._tile(parts, dates, *tile, timeline)
            return z
        finally:
            torch.set_num_threads(threads)

    @torch.inference_mode()
    def _tile(
        self, parts: dict[str, Part | None], dates: int, rows: slice, columns: slice, timeline: Timeline
    ) -> np.ndarray:
        """Embeddings (time, band, y, x) of a tile of what was read."""
        height, width = (s.stop - s.start for s in (rows, columns))
        wide = [slice(s.start, s.stop + 2 * MARGIN) for s in (rows, columns)]
        cut = {name: replace(part, frames=part.frames.crop(*wide)) for name, part in parts.items() if part}
        seen = {
            name: self._codes(name, cut.get(name), (dates, height * width), timeline.window)
            for name in self.model.sensors
        }
        z = torch.empty(dates, height * width, DIMENSIONS + timeline.any_date)
        for t, a in product(range(dates), range(0, height * width, BLOCK_PIXELS)):
            block = slice(a, a + BLOCK_PIXELS)
            codes = {name: code[row[t], block] for name, (code, row, _) in seen.items()}
            gaps = {name: gap[t, block] for name, (_, _, gap) in seen.items()}
            if timeline.any_date:
                z[t, block, :DIMENSIONS], z[t, block, DIMENSIONS] = self.model.fusion.with_error(codes, gaps)
            else:
                z[t, block] = self.model.fusion(codes, gaps)
        if timeline.any_date:
            self._calibrate(z[..., DIMENSIONS])
            observed = torch.stack([torch.isfinite(gap) for _, _, gap in seen.values()]).any(dim=0)
        else:
            observed = _own(cut.get(ANCHOR), (dates, height * width))
        z.masked_fill_(~observed[..., None], torch.nan)
        return z.view(dates, height, width, -1).permute(0, 3, 1, 2).numpy()

    def _codes(
        self, name: str, part: Part | None, size: tuple[int, int], window: Window
    ) -> tuple[torch.Tensor, np.ndarray, torch.Tensor]:
        """Codes (centre, pixel, code) of a sensor; the centre of each date; its gap (date, pixel), NaN where missing.

        A sensor is missing where there is no acquisition in reach, and where none of the window observed the pixel.
        """
        card, row, gap = self.card.sensors[name], np.zeros(size[0], dtype=int), torch.full(size, torch.nan)
        if part is None:
            return torch.zeros(1, size[1], card.code), row, gap
        there = np.isfinite(part.centres)
        centres, row[there] = np.unique(part.centres[there], return_inverse=True)
        codes, seen = sensor_codes(self.model.encoder(name), card, part.frames, centres, window)
        gap[there] = torch.where(seen[row[there]], torch.from_numpy(part.gap[there])[:, None], torch.nan)
        return codes, row, gap

    def _calibrate(self, error: torch.Tensor) -> None:
        """Expected errors as the model says -> as they were measured, in place."""
        if self.card.error_calibration:
            said, measured = np.array(self.card.error_calibration).T
            error.copy_(torch.from_numpy(np.interp(error.numpy(), said, measured)))


def _own(part: Part | None, size: tuple[int, int]) -> torch.Tensor:
    """Where (date, pixel) the date's own frame observed the pixel."""
    own = torch.zeros(size, dtype=torch.bool)
    if part is not None:
        days = part.frames.days
        frame = np.searchsorted(days, part.centres).clip(max=len(days) - 1)
        there = np.flatnonzero(days[frame] == part.centres)
        own[there] = part.frames.valid[frame[there], MARGIN:-MARGIN, MARGIN:-MARGIN].flatten(1)
    return own


def load_encoder(name_or_path: str | Path = "default") -> Encoder | ReferenceEncoder:
    """An encoder with trained weights.

    Parameters
    ----------
    name_or_path : str or Path
        ``"default"`` (ships with the package), ``"random"`` (the same encoder with random weights, seed 0), or the
        path of a weights file written by ``ecoembed pretrain``, or of the authors' checkpoint (``.ckpt``).

    Returns
    -------
    Encoder or ReferenceEncoder
        ``encode(s2, s1)`` embeds; ``card`` says what the weights are and were trained on; ``random(seed)`` gives the
        same encoder with random weights.

    Raises
    ------
    FileError, WeightsError
        If the file is absent, damaged, or made for other sensors.
    """
    if str(name_or_path) == "random":
        return load_encoder().random(0)
    path = default_weights() if str(name_or_path) == "default" else Path(name_or_path)
    if is_official(path):
        return load_official_checkpoint(path)
    state, card = read_tensors(path)
    if card.architecture == "reference":
        return reference_encoder(state, card, path)
    return Encoder(fill(empty_model(card.sensors), state, path), card)
