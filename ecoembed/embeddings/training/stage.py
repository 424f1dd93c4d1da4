"""What the loop trains, how long and how fast, and what it tells of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from torch import Tensor, nn

from ecoembed.embeddings.training.places import Crop

#: Largest learning rate, unless a schedule has its own.
LEARNING_RATE = 1.5e-3
#: Share of the steps over which the learning rate rises from 0.
WARM_UP = 0.05


class Stage(Protocol):
    """What the loop trains.

    Attributes
    ----------
    name : str
        Names its state, its curve and its random numbers.
    module : torch.nn.Module
        What is trained and saved. Frozen parts have ``requires_grad`` False.
    crops, side, consecutive : int
        Crops of a step (and of an unseen place), their side in px and their dates.
    """

    name: str
    crops: int
    side: int
    consecutive: int

    @property
    def module(self) -> nn.Module: ...

    def loss(self, crops: list[Crop], rng: np.random.Generator) -> Tensor:
        """What a step lowers; without a gradient where the crops show nothing, which is then no step."""

    def error(self, crops: list[Crop], rng: np.random.Generator) -> float:
        """What an early stop watches, at one unseen place; NaN where the crops show nothing."""


@dataclass(frozen=True)
class Schedule:
    """How long, how fast, in what precision, and how many processes draw crops."""

    steps: int
    learning_rate: float = LEARNING_RATE
    precision: Literal["fp32", "bf16"] = "fp32"
    workers: int = 0

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        warm = max(1, round(WARM_UP * self.steps))
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))


@dataclass
class Curve:
    """At each evaluation: steps done, mean loss since the last one, mean error over unseen places, learning rate."""

    step: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    error: list[float | None] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
