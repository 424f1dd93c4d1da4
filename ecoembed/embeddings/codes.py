"""The codes of one sensor for every pixel of an image, block by block."""

from __future__ import annotations

import numpy as np
import torch

from ecoembed.embeddings import batches
from ecoembed.embeddings.batches import MARGIN, Frames, Window
from ecoembed.embeddings.card import SensorCard
from ecoembed.embeddings.dense import SensorEncoder

#: Pixels of one mixing block: its keys and values stay in the processor's cache.
BLOCK_PIXELS = 512
#: Frames that pass the convolutions together.
FRONT_FRAMES = 8


@torch.no_grad()
def sensor_codes(
    encoder: SensorEncoder, card: SensorCard, frames: Frames, centres: np.ndarray, window: Window
) -> torch.Tensor:
    """Codes (centre, pixel, code) of one sensor at the frames `centres`, from frames with a margin of 7 px.

    Each frame's token, key and value are computed once and read by the up to 11 windows that see them.
    """
    frame_input = batches.standardise(frames, card.normalisation)
    tokens = torch.cat([encoder.tokens(frame_input[t : t + FRONT_FRAMES]) for t in range(0, len(frames), FRONT_FRAMES)])
    valid = frames.valid[:, MARGIN:-MARGIN, MARGIN:-MARGIN].flatten(1)
    index = batches.neighbours(frames.days, centres, window)
    offset = torch.from_numpy(frames.days[index] - frames.days[centres][:, None]).float()
    exists, own = torch.from_numpy(index >= 0), torch.from_numpy(index == centres[:, None])
    safe = torch.from_numpy(np.maximum(index, 0))
    codes = torch.empty(len(centres), tokens.shape[1], card.code)
    for first in range(0, tokens.shape[1], BLOCK_PIXELS):
        block = slice(first, first + BLOCK_PIXELS)
        part = tokens[:, block].contiguous()
        key, value = encoder.mixing.keys_values(part)
        for i, centre in enumerate(centres):
            seen = (valid[safe[i], block] | own[i, :, None]) & exists[i, :, None]
            mixed = encoder.mixing(part[centre][None], key, value, seen[None], safe[i : i + 1], offset[i : i + 1])
            codes[i, block] = encoder.head(mixed[0])
    return codes
