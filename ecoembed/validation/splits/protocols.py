"""Named protocols with their options, and the folds of one; a user's own scikit-learn splitter drops in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from ecoembed.errors import ConfigError, TableError, check_name
from ecoembed.validation.samples import Samples
from ecoembed.validation.splits.days import LeaveYearOut, RandomKFold, Years
from ecoembed.validation.splits.folds import (
    OUT,
    SEEN,
    TRAIN,
    UNSEEN,
    Fold,
    Folds,
    folds_of,
    refuse_unmeasured,
    site_sides,
)
from ecoembed.validation.splits.frozen import check_frozen, read_frozen
from ecoembed.validation.splits.knndm import KNNDM
from ecoembed.validation.splits.sites import (
    LeaveClimateOut,
    LeaveClusterOut,
    LeaveSiteOut,
    LeaveVegetationTypeOut,
    Protocol,
    SiteKFold,
)

__all__ = ["PROTOCOLS", "SEEN", "UNSEEN", "Fold", "Folds", "beside", "check_protocol", "make_folds", "name_of"]

#: Protocol name -> its class, whose fields are its options.
PROTOCOLS: dict[str, type[Protocol]] = {
    "leave-site-out": LeaveSiteOut,
    "leave-cluster-out": LeaveClusterOut,
    "leave-vegetation-type-out": LeaveVegetationTypeOut,
    "leave-climate-out": LeaveClimateOut,
    "site-k-fold": SiteKFold,
    "knndm": KNNDM,
    "leave-year-out": LeaveYearOut,
    "years": Years,
    "random-k-fold": RandomKFold,
}


def check_protocol(protocol: Any, places: pd.DataFrame | None = None) -> None:
    """Refuse a misspelt protocol or option before any work is done for it; and one that these sites cannot carry.

    Parameters
    ----------
    protocol
        As in :func:`make_folds`.
    places : pandas.DataFrame, optional
        What is known of the sites: as ``Samples.places``, which are then checked again, for some may have no rows.

    Raises
    ------
    ConfigError
        If the name is not one of `PROTOCOLS`, an option is unknown or impossible, or it is no protocol at all.
    TableError
        If there are fewer sites than folds, one type only, unknown coordinates, a file of folds of other sites ...
    """
    if _is_splitter(protocol):
        return
    chosen, frozen = _chosen(protocol)
    if places is None:
        return
    if frozen:
        check_frozen(frozen, places.index)
    else:
        chosen.check(places)


def beside(protocol: Any, folder: Path) -> Any:
    """The protocol as a file in `folder` names it: the files that it names, if any, are found there."""
    if not isinstance(protocol, Mapping):
        return protocol
    named = {k: protocol[k] for k in ("frozen", "domain") if isinstance(protocol.get(k), str)}
    return {**protocol, **{k: str(folder / name) for k, name in named.items() if name != "land"}}


def name_of(protocol: Any) -> str:
    """A protocol's name: its own, or that of the splitter's class."""
    if isinstance(protocol, str):
        return protocol
    return str(protocol["name"]) if isinstance(protocol, Mapping) else type(protocol).__name__


def make_folds(protocol: Any, samples: Samples, seed: int = 0) -> Folds:
    """The folds of a protocol.

    Parameters
    ----------
    protocol : str, mapping or scikit-learn splitter
        One of `PROTOCOLS`, ``{"name": one of them, option: value}``, or a splitter, which gets the sites as ``groups``.
        With the option ``frozen``, the path of a table that :func:`~ecoembed.validation.splits.frozen.fold_table`
        wrote, the folds are read from there.
    samples : Samples
    seed : int, default 0
        For the protocols that draw: ``site-k-fold``, ``random-k-fold``, and ``knndm`` where no matching is needed.

    Returns
    -------
    Folds
        Which rows share a fold does not depend on the order of the table.

    Raises
    ------
    ConfigError
        If the protocol or an option is unknown.
    TableError
        With fewer than two sites; where the table cannot carry the protocol (a fold without training rows, one type,
        one year, unknown coordinates, fewer sites than folds); where a splitter tests or trains on a row twice.
    """
    if _is_splitter(protocol):
        return _of_splitter(protocol, samples)
    chosen, frozen = _chosen(protocol)
    name = name_of(protocol)
    _refuse_one_site(samples)
    if frozen:
        partition = read_frozen(frozen, samples)
        found = chosen.measured(samples, partition)
    else:
        chosen.check(samples.places)
        partition, found = chosen.partition(samples, seed)
    wanted = getattr(chosen, "folds", len(partition.held_out))
    if wanted != len(partition.held_out):
        raise TableError(
            "another number of folds", where=frozen, found=len(partition.held_out), expected=wanted,
            remedy=f"Say folds = {len(partition.held_out)}, or freeze the folds again",
        )  # fmt: skip
    folds = folds_of(partition, samples, chosen.at_known_sites, name)
    refuse_unmeasured(folds, samples, name)
    options = chosen.model_dump(mode="json") | ({"frozen": Path(frozen).name} if frozen else {})
    return Folds(
        name, _label(folds, samples), chosen.promised, folds, partition.held_out, partition.fold, options,
        found | _untested(folds, partition.fold),
    )  # fmt: skip


def _is_splitter(protocol: Any) -> bool:
    return hasattr(protocol, "split") and not isinstance(protocol, str | type)


def _chosen(protocol: Any) -> tuple[Protocol, str | None]:
    """The protocol with its options, and the file of its frozen folds."""
    given = {"name": protocol} if isinstance(protocol, str) else protocol
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        expected = 'a name, {"name": name, option: value}, or a scikit-learn splitter'
        raise ConfigError("not a protocol", found=repr(protocol), expected=expected)
    options = dict(given)
    name, frozen = options.pop("name"), options.pop("frozen", None)
    kind = PROTOCOLS[check_name(name, PROTOCOLS, "protocol", otherwise="Or pass a scikit-learn splitter")]
    for option in options:
        check_name(str(option), [*kind.model_fields, "frozen"], "option", where=name)
    if frozen is not None and not isinstance(frozen, str):
        raise ConfigError("not a path", where=f"{name}, frozen", found=repr(frozen), expected="the path of a CSV file")
    try:
        return kind.model_validate(options), frozen
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ", ".join([name, *map(str, first["loc"])])
        found = None if first["type"] == "missing" else repr(first["input"])
        if found is None:
            wanted = [option for option, field in kind.model_fields.items() if field.is_required()]
            raise ConfigError("option absent", where=where, expected=" and ".join(wanted)) from None
        said = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"impossible option: {said}", where=where, found=found) from None


def _of_splitter(splitter: Any, samples: Samples) -> Folds:
    count, name = len(samples.site), name_of(splitter)
    _refuse_one_site(samples)
    try:
        split = splitter.split(np.zeros((count, 1)), groups=samples.site)
        folds = [Fold(_mask(train, count, name), np.asarray(test)) for train, test in split]
    except ValueError as exc:  # e.g. more folds than sites
        raise TableError(f"the protocol does not fit the table: {exc}", where=name) from None
    times = np.bincount(np.concatenate([np.zeros(0, int), *(fold.test for fold in folds)]), minlength=count)
    if np.any(times > 1) or not times.any():
        raise TableError(
            "the test folds hold a row more than once, or none at all", where=name,
            found=f"{int(np.sum(times == 0))} rows never, {int(np.sum(times > 1))} more than once",
        )  # fmt: skip
    refuse_unmeasured(folds, samples, name)
    number = np.full(count, TRAIN)
    for k, fold in enumerate(folds):
        if not fold.train.any() or not len(fold.test):
            raise TableError("a fold has no training row or no test row", where=f"{name}, fold {k}")
        number[fold.test] = k
    held_out = [f"fold {k}" for k in range(len(folds))]
    return Folds(name, _label(folds, samples), False, folds, held_out, number, {}, _untested(folds, number))


def _mask(rows: np.ndarray, count: int, name: str) -> np.ndarray:
    mask = np.zeros(count, dtype=bool)
    mask[rows] = True
    if mask.sum() != len(rows):
        raise TableError("a fold trains on a row twice", where=name, expected="each row once at most")
    return mask


def _refuse_one_site(samples: Samples) -> None:
    if len(samples.places) < 2:
        raise TableError(
            "too few sites: none can be left out", found=f"{len(samples.places)} site(s)", expected="2 or more",
            remedy="Add sites to the table",
        )  # fmt: skip


def _label(folds: list[Fold], samples: Samples) -> str:
    train, test = site_sides(folds, samples)
    return SEEN if np.any(train & test) else UNSEEN


def _untested(folds: list[Fold], number: np.ndarray) -> dict[str, Any]:
    """Rows that no fold scores, by reason."""
    tested = sum(len(fold.test) for fold in folds)
    counts = {
        "for training alone": int((number == TRAIN).sum()),
        "left out": int((number == OUT).sum()),
        "at sites that the fold does not train on": int((number >= 0).sum()) - tested,
    }
    return {"not_tested": {why: count for why, count in counts.items() if count}} if any(counts.values()) else {}
