"""The reference architecture: an autoencoder for each sensor, and their fusion into seven dimensions.

A frame of 15 x 15 pixels becomes a token of 256 numbers; a transformer mixes the tokens of 11 frames; a few numbers
are left of them. Every stage's shape, activation and residual follows the paper and its public code, so that weights
trained there can be used here.

Sources: Peters et al. (2025), arXiv 2511.11706, and its public code; Woo et al. (2018), arXiv 1807.06521, for the
attention over channels and pixels.
"""

from __future__ import annotations

from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ecoembed.embeddings.batches import FRAMES
from ecoembed.errors import check_name
from ecoembed.sensors import SENSORS

#: What a frame's token attends to: the other frames of its sample, or (as in the public code) the same frame of the
#: other samples of its batch.
Axis = Literal["time", "batch"]

WIDTH = 149
#: A token is 16 maps of 4 x 4.
MAPS, SIDE = 16, 4
TOKEN = MAPS * SIDE**2
#: Dimensions of each sensor's code.
CODES = {"S2_L2A": 9, "S1": 2}
#: Tokens that are left of the 11 frames.
TOKENS = {"S2_L2A": 6, "S1": 7}
#: Days for which a position within a window was learnt, and for a gap between the sensors.
MAX_SPAN_DAYS, MAX_GAP_DAYS = 200, 350
FUSED = 128
DIMENSIONS = 7


