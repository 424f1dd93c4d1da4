"""The two stages of the dense encoder, as the training loop sees them; being built."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ecoembed.embeddings.samples import Crop
from ecoembed.embeddings.weights import TwoStage


class SensorStage:
    """Stage 1: the autoencoder of one sensor, on crops whose fronts are shared by all samples in them."""

    crops, side, consecutive = 4, 24, 28

    def __init__(self, model: TwoStage, name: str, objective: str) -> None:
        self.name, self.model = name, model

    def loss(self, crops: list[Crop], rng: np.random.Generator) -> Tensor:
        raise NotImplementedError

    def error(self, crops: list[Crop], rng: np.random.Generator) -> float:
        raise NotImplementedError


class FusionStage:
    """Stage 2: the fusion and the decoders, on codes of encoders that are frozen (or fine-tuned, too)."""

    crops, side, consecutive = 4, 24, 28

    def __init__(self, model: TwoStage, objective: str, finetune: bool = False) -> None:
        self.name, self.model = "fusion", model

    def loss(self, crops: list[Crop], rng: np.random.Generator) -> Tensor:
        raise NotImplementedError

    def error(self, crops: list[Crop], rng: np.random.Generator) -> float:
        raise NotImplementedError
