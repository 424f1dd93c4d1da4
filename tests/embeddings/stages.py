"""A stage as small as can be, for tests of the loop; and, run as a script, a training that a test can kill."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ecoembed.embeddings.training import loop
from ecoembed.embeddings.training.places import Crop, load_places
from ecoembed.embeddings.training.roles import split
from ecoembed.embeddings.training.stage import Schedule

SENSORS = ("S2_L2A", "S1")


class Tiny:
    """Rebuilds the ten bands of a pixel through three numbers, with noise from torch's own generator."""

    name, crops, side, consecutive = "tiny", 2, 6, 8

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.module = nn.Sequential(nn.Linear(10, 3), nn.Dropout(0.2), nn.Linear(3, 10))
        self.evaluated: list[list[Crop]] = []

    def loss(self, crops: list[Crop], rng: np.random.Generator) -> Tensor:
        seen = torch.cat([crop.frames["S2_L2A"].values.movedim(1, -1)[crop.frames["S2_L2A"].valid] for crop in crops])
        seen = seen[torch.from_numpy(rng.integers(len(seen), size=64))]
        return (self.module(seen) - seen).abs().mean()

    def error(self, crops: list[Crop], rng: np.random.Generator) -> float:
        self.evaluated.append(crops)
        return float(self.loss(crops, rng))


class Poisoned(Tiny):
    """Says what it is told to, from a step on."""

    def __init__(self, at: int, poison: float) -> None:
        super().__init__()
        self.at, self.poison, self.steps = at, poison, 0

    def loss(self, crops: list[Crop], rng: np.random.Generator) -> Tensor:
        self.steps += self.module.training
        return super().loss(crops, rng) * (self.poison if self.steps > self.at else 1.0)


class Stuck(Tiny):
    """Gets worse at unseen places after the third evaluation, each time a little."""

    def error(self, crops: list[Crop], rng: np.random.Generator) -> float:
        self.evaluated.append(crops)
        return abs(len(self.evaluated) - 3.0)


class Counting(Tiny):
    """Is best after 30 steps, whatever it learns; the count is among its weights. It may be interrupted at a step."""

    def __init__(self, interrupted: int = -1) -> None:
        super().__init__()
        self.interrupted = interrupted
        self.module.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def loss(self, crops: list[Crop], rng: np.random.Generator) -> Tensor:
        self.module.steps += self.module.training
        if self.module.steps == self.interrupted:
            raise KeyboardInterrupt
        return super().loss(crops, rng)

    def error(self, crops: list[Crop], rng: np.random.Generator) -> float:
        return abs(float(self.module.steps) - 30)


class Slow(Tiny):
    """Leaves time to be killed."""

    def loss(self, crops: list[Crop], rng: np.random.Generator) -> Tensor:
        time.sleep(0.02)
        return super().loss(crops, rng)


def main(store: str, other: str, state: str, steps: str) -> None:
    """Train, and save the state after every step."""
    loop.SAVE_SECONDS = -math.inf
    places = split(load_places([store, other], SENSORS), 1, np.random.default_rng(0))
    loop.train(Slow(), places, Schedule(steps=int(steps)), 1, Path(state))


if __name__ == "__main__":
    main(*sys.argv[1:])
