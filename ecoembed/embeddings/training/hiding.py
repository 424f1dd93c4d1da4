"""What is sampled of a crop, and what is hidden of it, so that the encoders must learn a place from what is left.

With the `context` objective, each date of a crop draws its own hiding: nothing, its own frame, or all frames within a
gap around it, and some of the other frames. A hidden frame is one that does not exist
(:func:`ecoembed.embeddings.batches.neighbours`), exactly as a cloudy date that was dropped. Of some frames of a crop,
cloud hides a part of the image, or a group of bands is hidden. With both objectives, the fusion does without a sensor
now and then, so that z exists without it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ecoembed.embeddings.batches import MARGIN, Frames, Window

#: Dates and pixels that are sampled of a crop.
CENTRES, PIXELS = 12, 32
#: Shares of the dates that see their own frame, that do not, and that see nothing within a gap of so many days.
CASES = {"visible": 0.4, "own": 0.15, 10.0: 0.1, 30.0: 0.2, 60.0: 0.15}
#: At most this share of the other frames is dropped.
DROPPED = 0.3
#: Shares of the frames under the cloud of another date, and of those of which half of the bands are hidden.
CLOUDED, BANDS_HIDDEN = 0.2, 0.05
#: Share of the dates without one of the sensors beside the anchor; a third as many are without the anchor altogether.
WITHHELD = 0.15


@dataclass(frozen=True)
class View:
    """What is sampled of one crop: dates (those of the frames `own`) and pixels, seen through one window.

    ``kept`` (centre, time) are the frames that exist for each date, None for all.
    """

    window: Window
    own: np.ndarray
    pixels: np.ndarray
    kept: np.ndarray | None


def draw_view(frames: Frames, objective: str, rng: np.random.Generator) -> View:
    """Dates, pixels, window and hiding of one crop: one set of weights serves both windows."""
    window: Window = "centred" if rng.random() < 0.5 else "causal"
    own = np.sort(rng.choice(len(frames), size=min(CENTRES, len(frames)), replace=False))
    inner = frames.valid[:1, MARGIN:-MARGIN, MARGIN:-MARGIN].numel()
    pixels = np.sort(rng.choice(inner, size=min(PIXELS, inner), replace=False))
    hide = kept_frames if objective == "context" else drawn_frames
    return View(window, own, pixels, hide(frames.days, own, rng))


def kept_frames(days: np.ndarray, own: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which frames (centre, time) the windows of the dates ``days[own]`` may see."""
    cases = rng.choice(len(CASES), size=len(own), p=list(CASES.values()))
    kept = rng.random((len(own), len(days))) >= DROPPED * rng.random((len(own), 1))
    for row, frame, case in zip(kept, own, (list(CASES)[c] for c in cases), strict=True):
        row[frame] = case == "visible"
        if isinstance(case, float):
            row &= np.abs(days - days[frame] - case * rng.uniform(-0.4, 0.4)) > case / 2
    return kept


def clouded(valid: Tensor, rng: np.random.Generator) -> Tensor:
    """The valid pixels (time, y, x) that are left where some frames lie under the cloud of another date."""
    under = torch.from_numpy(rng.random(len(valid)) < CLOUDED)
    other = torch.from_numpy(rng.permutation(len(valid)))
    return torch.where(under[:, None, None], valid & valid[other], valid)


def without_bands(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Standardised frames (time, band + 1, y, x), in some of which half of the bands stand at their mean."""
    time, bands = frames.shape[0], frames.shape[1] - 1
    hidden = (rng.random((time, 1)) < BANDS_HIDDEN) & (rng.random((time, bands)) < 0.5)
    seen = np.concatenate([~hidden, np.ones((time, 1), dtype=bool)], axis=1)
    return frames * torch.from_numpy(seen)[:, :, None, None].to(frames.dtype)


def drawn_frames(days: np.ndarray, own: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The `paper` objective's frames (centre, time): 11 to 20 of 20 are drawn, the same ones for all dates."""
    kept = rng.random(len(days)) >= 0.45 * rng.random()
    kept[own] = True
    return np.tile(kept, (len(own), 1))


def withheld(gaps: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Gaps (centre,) of each sensor, the anchor first, NaN where it is missing or, here and there, withheld.

    The anchor is withheld only where another sensor is left.
    """
    anchor, *others = gaps
    hidden = {name: rng.random(len(gaps[name])) < WITHHELD for name in others}
    left = {anchor: gaps[anchor]} | {name: np.where(hidden[name], np.nan, gaps[name]) for name in others}
    if others:
        alone = np.isfinite([left[name] for name in others]).any(axis=0) & (
            rng.random(len(gaps[anchor])) < WITHHELD / 3
        )
        left[anchor] = np.where(alone, np.nan, left[anchor]).astype("float32")
    return left
