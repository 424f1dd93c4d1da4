"""Regressors that read a window of past days in order: the paper's transformer, and a GRU.

Both are scikit-learn estimators, trained on the mean absolute error until sites that the training leaves out inside get
no better. A window of more than 30 days is read in at most 30 steps of several days each, no day left out: 90 days as
30 steps of 3. So the days matter and a fit takes a minute or so on one core.

Source
------
Peters et al. 2025, arXiv 2511.11706 (the transformer: a linear layer to 96, three layers, a head on the last token, L1
loss); its public code forgot the day offsets, without which the days are a set without order. Cho et al. 2014,
arXiv 1406.1078 (GRU).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ecoembed.errors import TableError, TrainingError
from ecoembed.gpp.windows import Windows

if TYPE_CHECKING:
    from torch import nn

__all__ = ["GRURegressor", "TransformerRegressor"]

#: Share of the sites (of the rows, where no sites are given) that say when to stop.
HELD_OUT = 0.2
_BATCH = 128
_ROUND = 4096  # windows: after so many the held-out sites are asked
_ASKED = 4096  # of their windows at most
_WEIGHT_DECAY = 0.01
_AT_ONCE = 1024  # windows that are predicted together


class _SequenceRegressor(RegressorMixin, BaseEstimator):
    """What both have in common; a subclass says which network reads the windows."""

    accepts_windows = True

    def __init__(
        self, max_rounds: int = 20, patience: int = 5, learning_rate: float = 1e-3, random_state: int = 0
    ) -> None:
        self.max_rounds = max_rounds
        self.patience = patience
        self.learning_rate = learning_rate
        self.random_state = random_state

    def _network(self, channels: int, length: int) -> nn.Module:
        raise NotImplementedError

    def fit(self, X: Any, y: Any, groups: Any = None) -> Any:
        """Train on these rows alone; scaling, stopping and weights know no other.

        Parameters
        ----------
        X : Windows or array-like, shape (n, columns)
            A matrix is a window of one day.
        y : array-like, shape (n,)
        groups : array-like, shape (n,), optional
            The site of each row. A fifth of the sites is left out of the training to say when to stop; without sites,
            or with one alone, a fifth of the rows.

        Raises
        ------
        TableError
            If the target never changes, a value is missing, there are fewer than two rows, or `groups` or `y` have
            another length.
        TrainingError
            If the loss becomes infinite.
        """
        windows, target = X if isinstance(X, Windows) else Windows.of_matrix(X), np.asarray(y, dtype=float)
        _check(windows, target, groups)
        rng = np.random.default_rng(self.random_state)
        held = _held_out(len(target), groups, rng)
        self.length_, self.n_features_in_ = windows.length, windows.shape[1]
        self.mean_, self.scale_ = _scaling(windows[~held])
        self.target_ = float(target[~held].mean()), float(target[~held].std()) or 1.0
        scaled = (target - self.target_[0]) / self.target_[1]
        with _one_thread():
            self._train(windows[~held], scaled[~held], windows[held], scaled[held], rng)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predictions, shape (n,), of windows, or of a matrix of as many columns as the windows had.

        Raises
        ------
        TableError
            If the windows differ from those of the fit.
        """
        check_is_fitted(self, "network_")
        windows = X if isinstance(X, Windows) else Windows.of_matrix(X, self.length_)
        if (windows.length, windows.shape[1]) != (self.length_, self.n_features_in_):
            raise TableError(
                "windows unlike those of the fit", found=f"{windows.length} days x {windows.channels} channels",
                expected=f"{self.length_} days x {self.n_features_in_ // self.length_} channels",
            )  # fmt: skip
        with _one_thread():
            scaled = self._read(windows)
        return scaled * self.target_[1] + self.target_[0]

    def _train(self, windows: Windows, y: np.ndarray, held: Windows, y_held: np.ndarray, rng: Any) -> None:
        import torch

        from ecoembed.gpp.networks import draw_weights

        self.network_ = self._network(windows.channels, windows.length)
        draw_weights(self.network_, self.random_state)
        target = torch.from_numpy(y.astype(np.float32))
        asked = rng.permutation(len(held))[:_ASKED]
        optimiser = torch.optim.AdamW(self.network_.parameters(), self.learning_rate, weight_decay=_WEIGHT_DECAY)
        best, since = (np.inf, copy.deepcopy(self.network_.state_dict())), 0
        self.losses_: list[float] = []
        for _ in range(self.max_rounds):
            for rows in _batches(len(windows), rng):
                loss = (self.network_(self._batch(windows, rows)) - target[rows]).abs().mean()
                self._refuse_divergence(loss.item())
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.network_.parameters(), 1.0)
                optimiser.step()
            error = float(np.abs(self._read(held[asked]) - y_held[asked]).mean())
            self._refuse_divergence(error)
            self.losses_.append(error)
            since = 0 if error < best[0] else since + 1
            if since == 0:
                best = error, copy.deepcopy(self.network_.state_dict())
            if since >= self.patience:
                break
        self.network_.load_state_dict(best[1])

    def _refuse_divergence(self, loss: float) -> None:
        if not np.isfinite(loss):
            raise TrainingError(
                "the loss is no number any more", where=type(self).__name__, found=loss,
                remedy=f"Lower learning_rate, now {self.learning_rate:g}",
            )  # fmt: skip

    def _batch(self, windows: Windows, rows: Any) -> Any:
        import torch

        return torch.from_numpy((windows.batch(rows) - self.mean_) / self.scale_)

    def _read(self, windows: Windows) -> np.ndarray:
        """Standardised predictions."""
        import torch

        with torch.inference_mode():
            parts = [
                self.network_(self._batch(windows, slice(start, start + _AT_ONCE))).double().numpy()
                for start in range(0, len(windows), _AT_ONCE)
            ]
        return np.concatenate(parts) if parts else np.empty(0)


