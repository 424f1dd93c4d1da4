"""From cubes to embeddings: ``load_encoder(...).encode(s2, s1)``."""

from __future__ import annotations

from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from ecoembed._version import __version__
from ecoembed.cubes.pairing import pair, pair_coordinates
from ecoembed.embeddings import batches
from ecoembed.embeddings.batches import MARGIN, Frames, Window
from ecoembed.embeddings.card import ModelCard
from ecoembed.embeddings.codes import BLOCK_PIXELS, sensor_codes
from ecoembed.embeddings.fusion import DIMENSIONS
from ecoembed.embeddings.parts import Part, Place, assembled, spans
from ecoembed.embeddings.reference.checkpoint import is_official
from ecoembed.embeddings.reference.encode import ReferenceEncoder, load_official_checkpoint, reference_encoder
from ecoembed.embeddings.weights import (
    TwoStage,
    default_weights,
    empty_model,
    fill,
    random_model,
    read_tensors,
    weights_hash,
)
from ecoembed.errors import ConfigError, GridError, VariableError
from ecoembed.schema import check_cube

#: Side in pixels of what passes the encoders at once; for each pixel, 8 kB of 11 frames are held.
TILE = 128


class Encoder:
    """The two-stage encoder: Sentinel-2 and Sentinel-1 cubes of one place -> an embedding of each pixel and date.

    Attributes
    ----------
    card : ModelCard
        Sensors, band order, normalisation, training places, code version, scores.
    weights : str
        Hash of the weights.
    """

    def __init__(self, model: TwoStage, card: ModelCard) -> None:
        self.model, self.card = model.eval(), card
        self.weights = weights_hash(model, card)

    def random(self, seed: int = 0) -> Encoder:
        """The same architecture and normalisation with random weights."""
        return Encoder(random_model(seed, self.card.sensors), self.card)

    def encode(self, s2: xr.DataArray, s1: xr.DataArray | None, *, window: Window = "centred") -> xr.DataArray:
        """Embed every pixel at every Sentinel-2 date.

        Parameters
        ----------
        s2 : xr.DataArray (time, band, y, x)
            Reflectance 0-1, NaN = missing, as :func:`ecoembed.open_cube` gives.
        s1 : xr.DataArray (time, band, y, x) or None
            Backscatter in dB on the same grid, smoothed as in training (:func:`ecoembed.smooth`). Each S2 date takes
            the nearest acquisition; the last one before it, if the window is causal.
        window : {"centred", "causal"}
            Five acquisitions before and five after each date, or ten before and none after (for uses in which the
            future must not be seen).

        Returns
        -------
        xr.DataArray (time, band, y, x)
            Bands ``z1..z7``, dimensionless; NaN where the pixel was not observed by Sentinel-2 on that date. Over
            time: ``s1_gap`` (days from the date to its Sentinel-1 acquisition, or NaN), and ``s1_orbit`` if known.

        Raises
        ------
        VariableError
            If a band is absent, or a cube is of another sensor or unit.
        UnitError
            If the values contradict their unit (digital numbers for reflectance, linear power for dB).
        GridError
            If the two cubes lie on different grids.

        Notes
        -----
        The result at one pixel and date depends on that pixel's 15 x 15 neighbourhood in the frames of its windows
        and on nothing else: not on the rest of the image, on tiling, or on other dates.
        Of cubes that were opened lazily, the result is lazy, too: it is computed part by part as it is written, and
        then memory does not grow with the number of pixels or dates: about 1 GB for each core. Units are then checked
        on twelve dates.

        Source: Peters et al. (2025), arXiv 2511.11706, for the two stages.
        """
        if window not in batches.RANKS:
            raise ConfigError("unknown window", found=window, expected=" or ".join(batches.RANKS))
        batches.check_unit(check_cube(s2, "S2_L2A"))
        index = np.full(s2.sizes["time"], -1)
        pairs = {"s1_gap": ("time", np.full(s2.sizes["time"], np.nan, dtype=np.float32))}
        if s1 is not None and s1.sizes["time"]:
            _same_grid(s2, check_cube(s1, "S1"))
            self._same_smoothing(s1)
            batches.check_unit(s1)
            index, gap = pair(s2, s1, causal=window == "causal")
            pairs = pair_coordinates(s1, index, gap)
        place = Place(s2, s1, index, pairs["s1_gap"][1], window)
        threads = torch.get_num_threads()
        shape = s2.sizes["time"], DIMENSIONS, s2.sizes["y"], s2.sizes["x"]
        z = assembled(shape, threads, partial(self._part, place, threads))
        attrs = {"weights": self.weights, "window": window, "code_version": __version__}
        cube = batches.embedding_cube(z, s2, attrs).assign_coords(pairs)
        return cube if s2.chunks else cube.compute(scheduler="threads", num_workers=threads)

    def _same_smoothing(self, s1: xr.DataArray) -> None:
        found, expected = s1.attrs.get("smoothing"), self.card.sensors["S1"].smoothing
        if found != expected:
            raise VariableError(
                "Sentinel-1 is not smoothed as it was in training",
                where=s1.attrs.get("site", "encode"),
                found=found,
                expected=expected,
                remedy="Pass ecoembed.smooth(open_cube(..., sensor='S1'))" if expected else "Pass it unsmoothed",
            )

    def _part(self, place: Place, threads: int, times: slice, rows: slice, columns: slice) -> np.ndarray:
        """Embeddings (time, 7, y, x) of a part, tile by tile; parts run side by side, so each takes one thread."""
        torch.set_num_threads(1)
        try:
            part = place.read(times, rows, columns)
            z = np.empty((times.stop - times.start, DIMENSIONS, *(p.stop - p.start for p in (rows, columns))), "f4")
            for tile in product(spans(z.shape[2], TILE), spans(z.shape[3], TILE)):
                z[..., *tile] = self._tile(part, *tile, place.window)
            return z
        finally:
            torch.set_num_threads(threads)

    @torch.inference_mode()
    def _tile(self, part: Part, rows: slice, columns: slice, window: Window) -> np.ndarray:
        """Embeddings (time, 7, y, x) of a tile of what was read."""
        wide = [slice(s.start, s.stop + 2 * MARGIN) for s in (rows, columns)]
        optical = part.optical.crop(*wide)
        inner = optical.valid[part.centres, MARGIN:-MARGIN, MARGIN:-MARGIN]
        n, height, width = inner.shape
        codes = self._codes("S2_L2A", optical, part.centres, window)
        radar = torch.zeros(1, height * width, self.card.sensors["S1"].code)
        index = part.index.copy()
        if part.radar is not None:
            seen, index[index >= 0] = np.unique(index[index >= 0], return_inverse=True)
            radar = torch.cat([self._codes("S1", part.radar.crop(*wide), seen, window), radar])
        z = torch.empty(n, height * width, DIMENSIONS)
        for t, a in product(range(n), range(0, height * width, BLOCK_PIXELS)):  # without a pair, the last: zeros
            block = slice(a, a + BLOCK_PIXELS)
            own, other = codes[t, block], radar[index[t], block]
            z[t, block] = self.model.fusion(own, other, torch.tensor(part.gap[t]).expand(len(own)))
        z.masked_fill_(~inner.flatten(1)[..., None], torch.nan)
        return z.view(n, height, width, DIMENSIONS).permute(0, 3, 1, 2).numpy()

    def _codes(self, sensor: str, frames: Frames, centres: np.ndarray, window: Window) -> torch.Tensor:
        return sensor_codes(self.model.encoder(sensor), self.card.sensors[sensor], frames, centres, window)


def _same_grid(s2: xr.DataArray, s1: xr.DataArray) -> None:
    same = s2.rio.crs == s1.rio.crs and all(
        s2.sizes[d] == s1.sizes[d] and np.allclose(s2[d], s1[d], rtol=0, atol=1e-3) for d in ("y", "x")
    )
    if not same:
        raise GridError(
            "Sentinel-1 and Sentinel-2 cubes lie on different grids",
            where=s2.attrs.get("site", "encode"),
            found=f"{s1.sizes['y']} x {s1.sizes['x']} px in {s1.rio.crs}",
            expected=f"{s2.sizes['y']} x {s2.sizes['x']} px in {s2.rio.crs}",
            remedy="Open both with open_cube, which brings them to one 10 m grid",
        )


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
