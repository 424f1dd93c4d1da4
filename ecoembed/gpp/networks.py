"""Two small networks that read a window of days; imported where one is fitted, because torch is heavy."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

__all__ = ["GRU", "Transformer", "day_code", "draw_weights"]

#: Steps that a window is read in, at most: a longer one has several days in each, all of them seen.
STEPS = 30
_HEADS = 4
_UNITS = 64


def _steps(days: Tensor) -> tuple[Tensor, Tensor]:
    """Windows (n, length, channels) -> (n, steps, days in a step x channels), and the day offset of each step's end.

    What is missing to a whole oldest step is filled with zeros: the channels' means.
    """
    n, length, _ = days.shape
    size = math.ceil(length / STEPS)
    steps = math.ceil(length / size)
    padded = F.pad(days, (0, 0, steps * size - length, 0))
    return padded.reshape(n, steps, -1), torch.arange(1 - steps, 1, dtype=days.dtype) * size


def _width(channels: int, length: int) -> int:
    return channels * math.ceil(length / STEPS)


def day_code(offset: Tensor, width: int) -> Tensor:
    """Sines and cosines of day offsets, with periods from 4 to 800 days; (steps,) -> (steps, width).

    Source
    ------
    Vaswani et al. 2017, arXiv 1706.03762, section 3.5, with days for positions.
    """
    period = torch.logspace(math.log10(4), math.log10(800), width // 2, dtype=offset.dtype)
    angle = offset[:, None] * (2 * math.pi / period)
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class _Block(nn.Module):
    """Attention and a feed-forward layer, each after a layer norm and added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, asked: int) -> Tensor:
        """Tokens (n, steps, width) -> the last `asked` of them, mixed with all."""
        seen = self.before(x)
        q = self._heads(self.query(seen[:, -asked:]))
        k, v = (self._heads(part) for part in self.key_value(seen).chunk(2, dim=-1))
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x[:, -asked:] + self.out(mixed)
        return x + self.feed(self.between(x))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (_HEADS, -1)).transpose(1, 2)


class Transformer(nn.Module):
    """Windows (n, length, channels) -> (n,): a token a step, its day offset, attention, a head on the last token."""

    def __init__(self, channels: int, length: int, width: int = 96, layers: int = 3) -> None:
        super().__init__()
        self.embed = nn.Linear(_width(channels, length), width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(layers))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))

    def forward(self, days: Tensor) -> Tensor:
        tokens, offset = _steps(days)
        x = self.embed(tokens)
        x = x + day_code(offset, x.shape[-1])
        *first, last = self.blocks
        for block in first:
            x = block(x, x.shape[1])
        return self.head(last(x, 1)[:, -1])[:, 0]


class GRU(nn.Module):
    """Windows (n, length, channels) -> (n,): a gated recurrent unit, and a head on its last state."""

    def __init__(self, channels: int, length: int) -> None:
        super().__init__()
        self.memory = min(length, STEPS)
        self.cell = nn.GRU(_width(channels, length), _UNITS, batch_first=True)
        self.head = nn.Sequential(nn.Linear(_UNITS, _UNITS), nn.GELU(), nn.Linear(_UNITS, 1))

    def forward(self, days: Tensor) -> Tensor:
        steps, _ = _steps(days)
        return self.head(self.cell(steps)[0][:, -1])[:, 0]


def draw_weights(network: nn.Module, seed: int) -> None:
    """Glorot's uniform weights and no biases, by a generator of its own: fits in other threads change nothing.

    A recurrent unit begins with gates that keep what they hold for 1 step to as many as a window has, or it would never
    learn from the window's far end.

    Source
    ------
    Tallec and Ollivier 2018, arXiv 1804.11188 (the gates).
    """
    generator = torch.Generator().manual_seed(seed)
    for name, values in network.named_parameters():
        if values.ndim == 2:
            nn.init.xavier_uniform_(values, generator=generator)
        elif "bias" in name:
            nn.init.zeros_(values)
    if isinstance(network, GRU):
        cell = dict(network.cell.named_parameters())
        with torch.no_grad():
            for gate in cell["weight_hh_l0"].chunk(3):
                nn.init.orthogonal_(gate, generator=generator)
            _, keep, _ = cell["bias_hh_l0"].chunk(3)
            keep.uniform_(1, network.memory, generator=generator).log_()
