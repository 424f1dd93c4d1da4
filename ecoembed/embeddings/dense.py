"""The dense encoder of one sensor: no operation depends on the patch edge, the batch, or absolute position.

Per frame, valid convolutions with a receptive field of exactly 15 x 15 pixels make one token for each pixel, once. Over
time, the token of a pixel's own date attends to the tokens of the 11 acquisitions of its window. Because keys and
values belong to a frame and not to a window, all windows share them. The embedding of a pixel in a whole image
therefore equals the one computed on its 11 x 15 x 15 neighbourhood alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

WIDTH = 64
HEADS = 4
DILATIONS = (1, 1, 2, 3)
SUPPORT = 1 + 2 * sum(DILATIONS)  # 15
#: Periods, in days, of the sine and cosine code of a day offset.
PERIODS = torch.logspace(0.778, 2.602, 16)  # 6 to 400 days


class Front(nn.Module):
    """Frames (n, band + 1, y, x) -> tokens (n, 64, y - 14, x - 14)."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.lift = nn.Conv2d(bands + 1, WIDTH, 1)
        self.convs = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, dilation=d) for d in DILATIONS)

    def forward(self, frames: Tensor) -> Tensor:
        x = self.lift(frames.contiguous(memory_format=torch.channels_last))
        for conv, d in zip(self.convs, DILATIONS, strict=True):
            activated = F.silu(conv(x), inplace=not torch.is_grad_enabled())
            x = activated.add_(x[..., d:-d, d:-d])
        return x


class DayCode(nn.Module):
    """Day offsets (...) -> (..., 64): sines and cosines of 16 periods and a linear term, then an MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(33, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))

    def forward(self, days: Tensor) -> Tensor:
        angle = days[..., None] * (2 * torch.pi / PERIODS.to(days))
        return self.mlp(torch.cat([angle.sin(), angle.cos(), days[..., None] / 100.0], dim=-1))


class TemporalMixing(nn.Module):
    """One layer of attention from each centre date to its window, pixel by pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.query, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.key_value = nn.Linear(WIDTH, 2 * WIDTH)
        self.day_key, self.day_value = DayCode(), DayCode()
        self.ffn = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2 * WIDTH), nn.SiLU(), nn.Linear(2 * WIDTH, WIDTH)
        )

    def keys_values(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (time, pixel, 64) of tokens (time, pixel, 64); computed once for each frame."""
        key, value = self.key_value(self.norm(tokens)).chunk(2, dim=-1)
        return key, value

    def forward(
        self, centre: Tensor, key: Tensor, value: Tensor, seen: Tensor, index: Tensor, offset: Tensor
    ) -> Tensor:
        """Mix over time.

        Parameters
        ----------
        centre : Tensor (centre, pixel, 64)
            Tokens of the centre dates.
        key, value : Tensor (time, pixel, 64)
        seen : Tensor (centre, 11, pixel), bool
            Which pixels of which window frames may be attended to; the centre itself always may.
        index : Tensor (centre, 11)
            Frame of each rank of the window (any frame where there is none).
        offset : Tensor (centre, 11)
            Days from the centre date to that frame.
        """
        n, pixels, _ = centre.shape
        heads = (HEADS, WIDTH // HEADS)
        q = self.query(self.norm(centre)).view(n, 1, pixels, *heads)
        k = (key[index] + self.day_key(offset)[:, :, None]).view(n, -1, pixels, *heads)
        logits = (q * k).sum(-1) * heads[1] ** -0.5
        share = logits.masked_fill(~seen[..., None], -torch.inf).softmax(dim=1)
        v = (value[index] + self.day_value(offset)[:, :, None]).view(n, -1, pixels, *heads)
        x = centre + self.out((share[..., None] * v).sum(dim=1).view(n, pixels, WIDTH))
        return x + self.ffn(x)


class SensorEncoder(nn.Module):
    """One sensor alone: frames -> a code of `code` dimensions for each pixel and date."""

    def __init__(self, bands: int, code: int) -> None:
        super().__init__()
        self.front, self.mixing = Front(bands), TemporalMixing()
        self.head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 128), nn.SiLU(), nn.Linear(128, code))

    def tokens(self, frames: Tensor) -> Tensor:
        """Tokens (time, pixel, 64) of standardised frames (time, band + 1, y, x), a margin of 7 px wider."""
        return self.front(frames).permute(0, 2, 3, 1).flatten(1, 2)

    def missing(self) -> Tensor:
        """Token (64,) of a frame in which nothing was observed: it stands in where a date has no acquisition."""
        lift = self.front.lift
        return self.tokens(lift.weight.new_zeros(1, lift.in_channels, SUPPORT, SUPPORT))[0, 0]


class Decoder(nn.Module):
    """Codes and a position relative to them (days, dy, dx) -> standardised bands there; for training only.

    It also says how far off it expects to be at the codes' own pixel and date, so that a code holds how sure it is; and
    what was there, in a straight line from the code, so that linear models can read it.
    """

    def __init__(self, code: int, bands: int, width: int = 256) -> None:
        super().__init__()
        self.day = DayCode()
        self.lift = nn.Linear(code + WIDTH + 2, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, bands)
        self.error, self.straight = nn.Linear(code, 1), nn.Linear(code, bands)

    def expected_error(self, code: Tensor) -> Tensor:
        """Expected mean absolute error of the bands, in the method's units; (..., code) -> (...)."""
        return self.error(code)[..., 0].clamp(-9.0, 1.0).exp()

    def forward(self, code: Tensor, day: Tensor, dyx: Tensor) -> Tensor:
        """Codes (n, code), day offsets (n, point), pixel offsets (point, 2) -> (n, point, band)."""
        n, points = day.shape
        place = dyx.expand(n, points, 2) / 7.0
        x = self.lift(torch.cat([code[:, None].expand(n, points, -1), self.day(day), place], dim=-1))
        for block in self.blocks:
            x = x + F.silu(block(x))
        return self.out(x)
