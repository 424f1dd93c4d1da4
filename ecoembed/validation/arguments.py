"""The arguments of a benchmark that are judged before any table is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ecoembed.errors import ConfigError
from ecoembed.gpp.regressors import check_regressor, make_regressor

__all__ = ["check_quality", "check_seed", "named_regressors"]


def named_regressors(regressors: Sequence[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """Name -> regressor; an estimator without a name, or of which the import path is given, has that of its class."""
    if isinstance(regressors, str):
        raise ConfigError(
            "text where a list of regressors belongs", where="regressors", found=repr(regressors),
            expected=f"[{regressors!r}]",
        )  # fmt: skip
    if isinstance(regressors, Mapping):
        models = dict(regressors)
    else:
        names = [r.rpartition(".")[2] if isinstance(r, str) else type(r).__name__ for r in regressors]
        models = dict(zip(names, regressors, strict=True))
        if len(models) < len(names):
            raise ConfigError("two regressors of one name", found=", ".join(names), remedy="Pass {name: regressor}")
    if not models:
        raise ConfigError("no regressor named", expected='regressors=["ridge", "lightgbm"]')
    for model in models.values():  # an unknown name is refused before any work
        make_regressor(check_regressor(model) if isinstance(model, str) else model, n_samples=100)
    return models


def check_quality(quality: Mapping[str, Any] | None) -> None:
    """Refuse a quality that names no column, no number or other days."""
    if quality is None:
        return
    if set(quality) - {"days"} != {"column", "min"} or not isinstance(quality["column"], str):
        raise ConfigError("quality", found=dict(quality), expected='{"column": a column, "min": a number}')
    if quality.get("days", "measured") not in ("measured", "all"):
        raise ConfigError("quality: days", found=quality["days"], expected="measured or all")
    if not isinstance(quality["min"], int | float):
        raise ConfigError("quality: the least value is not a number", found=repr(quality["min"]), expected="0.75, say")


def check_seed(seed: Any) -> None:
    """Refuse what no generator of random numbers takes."""
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ConfigError("impossible seed", found=repr(seed), expected="a whole number from 0 to 2**32 - 1")
