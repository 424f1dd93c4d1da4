"""From cubes to embeddings, patch by patch: the reference encoder behind the interface of the dense one."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from ecoembed._version import __version__
from ecoembed.cubes.pairing import pair, pair_coordinates
from ecoembed.embeddings import batches
from ecoembed.embeddings.reference.checkpoint import read_official_checkpoint
from ecoembed.embeddings.reference.model import DIMENSIONS, Axis, ReferenceModel, random_reference
from ecoembed.embeddings.reference.patches import HALF, NORMALISATION, Patches, centred_mean, windows, without_edge
from ecoembed.embeddings.weights import tensor_hash
from ecoembed.errors import ConfigError, VariableError
from ecoembed.schema import check_cube


class ReferenceEncoder:
    """The encoder of Peters et al. (2025): each pixel and date from its own patch of 11 x 15 x 15.

    Attributes
    ----------
    model : ReferenceModel
    batch : int
        Patches that are encoded together. With the axis ``"batch"`` they are part of the result: of one date, in the
        order of rows, 64 in the public code.
    weights : str
        Hash of all that decides an embedding.
    """

    def __init__(self, model: ReferenceModel, batch: int = 64) -> None:
        if batch < 1:
            raise ConfigError("a batch holds at least one patch", found=batch)
        self.model, self.batch = model.eval(), batch
        self.weights = _hash(model, batch)

    def random(self, seed: int = 0) -> ReferenceEncoder:
        """The same architecture and axis with random weights."""
        return ReferenceEncoder(random_reference(seed, self.model.axis), self.batch)

    def encode(self, s2: xr.DataArray, s1: xr.DataArray, *, window: str = "centred") -> xr.DataArray:
        """Embed every pixel at every Sentinel-2 date that has five clear dates before and five after.

        Parameters
        ----------
        s2 : xr.DataArray (time, band, y, x)
            Reflectance 0-1, NaN = missing, as :func:`ecoembed.open_cube` gives.
        s1 : xr.DataArray (time, band, y, x)
            Backscatter in dB on the same grid. If it was not smoothed, it is smoothed as the authors did: centred mean
            of 3 acquisitions in linear power, whatever their orbit. Each Sentinel-2 date of a window takes the nearest
            acquisition, however far.
        window : {"centred"}
            The architecture has no other.

        Returns
        -------
        xr.DataArray (time, band, y, x)
            Bands ``z1..z7``, dimensionless; NaN where the pixel was not observed by Sentinel-2 on that date, and on the
            dates that attrs count under ``not_encoded``. Over time: ``s1_gap``, days to the date's acquisition of
            Sentinel-1. Attributes: ``encoder``, ``axis``, ``batch``, ``edges``, ``normalisation``, ``smoothing``,
            ``weights``.

        Raises
        ------
        ConfigError
            If the window is another.
        VariableError
            If a band is absent, a cube is of another sensor or unit, or there is no Sentinel-1.
        UnitError
            If the values contradict their unit.
        GridError
            If the two cubes lie on different grids, or the axis is ``"batch"`` and the image smaller than a patch.

        Notes
        -----
        As in the public code: a window is 11 consecutive dates with any clear pixel in the cube; days are whole
        calendar days; missing values are the mean of their band over the patch; with the axis ``"batch"``, the 7 px
        along the edge of the image are not encoded (with the axis ``"time"``, what lies beyond the edge is missing).

        Other than in the public code: a pixel counts as observed only if all its bands are (there, band by band);
        windows that span 200 days or more are not encoded (there, their dates are replaced by 11 successive days);
        dates with few clear pixels are encoded (there, only those with 3.5 % or more). How Sentinel-2 was corrected
        for illumination and view, and which cloud mask was used, is a matter of the cube, not of this encoder.

        Source: Peters et al. (2025), arXiv 2511.11706, and its public code.
        """
        if window != "centred":
            raise ConfigError("the reference encoder has no such window", found=window, expected="centred")
        check_cube(s2, "S2_L2A")
        if s1 is None or not s1.sizes["time"]:
            where = s2.attrs.get("site", "encode")
            remedy = "Pass it, or use the dense encoder, which can do without"
            raise VariableError("the reference encoder needs Sentinel-1", where=where, remedy=remedy)
        check_cube(s1, "S1")
        index, gap = pair(s2, s1, max_gap_days=np.inf)
        batches.frames_of(s1)  # refuses another unit, which smoothing would hide
        smoothed = s1 if "smoothing" in s1.attrs else centred_mean(s1)
        optical, radar = (Patches(batches.frames_of(cube), cube.attrs["sensor"]) for cube in (s2, smoothed))
        observed = optical.observed
        if self.model.axis == "batch":
            observed = without_edge(observed)
        z = np.full((s2.sizes["time"], DIMENSIONS, *observed.shape[1:]), np.nan, dtype=np.float32)
        skipped: Counter[str] = Counter()
        for date, rows, reason in windows(optical, radar, index):
            if rows is None:
                skipped[reason] += 1
            else:
                z[date][:, observed[date]] = self._date(optical, radar, rows, index[rows], observed[date]).T
        attrs = {
            "encoder": "reference",
            "axis": self.model.axis,
            "batch": self.batch,
            "edges": "7 px not encoded" if self.model.axis == "batch" else "missing beyond the image",
            "normalisation": NORMALISATION,
            "smoothing": smoothed.attrs["smoothing"],
            "not_encoded": json.dumps(skipped),
            "weights": self.weights,
            "window": window,
            "code_version": __version__,
        }
        return batches.embedding_cube(z, s2, attrs).assign_coords(pair_coordinates(s1, index, gap))

    @torch.inference_mode()
    def _date(
        self, optical: Patches, radar: Patches, rows: np.ndarray, radar_rows: np.ndarray, where: np.ndarray
    ) -> np.ndarray:
        """Embeddings (pixel, 7) of the pixels `where` at the centre of the window `rows`."""
        parts = []
        sensors = (("S1", radar, radar_rows), ("S2_L2A", optical, rows))
        centre_gap = abs(int(optical.days[rows[HALF]] - radar.days[radar_rows[HALF]]))
        ys, xs = np.nonzero(where)
        for first in range(0, len(ys), self.batch):
            y, x = ys[first : first + self.batch], xs[first : first + self.batch]
            frames = {name: patches.cut(frame, y, x) for name, patches, frame in sensors}
            days = {
                name: torch.from_numpy(patches.days[frame] - patches.days[frame[0]]).expand(len(y), -1)
                for name, patches, frame in sensors
            }
            parts.append(self.model.encode(frames, days, torch.full((len(y),), centre_gap)))
        return torch.cat(parts).numpy() if parts else np.empty((0, DIMENSIONS), dtype=np.float32)


def _hash(model: ReferenceModel, batch: int) -> str:
    return tensor_hash(f"reference {model.axis} {batch if model.axis == 'batch' else ''} {NORMALISATION}", model)


def load_official_checkpoint(path: str | Path, *, axis: Axis = "batch", batch: int = 64) -> ReferenceEncoder:
    """The reference encoder with the authors' weights.

    Parameters
    ----------
    path : str or Path
        Their checkpoint, as :func:`read_official_checkpoint` reads it.
    axis : {"batch", "time"}
        Their weights were trained with, and their embeddings come from, attention over the batch; over time, the same
        weights give embeddings that depend on nothing but the pixel's own window, but are not theirs.
    batch : int
        Patches that are encoded together; with 1 and the axis ``"batch"``, each frame attends to itself alone.

    Returns
    -------
    ReferenceEncoder

    Raises
    ------
    FileError, WeightsError
        As :func:`read_official_checkpoint`.
    """
    return ReferenceEncoder(read_official_checkpoint(path, axis), batch)
