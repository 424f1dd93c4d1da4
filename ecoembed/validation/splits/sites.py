"""Protocols that hold whole sites out: no site is ever on both sides of a fold."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from ecoembed.archives.sites.distance import great_circle_km
from ecoembed.errors import TableError
from ecoembed.validation.samples import Samples
from ecoembed.validation.splits.folds import Partition, site_codes

__all__ = [
    "LeaveClimateOut",
    "LeaveClusterOut",
    "LeaveSiteOut",
    "LeaveVegetationTypeOut",
    "Protocol",
    "SiteKFold",
    "listed",
    "of_sites",
    "refuse_fewer_sites",
    "site_coordinates",
]

_LISTED = 5


class Protocol(BaseModel):
    """A way to split; its fields are its options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Whether no site may be on both sides, and whether a row is tested only where its site is trained on.
    promised: ClassVar[bool] = True
    at_known_sites: ClassVar[bool] = False

    def check(self, places: pd.DataFrame) -> None:
        """Raise TableError where what is known of the sites (as ``Samples.places``) tells that it is impossible."""

    def partition(self, samples: Samples, seed: int) -> tuple[Partition, dict[str, Any]]:
        """The fold of each row, and what was found in making it; of samples whose places passed `check`."""
        raise NotImplementedError

    def measured(self, samples: Samples, partition: Partition) -> dict[str, Any]:
        """What is to be told of folds that were read instead of made."""
        return {}


class LeaveSiteOut(Protocol):
    """Each site is a fold, in the order of their names."""

    def partition(self, samples: Samples, seed: int) -> tuple[Partition, dict[str, Any]]:
        names = [str(name) for name in samples.places.index]
        return Partition(site_codes(samples), names), {}


class LeaveClusterOut(Protocol):
    """Sites that a chain of steps of at most this length joins share a fold (connected components)."""

    distance_km: float = Field(5.0, gt=0)

    def check(self, places: pd.DataFrame) -> None:
        group = self._clusters(places)
        if group.max() == 0:
            raise TableError(
                "all sites are one cluster: none can be left out", where="leave-cluster-out",
                found=f"{len(group)} sites, each within {self.distance_km:g} km of another",
                remedy="Choose a smaller distance_km",
            )  # fmt: skip

    def partition(self, samples: Samples, seed: int) -> tuple[Partition, dict[str, Any]]:
        group = self._clusters(samples.places)
        return of_sites(group, samples), {"clusters_of_several": int((np.bincount(group) > 1).sum())}

    def _clusters(self, places: pd.DataFrame) -> np.ndarray:
        from scipy.sparse.csgraph import connected_components

        at = site_coordinates(places, "leave-cluster-out")
        return np.asarray(connected_components(great_circle_km(at, at) <= self.distance_km, directed=False)[1])


class _LeaveClassOut(Protocol):
    _of: ClassVar[Literal["vegetation", "climate"]]

    def check(self, places: pd.DataFrame) -> None:
        classes = np.unique(_classes(places, self._of))
        if len(classes) < 2:
            raise TableError(
                f"one {self._of} only: none can be left out", found=classes[0], expected="2 or more",
                remedy="Choose another protocol, or add sites",
            )  # fmt: skip

    def partition(self, samples: Samples, seed: int) -> tuple[Partition, dict[str, Any]]:
        classes, group = np.unique(_classes(samples.places, self._of), return_inverse=True)
        return Partition(group[site_codes(samples)], [str(name) for name in classes]), {}


class LeaveVegetationTypeOut(_LeaveClassOut):
    """All sites of a vegetation type are a fold: how far a model reaches beyond the types that it knows."""

    _of = "vegetation"


class LeaveClimateOut(_LeaveClassOut):
    """All sites of a climate class are a fold."""

    _of = "climate"


class SiteKFold(Protocol):
    """Whole sites in k folds of like size and like vegetation; scikit-learn's ``StratifiedGroupKFold``."""

    folds: int = Field(10, ge=2)

    def check(self, places: pd.DataFrame) -> None:
        refuse_fewer_sites(places, self.folds, "site-k-fold")
        _classes(places, "vegetation")

    def partition(self, samples: Samples, seed: int) -> tuple[Partition, dict[str, Any]]:
        import warnings

        from sklearn.model_selection import StratifiedGroupKFold

        types, codes = _classes(samples.places, "vegetation"), site_codes(samples)
        _, kind = np.unique(types, return_inverse=True)
        if (most := int(np.bincount(kind[codes]).max())) < self.folds:
            raise TableError(
                "fewer rows of any vegetation type than folds", where="site-k-fold",
                found=f"{most} rows at most, {self.folds} folds", remedy="Choose fewer folds, or leave-site-out",
            )  # fmt: skip
        group = np.zeros(len(types), dtype=int)
        splitter = StratifiedGroupKFold(self.folds, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a type with fewer sites than folds cannot be in each
            for k, (_, test) in enumerate(splitter.split(codes, kind[codes], codes)):
                group[np.unique(codes[test])] = k
        empty = np.flatnonzero(np.bincount(group, minlength=self.folds) == 0)  # it leaves some where sites are few
        for k in empty.tolist():
            fullest = np.bincount(group).argmax()
            group[np.flatnonzero(group == fullest)[-1]] = k
        return of_sites(group, samples), {}


def of_sites(group: np.ndarray, samples: Samples) -> Partition:
    """The partition in which each site has this fold, shape (sites,)."""
    names = samples.places.index.to_numpy()
    held_out = [listed(names[group == k]) for k in range(int(group.max()) + 1)]
    return Partition(np.asarray(group)[site_codes(samples)], held_out)


def listed(names: np.ndarray) -> str:
    """Some names in words, the others counted."""
    rest = len(names) - _LISTED
    return ", ".join(map(str, names[:_LISTED])) + (f" and {rest} more" if rest > 0 else "")


def refuse_fewer_sites(places: pd.DataFrame, folds: int, name: str) -> None:
    """Raise where a fold would hold no site."""
    if len(places) < folds:
        raise TableError(
            "fewer sites than folds", where=name, found=f"{len(places)} sites, {folds} folds",
            remedy=f"Choose folds = {len(places)} or fewer, or leave-site-out",
        )  # fmt: skip


def site_coordinates(places: pd.DataFrame, name: str) -> np.ndarray:
    """Latitude and longitude of all sites in degrees, (sites, 2).

    Raises
    ------
    TableError
        If one is unknown.
    """
    at: np.ndarray = places[["latitude", "longitude"]].to_numpy(dtype=float)
    _refuse_unknown(places, ~np.isfinite(at).all(axis=1), "coordinates", "latitude and longitude", name)
    return at


def _classes(places: pd.DataFrame, of: str) -> np.ndarray:
    """The vegetation or climate of each site, text."""
    _refuse_unknown(places, places[of].isna().to_numpy(), of, of, f"a protocol by {of}")
    return places[of].to_numpy(dtype=str)


def _refuse_unknown(places: pd.DataFrame, unknown: np.ndarray, what: str, keys: str, name: str) -> None:
    if unknown.any():
        raise TableError(
            f"{what} unknown, which this protocol needs", where=name,
            found=f"{int(unknown.sum())} of {len(unknown)} sites: {listed(places.index.to_numpy()[unknown])}",
            expected=f"{keys} of every site",
            remedy=f"Add {keys} to the site table (of a table of your own: name the column under places), or choose a "
            "protocol that does without, as leave-site-out",
        )  # fmt: skip