class Attention(nn.Module):
    """Weighs first the channels, then the pixels of maps (n, channel, y, x), and adds the maps themselves."""

    def __init__(self, channels: int, reduction: int, kernel: int) -> None:
        super().__init__()
        narrow = channels // reduction
        self.channel = nn.Sequential(
            nn.Conv2d(channels, narrow, 1, bias=False), nn.ReLU(), nn.Conv2d(narrow, channels, 1, bias=False)
        )
        self.spatial = nn.Conv2d(2, 1, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        peak, mean = x.amax(dim=(2, 3), keepdim=True), x.mean(dim=(2, 3), keepdim=True)
        y = x * (self.channel(peak) + self.channel(mean)).sigmoid()
        pooled = torch.cat([y.amax(dim=1, keepdim=True), y.mean(dim=1, keepdim=True)], dim=1)
        return x + y * self.spatial(pooled).sigmoid()


class OneScale(nn.Module):
    """A 3 x 3 convolution and attention."""

    def __init__(self, channels: int, out: int, reduction: int = 8, kernel: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 3, padding=1)
        self.attention = Attention(out, reduction, kernel)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(F.leaky_relu(self.conv(x), 0.01))


class TwoScales(nn.Module):
    """A 3 x 3 and a 7 x 7 convolution side by side, merged, and attention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.small = nn.Conv2d(channels, WIDTH, 3, padding=1)
        self.large = nn.Conv2d(channels, WIDTH, 7, padding=3)
        self.merge = nn.Conv2d(2 * WIDTH, WIDTH, 1)
        self.attention = Attention(WIDTH, 8, 7)

    def forward(self, x: Tensor) -> Tensor:
        scales = torch.cat([self.small(x), self.large(x)], dim=1)
        return self.attention(F.leaky_relu(self.merge(F.leaky_relu(scales, 0.1)), 0.01))


def _pooled_skip(block: nn.Module, x: Tensor) -> Tensor:
    return x + F.max_pool2d(block(x), 3, stride=1, padding=1)


class Down(nn.Module):
    """Frames (n, band, 15, 15) -> tokens (n, 256)."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.lift = nn.Conv2d(bands, WIDTH, 1)
        self.scales = TwoScales(WIDTH)
        self.halve = nn.Conv2d(WIDTH, 128, 2, stride=2)
        self.middle = OneScale(128, 128)
        self.quarter = nn.Conv2d(128, 64, 2, stride=2, padding=1)
        self.last = OneScale(64, MAPS, reduction=2, kernel=3)
        self.dropout = nn.Dropout2d(0.07)

    def forward(self, x: Tensor) -> Tensor:
        x = _pooled_skip(self.scales, F.silu(self.lift(x)))
        x = self.dropout(F.silu(self.halve(x)))
        x = self.dropout(F.silu(self.quarter(_pooled_skip(self.middle, x))))
        return self.last(x).flatten(1)


class Up(nn.Module):
    """Tokens (n, 256) -> frames (n, band, 15, 15)."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.first = OneScale(MAPS, MAPS)
        self.grow = nn.ConvTranspose2d(MAPS, 64, 2, stride=2)
        self.middle = OneScale(64, 64)
        self.grow_again = nn.ConvTranspose2d(64, 128, 2, stride=2, padding=1, output_padding=1)
        self.scales = TwoScales(128)
        self.bands = nn.Conv2d(WIDTH, bands, 3, padding=1)
        self.refine = nn.Conv2d(bands, bands, 3, padding=1)
        self.dropout = nn.Dropout2d(0.1)

    def forward(self, tokens: Tensor) -> Tensor:
        x = _pooled_skip(self.first, tokens.view(-1, MAPS, SIDE, SIDE))
        x = self.dropout(F.silu(self.grow(x)))
        x = self.dropout(self.grow_again(_pooled_skip(self.middle, x)))
        return self.refine(F.silu(self.bands(self.scales(x))))


def _transformer(width: int, heads: int, ffn: int, dropout: float, layers: int, norm_first: bool) -> nn.Module:
    layer = nn.TransformerEncoderLayer(width, heads, ffn, dropout, batch_first=True, norm_first=norm_first)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


class SensorAutoencoder(nn.Module):
    """One sensor alone: 11 frames -> its code, and back; positions and transformer serve both ways."""

    def __init__(self, bands: int, code: int, tokens: int, axis: Axis) -> None:
        super().__init__()
        self.axis = axis
        self.down, self.up = Down(bands), Up(bands)
        self.position = nn.Embedding(MAX_SPAN_DAYS + 1, TOKEN)
        self.transformer = _transformer(TOKEN, 8, 8, dropout=0.25, layers=3, norm_first=False)
        self.narrow, self.widen = nn.Linear(TOKEN, MAPS), nn.Linear(MAPS, TOKEN)
        self.fewer, self.more = nn.Linear(FRAMES, tokens), nn.Linear(tokens, FRAMES)
        self.code, self.expand = nn.Linear(MAPS * tokens, code), nn.Linear(code, MAPS * tokens)

    def encode(self, frames: Tensor, days: Tensor) -> Tensor:
        """Frames (n, 11, band, 15, 15) and their days since the first, integer (n, 11) -> codes (n, code)."""
        x = self.down(frames.flatten(0, 1)).view(-1, FRAMES, TOKEN) + self.position(days) / TOKEN**0.5
        x = self.transformer(x) if self.axis == "time" else self.transformer(x.transpose(0, 1)).transpose(0, 1)
        x = F.selu(self.narrow(x)).transpose(1, 2)
        return F.softplus(self.code(F.selu(self.fewer(x)).flatten(1)))

    def decode(self, code: Tensor, days: Tensor) -> Tensor:
        """Codes (n, code) and days (n, 11) -> frames (n, 11, band, 15, 15); over time on either axis."""
        x = F.softplus(self.expand(code)).unflatten(1, (-1, MAPS)).transpose(1, 2)
        x = F.selu(self.widen(F.selu(self.more(x)).transpose(1, 2)))
        x = self.transformer(x + self.position(days) / TOKEN**0.5)
        return self.up(x.flatten(0, 1)).unflatten(0, (-1, FRAMES))


class Fusion(nn.Module):
    """The codes of both sensors and their distance in days -> z; and back, from z to each sensor's code."""

    def __init__(self) -> None:
        super().__init__()
        self.lift = nn.ModuleDict({name: nn.Linear(code, FUSED) for name, code in CODES.items()})
        self.kind = nn.Embedding(len(CODES), FUSED)
        self.position = nn.Embedding(MAX_GAP_DAYS + 1, FUSED)
        self.transformer = _transformer(FUSED, 4, 256, dropout=0.1, layers=2, norm_first=True)
        self.norm, self.out = nn.LayerNorm(FUSED), nn.Linear(FUSED, DIMENSIONS)
        self.back = nn.ModuleDict({name: nn.Linear(DIMENSIONS, code) for name, code in CODES.items()})

    def forward(self, codes: dict[str, Tensor], gap: Tensor) -> Tensor:
        """Codes (n, code) and whole days between the centre acquisitions (n,) -> z (n, 7)."""
        tokens = torch.stack([self.lift[name](codes[name]) for name in ("S1", "S2_L2A")], dim=1)
        days = torch.stack([torch.zeros_like(gap), gap], dim=1)
        x = self.transformer(tokens + self.kind.weight + self.position(days) / FUSED**0.5)
        return F.softplus(self.out(self.norm(x.mean(dim=1))))


class ReferenceModel(nn.Module):
    """Both stages.

    Parameters
    ----------
    axis : {"time", "batch"}
        What the encoders attend over. The public code attends over the batch, so that there an embedding depends on
        which samples share its batch; with batches of one, each frame attends to itself alone.

    Raises
    ------
    ConfigError
        If the axis is another.
    """

    def __init__(self, axis: Axis = "time") -> None:
        super().__init__()
        check_name(axis, get_args(Axis), "axis of attention")
        self.axis = axis
        self.sensors = nn.ModuleDict(
            {
                name: SensorAutoencoder(len(SENSORS[name].bands), code, TOKENS[name], axis)
                for name, code in CODES.items()
            }
        )
        self.fusion = Fusion()

    def sensor(self, name: str) -> SensorAutoencoder:
        """The autoencoder of one sensor."""
        return cast(SensorAutoencoder, self.sensors[name])

    def encode(self, frames: dict[str, Tensor], days: dict[str, Tensor], gap: Tensor) -> Tensor:
        """Embeddings of patches.

        Parameters
        ----------
        frames : dict of Tensor (n, 11, band, 15, 15)
            By sensor; 0 to 1 over its valid range, nothing missing.
        days : dict of Tensor (n, 11), integer
            Days of each sensor's frames since its first one, at most 200.
        gap : Tensor (n,), integer
            Days between the centre frames of the sensors, 0 to 350.

        Returns
        -------
        Tensor (n, 7)
        """
        return self.fusion({name: self.sensor(name).encode(x, days[name]) for name, x in frames.items()}, gap)

    def reconstruct(self, z: Tensor, days: dict[str, Tensor]) -> dict[str, Tensor]:
        """Each sensor's frames (n, 11, band, 15, 15), rebuilt from z (n, 7)."""
        return {name: self.sensor(name).decode(self.fusion.back[name](z), days[name]) for name in CODES}


def empty_reference(axis: Axis) -> ReferenceModel:
    """The architecture without values, and without touching any random generator."""
    with torch.device("meta"):
        return ReferenceModel(axis)


def random_reference(seed: int, axis: Axis = "time") -> ReferenceModel:
    """The architecture with random weights, from a generator of this call.

    Weights uniform in +-sqrt(6/fan-in), so that values keep their size through the layers; biases 0, embeddings normal.
    """
    generator = torch.Generator().manual_seed(seed)
    model = empty_reference(axis).to_empty(device="cpu")
    with torch.no_grad():
        for module in model.modules():
            for name, parameter in module.named_parameters(recurse=False):
                if isinstance(module, nn.Embedding):
                    parameter.normal_(generator=generator)
                elif isinstance(module, nn.LayerNorm):
                    parameter.fill_(float(name == "weight"))
                elif name.endswith("bias"):
                    parameter.zero_()
                else:
                    bound = (6 / parameter[0].numel()) ** 0.5
                    parameter.uniform_(-bound, bound, generator=generator)
    return model.eval()