class TransformerRegressor(_SequenceRegressor):
    """A transformer on the days of a window, which it knows apart by how long ago they were.

    Parameters
    ----------
    max_rounds : int, default 20
        Rounds of 4096 windows at most: of 12 sites with 1500 windows each, five passes over all of them.
    patience : int, default 5
        Rounds without a smaller error at the sites left out, after which it stops; the best weights are kept.
    learning_rate : float, default 1e-3
    random_state : int, default 0
        Decides the weights drawn, the sites left out and the order of the rows: one seed, one result.

    Attributes
    ----------
    losses_ : list of float
        After each round, the mean absolute error at the sites left out, in standard deviations of the target.
    """

    def _network(self, channels: int, length: int) -> nn.Module:
        from ecoembed.gpp.networks import Transformer

        return Transformer(channels, length)


class GRURegressor(_SequenceRegressor):
    """A gated recurrent unit that reads the days of a window one after another; parameters as the transformer's."""

    def _network(self, channels: int, length: int) -> nn.Module:
        from ecoembed.gpp.networks import GRU

        return GRU(channels, length)


def _check(windows: Windows, y: np.ndarray, groups: Any) -> None:
    for what, values in (("target", y), ("groups", groups)):
        if values is not None and np.shape(values) != (len(windows),):
            raise TableError(f"{what}: another length", found=np.shape(values), expected=f"({len(windows)},)")
    missing = int(np.sum(~np.isfinite(y))), int(np.sum(~np.isfinite(windows.base[windows.times_used() > 0])))
    if any(missing):
        raise TableError("missing values", found=f"{missing[0]} of the target, {missing[1]} in the windows")
    if len(y) < 2:
        raise TableError("too few rows: none can be left out", found=len(y), expected="2 or more")
    if np.ptp(y) == 0:
        raise TableError("the target never changes", found=f"{y[0]:g} in every training row")


def _held_out(count: int, groups: Any, rng: np.random.Generator) -> np.ndarray:
    """Mask of the rows that say when to stop: whole sites, or single rows where there are no two sites."""
    code = np.unique(np.asarray(groups), return_inverse=True)[1] if groups is not None else np.arange(count)
    units = int(code.max()) + 1
    if units < 2:
        code, units = np.arange(count), count
    return np.asarray(np.isin(code, rng.permutation(units)[: max(1, round(HELD_OUT * units))]))


def _scaling(windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel over all days of all windows; 1 where a channel never changes."""
    times = windows.times_used()
    days, weight = windows.base[times > 0].astype(float), times[times > 0] / times.sum()
    mean = weight @ days
    scale = np.sqrt(weight @ (days - mean) ** 2)
    return mean.astype(np.float32), np.where(scale > 1e-6 * np.abs(mean), scale, 1.0).astype(np.float32)


def _batches(count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """The rows of one round: every row equally often, but for one."""
    rows = np.concatenate([rng.permutation(count) for _ in range(-(-_ROUND // count))])[:_ROUND]
    return np.array_split(rows, _ROUND // _BATCH)


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread of torch in this thread: the result does not depend on the machine, and fits run side by side."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
