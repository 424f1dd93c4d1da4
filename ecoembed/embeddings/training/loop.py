"""One training loop for every stage of both encoders.

AdamW with a linear warm-up and a cosine decay, clipped gradients, an early stop on the error at unseen places. All
randomness of step k derives from (seed, stage, k): neither the number of loader workers nor a kill changes a bit of the
result. What is promised is the same bits on the same machine, with the same number of threads and versions; another
number of threads sums in another order.
"""

from __future__ import annotations

import math
import signal
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ecoembed.embeddings.training import unfinished
from ecoembed.embeddings.training.places import Crop, Place, draw_crop
from ecoembed.embeddings.training.stage import Curve, Schedule, Stage
from ecoembed.errors import TrainingError
from ecoembed.files import progress

WEIGHT_DECAY = 1.5e-4
#: Largest norm of a gradient.
CLIP = 1.0
#: Evaluations at unseen places in a whole training, and after how many without a better one it stops.
EVALUATIONS, PATIENCE = 40, 12
#: A loss diverges if its mean over so many steps exceeds so many times the first one.
MEAN_OF, TIMES = 20, 10.0
#: Seconds between two saved states.
SAVE_SECONDS = 30.0


def generator(seed: int, *what: str | int) -> np.random.Generator:
    """The random numbers of one thing, named by words and numbers."""
    return np.random.default_rng([seed, *(zlib.crc32(w.encode()) if isinstance(w, str) else w for w in what)])


def train(stage: Stage, places: list[Place], schedule: Schedule, seed: int, state: Path | None = None) -> Curve:
    """Train a stage on the places of the role ``train``; its module is left with the weights that served best.

    Best is the lowest mean error over the places of the role ``validation``, each measured on crops of its own that
    stay the same; without such places nothing stops early, and the last weights stay. Places are drawn uniformly,
    whatever their size: what a place teaches grows with the kinds of land in it rather than with its area.

    Parameters
    ----------
    stage : Stage
    places : list of Place
    schedule : Schedule
    seed : int
    state : path, optional
        The file that holds the state of an unfinished training of this stage: read if it is there, saved every 30 s.

    Raises
    ------
    TrainingError
        If a loss or a gradient is not finite, or the loss grows far beyond where it began. The module, and the state on
        disk, hold the last good weights.
    """
    with _repeatable():
        run = _Run(stage, schedule, seed, state)
        if not run.done:
            run.train(*([p for p in places if p.card.role == role] for role in ("train", "validation")))
    return run.curve


@contextmanager
def _repeatable() -> Iterator[None]:
    """Torch's kernels deterministic, and its generator as it was afterwards."""
    before = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)


