"""Stage 2: the codes of the sensors and their distance in days become one embedding of seven dimensions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ecoembed.embeddings.pointwise import apply

DIMENSIONS = 7
WIDTH = 128


class Fusion(nn.Module):
    """Codes of S2 and S1 -> z; and back, from z to each sensor's code, which feeds that sensor's decoder.

    The signed gap between the two acquisitions enters in units of ten days; a sensor that was not paired enters as
    zeros with a flag, so that z exists (and was trained) without it.
    """

    def __init__(self, codes: dict[str, int]) -> None:
        super().__init__()
        self.lift = nn.Linear(sum(codes.values()) + 2, WIDTH)
        self.block = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2 * WIDTH), nn.SiLU(), nn.Linear(2 * WIDTH, WIDTH)
        )
        self.out = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, DIMENSIONS))
        self.back = nn.ModuleDict({name: nn.Linear(DIMENSIONS, code) for name, code in codes.items()})

    def forward(self, s2: Tensor, s1: Tensor, gap: Tensor) -> Tensor:
        """(n, 9), (n, 2) and gaps in days (n,), NaN where S1 is unpaired -> (n, 7)."""
        paired = torch.isfinite(gap)
        gap = torch.where(paired, gap / 10.0, 0.0)
        s1 = torch.where(paired[:, None], s1, 0.0)
        x = self.lift(torch.cat([s2, s1, gap[:, None], paired[:, None].to(s2.dtype)], dim=-1))
        return apply(self.out, x + apply(self.block, x))
