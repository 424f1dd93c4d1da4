"""Stage 2: the codes of the sensors and their distance in days become one embedding of seven dimensions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ecoembed.embeddings.pointwise import apply

DIMENSIONS = 7
WIDTH = 128


class Fusion(nn.Module):
    """Codes of the sensors -> z and its expected error; and back, from z to each sensor's code, for its decoder.

    The signed gap from the date to a sensor's acquisition enters in units of ten days; a sensor that is missing enters
    as zeros with a flag, so that z exists (and was trained) without it.
    """

    def __init__(self, codes: dict[str, int]) -> None:
        super().__init__()
        self.names = tuple(codes)
        self.lift = nn.Linear(sum(codes.values()) + 2 * len(codes), WIDTH)
        self.block = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2 * WIDTH), nn.SiLU(), nn.Linear(2 * WIDTH, WIDTH)
        )
        self.out = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, DIMENSIONS))
        self.error = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 1))
        self.back = nn.ModuleDict({name: nn.Linear(DIMENSIONS, code) for name, code in codes.items()})

    def forward(self, codes: dict[str, Tensor], gaps: dict[str, Tensor]) -> Tensor:
        """The embedding (n, 7).

        Parameters
        ----------
        codes : dict of str to Tensor (n, code)
        gaps : dict of str to Tensor (n,)
            Days from the date to the sensor's acquisition, NaN where that sensor is missing; 0 for the anchor.
        """
        return apply(self.out, self._mixed(codes, gaps))

    def with_error(self, codes: dict[str, Tensor], gaps: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The embedding (n, 7) and its expected error (n,).

        That is the mean absolute error, in reflectance, of the ten Sentinel-2 bands rebuilt from the embedding
        against what a clear view of that pixel on that date would have given; not yet calibrated.
        """
        x = self._mixed(codes, gaps)
        return apply(self.out, x), apply(self.error, x)[:, 0].clamp(-9.0, 1.0).exp()

    def _mixed(self, codes: dict[str, Tensor], gaps: dict[str, Tensor]) -> Tensor:
        parts = []
        for name in self.names:
            gap = gaps[name][:, None]
            given = torch.isfinite(gap)
            parts += [torch.where(given, codes[name], 0.0), torch.where(given, gap / 10.0, 0.0), given.to(gap.dtype)]
        x = self.lift(torch.cat(parts, dim=-1))
        return x + apply(self.block, x)
