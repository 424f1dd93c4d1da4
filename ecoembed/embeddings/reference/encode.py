"""From cubes to embeddings, patch by patch: the reference encoder behind the interface of the dense one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ecoembed._version import __version__
from ecoembed.embeddings import batches
from ecoembed.embeddings.card import ModelCard
from ecoembed.embeddings.checks import check_input
from ecoembed.embeddings.reference.card import official_card, reference_card
from ecoembed.embeddings.reference.checkpoint import read_official_checkpoint
from ecoembed.embeddings.reference.model import (
    CODES,
    DIMENSIONS,
    Axis,
    ReferenceModel,
    empty_reference,
    random_reference,
)
from ecoembed.embeddings.reference.patches import NORMALISATION, SMOOTHING, PatchedPlace, centred_mean
from ecoembed.embeddings.weights import fill, tensor_hash
from ecoembed.errors import ConfigError, VariableError, WeightsError
from ecoembed.files import track


class ReferenceEncoder:
    """The encoder of Peters et al. (2025): each pixel and date from its own patch of 11 x 15 x 15.

    Parameters
    ----------
    model : ReferenceModel
    card : ModelCard, optional
        As :func:`ecoembed.embeddings.reference.card.reference_card` gives; by default that of weights trained nowhere.
    batch : int
        Patches that are encoded together. With the axis ``"batch"`` they are part of the result: of one date, in the
        order of rows, 64 in the public code.

    Attributes
    ----------
    card : ModelCard
        Sensors, normalisation, axis, training places and whether they are known.
    weights : str
        Hash of all that decides an embedding.
    """

    def __init__(self, model: ReferenceModel, card: ModelCard | None = None, batch: int = 64) -> None:
        if batch < 1:
            raise ConfigError("a batch holds at least one patch", found=batch)
        self.model, self.batch = model.eval(), batch
        self.card = card or reference_card(model.axis, objective_note="none: random weights")
        said = self.card.model_dump_json(include={"architecture", "axis", "sensors"})
        self.weights = tensor_hash(f"{said} {batch if model.axis == 'batch' else ''}", model)

    def random(self, seed: int = 0) -> ReferenceEncoder:
        """The same architecture, axis and smoothing with random weights."""
        return ReferenceEncoder(random_reference(seed, self.model.axis), self.card, self.batch)

    def encode(
        self,
        s2: xr.DataArray | None,
        s1: xr.DataArray | None,
        *,
        dates: object = None,
        window: str = "centred",
        more: Sequence[xr.DataArray] = (),
    ) -> xr.DataArray:
        """Embed every pixel at every Sentinel-2 date that has five clear dates before and five after.

        Parameters
        ----------
        s2 : xr.DataArray (time, band, y, x)
            Reflectance 0-1, NaN = missing, as :func:`ecoembed.open_cube` gives.
        s1 : xr.DataArray (time, band, y, x)
            Backscatter in dB on the same grid. If it was not smoothed, it is smoothed as the authors did: centred mean
            of 3 acquisitions in linear power, whatever their orbit. Each Sentinel-2 date of a window takes the nearest
            acquisition, however far.
        dates : None
        window : {"centred"}
        more : ()
            As of the dense encoder, behind one interface; this architecture knows no other dates, window or sensor.

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
            If the window is another, or dates are given.
        VariableError
            If a band is absent, a cube is of another sensor or unit, one of the two is not given, or a third is.
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
        _refuse(dates, window, more)
        place = self._place(s2, s1)
        z = np.full((len(place.encoded), DIMENSIONS, *place.encoded.shape[1:]), np.nan, dtype=np.float32)
        for date in track(np.flatnonzero(place.encoded.any(axis=(1, 2))).tolist(), "dates"):
            y, x = np.nonzero(place.encoded[date])
            z[date][:, y, x] = self._embed(place, np.full(len(y), date), y, x).T
        attrs = {
            "encoder": "reference",
            "axis": self.model.axis,
            "batch": self.batch,
            "edges": "7 px not encoded" if self.model.axis == "batch" else "missing beyond the image",
            "normalisation": NORMALISATION,
            "smoothing": place.smoothing or "none",
            "not_encoded": json.dumps(place.without),
            "weights": self.weights,
            "window": window,
            "code_version": __version__,
        }
        return batches.embedding_cube(z, place.s2, attrs).assign_coords(place.pairs)

    def points(self, s2: xr.DataArray, s1: xr.DataArray, date: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Embed some pixels at some dates only: the numbers that :meth:`encode` gives there, without the others.

        Parameters
        ----------
        s2, s1 : xr.DataArray (time, band, y, x)
            As of :meth:`encode`.
        date, y, x : numpy.ndarray (n,), int
            Index into ``s2.time``, ``s2.y`` and ``s2.x`` of each point.

        Returns
        -------
        numpy.ndarray (n, 7), float32
            NaN where :meth:`encode` gives none.

        Raises
        ------
        ConfigError
            If a point lies outside the cube.
        VariableError, UnitError, GridError
            As :meth:`encode`.

        Notes
        -----
        With the axis ``"batch"`` an embedding depends on its batch, and so on which points are asked for.
        """
        place = self._place(s2, s1)
        points = [np.asarray(i) for i in (date, y, x)]
        for i, dim in zip(points, ("time", "y", "x"), strict=True):
            if len(i) and not 0 <= i.min() <= i.max() < s2.sizes[dim]:
                found, expected = f"{i.min()} to {i.max()}", f"0 to {s2.sizes[dim] - 1}"
                raise ConfigError(f"a point lies outside the cube along {dim}", found=found, expected=expected)
        z = np.full((len(points[0]), DIMENSIONS), np.nan, dtype=np.float32)
        there = place.encoded[tuple(points)]
        z[there] = self._embed(place, *(i[there] for i in points))
        return z

    def _place(self, s2: xr.DataArray | None, s1: xr.DataArray | None) -> PatchedPlace:
        """Both cubes, checked; Sentinel-1 smoothed as the authors did, if it was so in training and is not yet."""
        s2, s1 = _given(s2, "S2_L2A"), _given(s1, "S1")
        optical, radar = self.card.sensors["S2_L2A"], self.card.sensors["S1"]
        theirs = radar.smoothing == SMOOTHING
        if theirs:  # cubes of ours are smoothed otherwise: they are taken, and attrs tell
            radar = radar.model_copy(update={"smoothing": s1.attrs.get("smoothing")})
        check_input(s2, "S2_L2A", optical)
        check_input(s1, "S1", radar)
        smoothed = centred_mean(s1) if theirs and "smoothing" not in s1.attrs else s1
        return PatchedPlace(s2, smoothed, whole_patches=self.model.axis == "batch")

    @torch.inference_mode()
    def _embed(self, place: PatchedPlace, date: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Embeddings (n, 7) of pixels that have one; over the batch, a batch is of one date."""
        z = np.empty((len(date), DIMENSIONS), dtype=np.float32)
        apart = [np.flatnonzero(date == d) for d in np.unique(date)] if self.model.axis == "batch" else [slice(None)]
        order = [np.arange(len(date))[part] for part in apart]
        chosen = [part[i : i + self.batch] for part in order for i in range(0, len(part), self.batch)]
        for part in chosen:
            sample = place.samples(date[part], y[part], x[part])
            z[part] = self.model.encode(sample.frames, sample.days, sample.gap).numpy()
        return z


def _refuse(dates: object, window: str, more: Sequence[xr.DataArray]) -> None:
    """What the dense encoder knows behind the same interface, and this one does not."""
    if window != "centred":
        what = "the reference encoder sees five dates before and five after each, and has no other window"
        remedy = 'Take window = "centred", which sees the future, or the dense encoder'
        raise ConfigError(what, found=window, expected="centred", remedy=remedy)
    if dates is not None:
        remedy = "Leave out dates=, or use the dense encoder, which embeds any date"
        raise ConfigError("the reference encoder embeds the dates of Sentinel-2 only", found="dates=", remedy=remedy)
    if more:
        found = ", ".join(str(cube.attrs.get("sensor")) for cube in more)
        raise VariableError("the reference encoder knows no further sensor", found=found, expected="none")


def _given(cube: xr.DataArray | None, name: str) -> xr.DataArray:
    if cube is None or not cube.sizes.get("time", 1):
        remedy = "Pass it, or use the dense encoder, which can do without"
        raise VariableError(f"the reference encoder needs {name}", found="no acquisition", remedy=remedy)
    return cube


def reference_encoder(state: dict[str, Tensor], card: ModelCard, path: Path) -> ReferenceEncoder:
    """The encoder of a weights file's tensors and card.

    Raises
    ------
    WeightsError
        If the card names no axis or other sensors, or the tensors are of another architecture or not finite.
    """
    if card.axis is None or tuple(card.sensors) != tuple(CODES):
        found = f"axis {card.axis}, sensors {', '.join(card.sensors)}"
        expected = f"axis time or batch, sensors {', '.join(CODES)}"
        raise WeightsError("no card of a reference encoder", where=path, found=found, expected=expected)
    return ReferenceEncoder(fill(empty_reference(card.axis), state, path), card)


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
    return ReferenceEncoder(read_official_checkpoint(path, axis), official_card(axis), batch)
