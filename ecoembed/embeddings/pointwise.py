"""Linear layers in use: by oneDNN, twice as fast on many processors as the BLAS behind ``nn.Linear``."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

_ONEDNN: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None


def apply(layers: nn.Sequential, x: Tensor) -> Tensor:
    """``layers(x)``; without gradients and on a CPU, each linear layer and the SiLU after it in one pass."""
    if _ONEDNN is None or torch.is_grad_enabled() or not x.is_cpu:
        return layers(x)
    for layer, following in pairwise([*layers, None]):
        if isinstance(layer, nn.Linear):
            activation = "swish" if isinstance(following, nn.SiLU) else "none"
            x = _ONEDNN(x, layer.weight, layer.bias, activation, [], "")
        elif not isinstance(layer, nn.SiLU):
            x = layer(x)
    return x
