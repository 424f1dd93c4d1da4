"""The codes of one sensor for every pixel of an image: the fronts once a frame, then attention along the band of time.

The same numbers as ``TemporalMixing.forward``, which training differentiates, in the order that a processor likes:
only the 11 frames that a window can see are held, and their keys and values lie with the pixels last, so that sums
over channels and over frames run along contiguous pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from ecoembed.embeddings import batches
from ecoembed.embeddings.batches import FRAMES, MARGIN, OWN, Frames, Window
from ecoembed.embeddings.card import SensorCard
from ecoembed.embeddings.dense import HEADS, WIDTH, SensorEncoder
from ecoembed.embeddings.pointwise import apply

#: Pixels that attend together: what they see of 11 frames stays in a processor's cache.
BLOCK_PIXELS = 1024


class Held:
    """Tokens, keys and values of the last 11 frames, frame f in slot f % 11.

    Attributes
    ----------
    tokens : Tensor (11, pixel, 64)
    keys_values : Tensor (11, 128, pixel)
        Without the layer's bias, which enters with the code of the day.
    """

    def __init__(self, encoder: SensorEncoder, card: SensorCard, frames: Frames, pixels: int) -> None:
        self._encoder, self._card, self._frames = encoder, card, frames
        self._next, self._stood_in = 0, -1
        self.tokens = torch.zeros(FRAMES, pixels, WIDTH)
        self.keys_values = torch.zeros(FRAMES, 2 * WIDTH, pixels)

    def renew(self, first: int, last: int) -> None:
        """Compute what is not held of the frames ``first ... last - 1``."""
        for frame in range(max(first, self._next), last):
            part = self._frames.crop(slice(None), slice(None), slice(frame, frame + 1))
            self._put(frame, self._encoder.tokens(batches.standardise(part, self._card.normalisation))[0])
        self._next = max(last, self._next)

    def stand_in(self, frame: int) -> None:
        """Let the slot of a frame that is not held yet, and displaces none that is needed, hold the missing token."""
        if self._stood_in != frame:
            self._put(frame, self._encoder.missing().expand_as(self.tokens[0]))
            self._stood_in = frame

    def _put(self, frame: int, token: Tensor) -> None:
        mixing, slot = self._encoder.mixing, frame % FRAMES
        self.tokens[slot] = token
        torch.mm(mixing.key_value.weight, mixing.norm(token).T, out=self.keys_values[slot])


@torch.no_grad()
def sensor_codes(
    encoder: SensorEncoder, card: SensorCard, frames: Frames, centres: np.ndarray, window: Window
) -> tuple[Tensor, Tensor]:
    """Codes of one sensor for every pixel.

    Memory: the frames, the codes, and 768 bytes a pixel for each of 11 frames.

    Parameters
    ----------
    encoder : SensorEncoder
    card : SensorCard
    frames : Frames
        7 px wider all round than the codes.
    centres : np.ndarray (centre,)
        Ascending dates, in the days of `frames`, each with a frame within MAX_OFFSET_DAYS. One without a frame at
        exactly that time has the missing token for its own.
    window : {"centred", "causal"}

    Returns
    -------
    codes : Tensor (centre, pixel, code)
    seen : Tensor (centre, pixel), bool
        Whether any frame of the window observed the pixel.
    """
    valid = frames.valid[:, MARGIN:-MARGIN, MARGIN:-MARGIN].flatten(1)
    pixels = valid.shape[1]
    held = Held(encoder, card, frames, pixels)
    index = batches.neighbours(frames.days, centres, window)
    day_key, day_value = _day_codes(encoder, index, frames.days, centres)
    codes = torch.empty(len(centres), pixels, card.code)
    seen = torch.empty(len(centres), pixels, dtype=torch.bool)
    for i, (own, near) in enumerate(zip(index[:, OWN[window]].tolist(), index, strict=True)):
        near = near[near >= 0]  # consecutive: what is not there is at the ends, or the own
        first, last = int(near[0]), int(near[-1]) + 1
        held.renew(first, last)
        if own < 0:  # there are at most ten, so that the slot after them is free
            own = last
            held.stand_in(own)
        hidden = torch.full((FRAMES, pixels), -torch.inf)
        hidden[near % FRAMES] = torch.where(valid[first:last], 0.0, -torch.inf)
        hidden[own % FRAMES] = 0.0  # the date's own is always seen
        seen[i] = valid[first:last].any(dim=0)
        for a in range(0, pixels, BLOCK_PIXELS):
            block = slice(a, a + BLOCK_PIXELS)
            keys_values, token = held.keys_values[:, :, block], held.tokens[own % FRAMES, block]
            codes[i, block] = _code(encoder, token, keys_values, day_key[i], day_value[i], hidden[:, block])
    return codes, seen


def _day_codes(encoder: SensorEncoder, index: np.ndarray, days: np.ndarray, centres: np.ndarray) -> list[Tensor]:
    """What a window's day offsets add to keys and to values, (centre, slot, head, 16); with the layer's bias."""
    offset = np.zeros((len(centres), FRAMES), dtype=np.float32)
    row, _ = np.nonzero(index >= 0)
    frame = index[index >= 0]
    offset[row, frame % FRAMES] = days[frame] - centres[row]
    mixing = encoder.mixing
    layers = zip((mixing.day_key, mixing.day_value), mixing.key_value.bias.chunk(2), strict=True)
    return [(code(torch.from_numpy(offset)) + bias).unflatten(-1, (HEADS, -1)) for code, bias in layers]


def _code(
    encoder: SensorEncoder, token: Tensor, keys_values: Tensor, day_key: Tensor, day_value: Tensor, hidden: Tensor
) -> Tensor:
    """Codes (pixel, code) of one date.

    `token` (pixel, 64) is the date's own; `keys_values` (slot, 128, pixel), the codes of the days (slot, head, 16) and
    `hidden` (slot, pixel), 0 or -inf, are those of the frames that are held.
    """
    mixing = encoder.mixing
    query = F.linear(mixing.norm(token), mixing.query.weight, mixing.query.bias).T.contiguous()
    query = query.mul_((WIDTH // HEADS) ** -0.5).view(HEADS, WIDTH // HEADS, -1)
    key, value = (part.unflatten(1, (HEADS, -1)) for part in keys_values.chunk(2, dim=1))
    logits = (key * query).sum(dim=2).add_(hidden[:, None])  # (slot, head, pixel)
    logits += torch.bmm(day_key.transpose(0, 1), query).transpose(0, 1)
    share = logits.softmax(dim=0)
    seen = (value * share[:, :, None]).sum(dim=0)  # (head, 16, pixel)
    seen.baddbmm_(day_value.permute(1, 2, 0), share.transpose(0, 1))
    x = F.linear(seen.view(WIDTH, -1).T, mixing.out.weight, mixing.out.bias).add_(token)
    return apply(encoder.head, x.add_(apply(mixing.ffn, x)))
