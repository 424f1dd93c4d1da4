"""The embedding of one pixel on one date, from its own patches alone, as it is defined: slow, and short."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from ecoembed.embeddings.encode import Encoder

DAY = np.timedelta64(1, "D")


@torch.inference_mode()
def embedded(
    encoder: Encoder, cubes: dict[str, xr.DataArray], when: np.datetime64, y: int, x: int, window: str = "centred"
) -> np.ndarray:
    """z1..z7 and the calibrated error; all NaN where no sensor saw the pixel."""
    codes, gaps = {}, {}
    for name, card in encoder.card.sensors.items():
        codes[name], gaps[name] = torch.zeros(1, card.code), torch.tensor([torch.nan])
        cube = cubes.get(name)
        if cube is None:
            continue
        cube = cube.dropna("time", how="all")
        apart = (cube["time"].values - when) / DAY
        gap = 0.0
        if name != "S2_L2A":
            allowed = apart[apart <= 0] if window == "causal" else apart
            gap = min(allowed, key=abs, default=np.inf)
            if abs(gap) > card.max_gap_days * (1 if window == "centred" else 2):
                continue
        frames = chosen(apart - gap, window)
        code, saw = coded(encoder, name, cube, frames, apart - gap, y, x)
        if saw:
            codes[name], gaps[name] = code, torch.tensor([gap], dtype=torch.float32)
    if all(gap.isnan() for gap in gaps.values()):
        return np.full(8, np.nan)
    z, error = encoder.model.fusion.with_error(codes, gaps)
    if encoder.card.error_calibration:
        error = np.interp(error, *zip(*encoder.card.error_calibration, strict=True))
    return np.append(z[0], error)


def chosen(apart: np.ndarray, window: str) -> list[int | None]:
    """The frames of a window; None for a date's own that does not exist."""
    order = [i for i in np.argsort(np.abs(apart), kind="stable") if abs(apart[i]) <= 200]
    before, after = (5, 5) if window == "centred" else (10, 0)
    own = [i for i in order if apart[i] == 0] or [None]
    return own + [i for i in order if apart[i] < 0][:before] + [i for i in order if apart[i] > 0][:after]


def coded(
    encoder: Encoder, name: str, cube: xr.DataArray, frames: list[int | None], apart: np.ndarray, y: int, x: int
) -> tuple[torch.Tensor, bool]:
    """The code (1, code) of frames of which the first is the date's own; and whether any of them saw the pixel."""
    network, card = encoder.model.encoder(name), encoder.card.sensors[name]
    low, high = card.clip
    mean, std = (np.array(values)[:, None, None] for values in (card.mean, card.std))
    patches = np.zeros((len(frames), cube.sizes["band"] + 1, 15, 15), dtype=np.float32)
    for patch, frame in zip(patches, frames, strict=True):
        for i, j in np.ndindex(15, 15):
            row, column = y + i - 7, x + j - 7
            if frame is None or not (0 <= row < cube.sizes["y"] and 0 <= column < cube.sizes["x"]):
                continue
            values = cube.values[frame, :, row, column]
            if np.isfinite(values).all():
                patch[:-1, i, j] = (np.clip(values, low, high) - mean[:, 0, 0]) / std[:, 0, 0]
                patch[-1, i, j] = 1.0
    saw = patches[:, -1, 7, 7] > 0
    seen = torch.from_numpy(saw | (np.arange(len(frames)) == 0))[None, :, None]
    offset = torch.tensor([[0.0 if frame is None else apart[frame] for frame in frames]], dtype=torch.float32)
    token = network.tokens(torch.from_numpy(patches))
    mixing = network.mixing
    index = torch.arange(len(frames))[None]
    return network.head(mixing(token[:1], *mixing.keys_values(token), seen, index, offset))[0], bool(saw.any())