class _Run:
    """A stage under training: its optimiser, what was measured, and the best weights so far."""

    def __init__(self, stage: Stage, schedule: Schedule, seed: int, file: Path | None) -> None:
        self.stage, self.schedule, self.seed, self.file = stage, schedule, seed, file
        self.parameters = {name: p for name, p in stage.module.named_parameters() if p.requires_grad}
        self.optimiser = torch.optim.AdamW(self.parameters.values(), weight_decay=WEIGHT_DECAY)
        self.losses: list[float] = []
        self.curve, self.done = Curve(), False
        self.best, self.best_step, self.best_error = _copy(stage.module), 0, math.inf
        if file and (saved := unfinished.read_state(file)):
            self._continue(*saved)

    def train(self, places: list[Place], unseen: list[Place]) -> None:
        """The loop, from where the state left it."""
        steps, saved = self.schedule.steps, time.monotonic()
        every = max(1, steps // EVALUATIONS)
        with progress(steps, f"training {self.stage.name}", done=len(self.losses)) as advance:
            for crops in _crops(self.stage, places, self.schedule, self.seed, len(self.losses)):
                self._step(crops)
                done = len(self.losses)
                if done % every == 0 or done == steps:
                    self._evaluate(unseen)
                advance(note=self._note())
                if self.curve.step and self.curve.step[-1] - self.best_step >= PATIENCE * every:
                    break
                if self.file and time.monotonic() - saved >= SAVE_SECONDS:
                    self._save()
                    saved = time.monotonic()
        self.done = True
        self._end()

    def _step(self, crops: list[Crop]) -> None:
        rng = generator(self.seed, self.stage.name, "step", len(self.losses))
        torch.manual_seed(int(rng.integers(2**62)))
        rate = self.schedule.rate(len(self.losses))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.stage.module.train()
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.schedule.precision == "bf16"):
            loss = self.stage.loss(crops, rng)
        self.losses.append(loss.item())
        norm = 0.0
        if loss.requires_grad:
            loss.backward()
            norm = nn.utils.clip_grad_norm_(self.parameters.values(), CLIP).item()
        if fault := self._fault(norm):
            self._diverged(fault, rate, crops)
        if loss.requires_grad:
            self.optimiser.step()

    def _fault(self, norm: float) -> str | None:
        if not math.isfinite(self.losses[-1]):
            return "the loss is not finite"
        if not math.isfinite(norm):
            return "the gradient is not finite"
        first = next((abs(loss) for loss in self.losses if loss), 0.0)  # only the first is surely of good weights
        if len(self.losses) > MEAN_OF and np.mean(self.losses[-MEAN_OF:]) > TIMES * first:
            return f"the loss grew to more than {TIMES:g} times what it began with ({first:.4g})"
        return None

    def _diverged(self, fault: str, rate: float, crops: list[Crop]) -> None:
        """Stop, with the best weights in the module and on disk."""
        kept = f"; the weights of step {self.best_step} are kept in {self.file}" if self.file else ""
        error = TrainingError(
            f"stage {self.stage.name} diverges: {fault}",
            where=", ".join(sorted({crop.place for crop in crops})),
            found=f"loss {self.losses[-1]:.4g} at step {len(self.losses)}, learning rate {rate:.2g}{kept}",
            remedy="Look at the values of these places; or train anew with another seed, or in fp32",
        )
        self._end({"what": error.what, **error.facts()})
        raise error

    def _evaluate(self, unseen: list[Place]) -> None:
        error, step = _unseen_error(self.stage, unseen, self.seed), len(self.losses)
        mean = float(np.mean(self.losses[self.curve.step[-1] if self.curve.step else 0 :]))
        entries = (step, mean, error, self.schedule.rate(step - 1))
        for values, entry in zip(vars(self.curve).values(), entries, strict=True):
            values.append(entry)
        if (error is None and self.best_error == math.inf) or (error is not None and error < self.best_error):
            self.best, self.best_step = _copy(self.stage.module), step
            self.best_error = math.inf if error is None else error

    def _note(self) -> str:
        error = self.curve.error[-1] if self.curve.error else None
        unseen = "" if error is None else f", at unseen places {error:.4f}"
        return f"loss {np.mean(self.losses[-MEAN_OF:]):.4f}{unseen}"

    def _save(self) -> None:
        """The whole state, from which the same numbers follow."""
        adam = {name: self.optimiser.state.get(p, {}) for name, p in self.parameters.items()}
        tensors = {f"adam {key} {name}": t for name, state in adam.items() for key, t in state.items()}
        tensors |= {f"best {name}": t for name, t in self.best.items()}
        self._write(tensors, self.stage.module.state_dict(), None)

    def _end(self, diverged: dict[str, str] | None = None) -> None:
        """The best weights, into the module and to disk."""
        self.stage.module.load_state_dict(self.best)
        self._write({}, self.best, diverged)

    def _write(self, tensors: dict[str, Tensor], module: dict[str, Tensor], diverged: dict[str, str] | None) -> None:
        if self.file is None:
            return
        tensors |= {"losses": torch.tensor(self.losses, dtype=torch.float64)}
        tensors |= {f"module {name}": t for name, t in module.items()}
        best = {"best_step": self.best_step, "best_error": None if self.best_error == math.inf else self.best_error}
        said = {"curve": asdict(self.curve), "done": self.done, "diverged": diverged, **best}
        unfinished.write_state(self.file, tensors, said)

    def _continue(self, tensors: dict[str, Tensor], said: dict[str, Any]) -> None:
        if said["diverged"]:
            raise TrainingError(**said["diverged"])
        self.stage.module.load_state_dict(_under("module ", tensors))
        self.losses, self.curve, self.done = tensors["losses"].tolist(), Curve(**said["curve"]), said["done"]
        self.best, self.best_step = _under("best ", tensors), said["best_step"]
        self.best_error = math.inf if said["best_error"] is None else said["best_error"]
        for key in ("step", "exp_avg", "exp_avg_sq"):
            for name, tensor in _under(f"adam {key} ", tensors).items():
                self.optimiser.state[self.parameters[name]][key] = tensor


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _unseen_error(stage: Stage, places: list[Place], seed: int) -> float | None:
    """Mean of the stage's error over unseen places, each on crops that are the same every time; None if none says."""
    stage.module.eval()
    errors = []
    with torch.no_grad():
        for i, place in enumerate(places):
            rngs = (generator(seed, stage.name, "unseen", i, k) for k in range(stage.crops))
            crops = [draw_crop(place, stage.side, stage.consecutive, rng) for rng in rngs]
            rng = generator(seed, stage.name, "unseen", i)
            torch.manual_seed(int(rng.integers(2**62)))
            errors.append(stage.error(crops, rng))
    told = [error for error in errors if not math.isnan(error)]
    return float(np.mean(told)) if told else None


class _Steps(Dataset[list[Crop]]):
    """The crops of each step; crop k of a step has its own random numbers, whoever draws it."""

    def __init__(self, stage: Stage, places: list[Place], seed: int) -> None:
        self.places, self.seed, self.name = places, seed, stage.name
        self.crops, self.side, self.consecutive = stage.crops, stage.side, stage.consecutive

    def __getitem__(self, step: int) -> list[Crop]:
        rngs = [generator(self.seed, self.name, "crop", step, k) for k in range(self.crops)]
        drawn = [(self.places[int(rng.integers(len(self.places)))], rng) for rng in rngs]
        return [draw_crop(place, self.side, self.consecutive, rng) for place, rng in drawn]


def _crops(stage: Stage, places: list[Place], schedule: Schedule, seed: int, first: int) -> Iterator[list[Crop]]:
    """The crops of the steps from `first` on."""
    loader = DataLoader(
        _Steps(stage, places, seed),
        batch_size=None,
        sampler=range(first, schedule.steps),
        num_workers=schedule.workers,
        collate_fn=_as_is,
        worker_init_fn=_ignore_interrupt,
        generator=torch.Generator(),  # the loader draws a seed, which nothing uses, from a generator of its own
    )
    return iter(loader)


def _as_is(crops: list[Crop]) -> list[Crop]:
    return crops


def _ignore_interrupt(worker: int) -> None:
    """Ctrl-C ends the training, which ends its workers: they say nothing themselves."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
