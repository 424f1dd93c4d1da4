"""kNNDM: folds whose test sites lie as far from training as the places of the prediction lie from the sites."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, field_serializer, model_validator

from ecoembed.archives.sites.distance import great_circle_km
from ecoembed.errors import ConfigError, TableError
from ecoembed.validation.land import land_points
from ecoembed.validation.samples import Samples
from ecoembed.validation.samples.columns import as_numbers, factors, read_table, require
from ecoembed.validation.splits.folds import Partition, site_codes
from ecoembed.validation.splits.sites import Protocol, of_sites, refuse_fewer_sites, site_coordinates

__all__ = ["KNNDM", "match_distances"]

#: No fold holds more than this share of the sites; numbers of clusters tried; what the test of clustering asks.
_LARGEST_FOLD, _TRIED, _LEVEL = 0.5, 100, 0.05
_QUANTILES = (0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1)

Box = tuple[float, float, float, float]


class KNNDM(Protocol):
    """k-fold nearest-neighbour distance matching (Linnenbrink et al. 2024, doi 10.5194/gmd-17-5897-2024).

    Leave-site-out asks how well a model predicts a place as near to a tower as towers are to each other. The map, or
    the site that has none yet, is farther away: these folds make the test as far as that.

    ``space = "geographic"``: great-circle distances; `domain` is ``"land"`` (all of it but Antarctica), a box
    ``[west, south, east, north]`` of it, or the path of a table with columns ``latitude`` and ``longitude``.

    ``space = "features"``: Euclidean distances between the sites' means of the columns of the set `features`, each less
    the mean of all sites over their standard deviation; `domain` is the path of a table with these columns, one line a
    place, its mean over time. There is no default: what the prediction will meet is not told by the towers themselves.
    """

    folds: int = Field(10, ge=2)
    space: Literal["geographic", "features"] = "geographic"
    features: str | None = None
    domain: str | Box = "land"

    @model_validator(mode="after")
    def _fit(self) -> KNNDM:
        if self.space == "features" and not (self.features and isinstance(self.domain, str) and self.domain != "land"):
            raise ValueError(
                "the space of features asks for features = a set, and domain = the path of a table with its columns, "
                "one line for each place of the prediction"
            )
        if self.space == "geographic" and self.features:
            raise ValueError('features belong to space = "features"')
        if isinstance(self.domain, tuple) and not -90 <= self.domain[1] < self.domain[3] <= 90:
            raise ValueError("the box is west, south, east, north in degrees")
        return self

    @field_serializer("domain")
    def _name_of_domain(self, domain: str | Box) -> str | Box:
        return Path(domain).name if isinstance(domain, str) else domain  # a record holds no path of a machine

    def check(self, places: pd.DataFrame) -> None:
        refuse_fewer_sites(places, self.folds, "knndm")
        if self.space == "geographic":
            site_coordinates(places, "knndm")
            _places(self.domain)
        else:
            read_table(Path(str(self.domain)))  # its columns are those of a set, which only the samples have

    def partition(self, samples: Samples, seed: int) -> tuple[Partition, dict[str, Any]]:
        between, wanted, axes, _ = self._distances(samples)
        group, clusters = match_distances(between, wanted, axes, self.folds, seed)
        partition = of_sites(group, samples)
        return partition, {"clusters": clusters, **self.measured(samples, partition)}

    def measured(self, samples: Samples, partition: Partition) -> dict[str, Any]:
        """W and the distances that these folds reach, that leave-site-out would, and that the prediction asks for."""
        from scipy.stats import wasserstein_distance

        between, wanted, _, unit = self._distances(samples)
        group = np.zeros(len(between), dtype=int)
        group[site_codes(samples)] = partition.fold
        reached, alone = (_nearest_in_training(between, g) for g in (group, np.arange(len(group))))
        return {
            "unit": unit,
            "domain_points": len(wanted),
            "wasserstein": round(float(wasserstein_distance(reached, wanted)), 4),
            "wasserstein_leave_site_out": round(float(wasserstein_distance(alone, wanted)), 4),
            "quantiles": list(_QUANTILES),
            "distances": {
                name: np.quantile(values, _QUANTILES).round(4).tolist()
                for name, values in (("prediction", wanted), ("folds", reached), ("leave_site_out", alone))
            },
        }

    def _distances(self, samples: Samples) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
        """Between sites; from each place of the prediction to the nearest; the sites' coordinates; the unit."""
        if self.space == "geographic":
            points = site_coordinates(samples.places, "knndm")
            wanted = great_circle_km(_places(self.domain), points).min(axis=1)
            axes = _unit_vectors(points)  # no seam at the antimeridian
            return great_circle_km(points, points), wanted, axes, "km"
        axes, places = _features(samples, str(self.features), str(self.domain))
        return _euclidean(axes, axes), _euclidean(places, axes).min(axis=1), axes, "standard deviations"


def match_distances(
    between: np.ndarray, wanted: np.ndarray, axes: np.ndarray, folds: int, seed: int = 0
) -> tuple[np.ndarray, int | None]:
    """Folds whose distances from test to training follow `wanted` as closely as whole clusters allow.

    Parameters
    ----------
    between : numpy.ndarray of float, shape (n, n)
        Distances of the training points.
    wanted : numpy.ndarray of float, shape (m,)
        Distance of each place of the prediction to its nearest training point.
    axes : numpy.ndarray of float, shape (n, d)
        Their coordinates, by which clusters are put in order.
    folds : int
    seed : int, default 0
        Used only where the points are not clustered.

    Returns
    -------
    numpy.ndarray of int, shape (n,)
        The fold of each point.
    int or None
        The number q of clusters that it was made of; None where folds are random.

    Notes
    -----
    If the sites are no nearer to each other than the places of the prediction are to them (one-sided
    Kolmogorov-Smirnov test, p >= 0.05), random folds do. Else the sites are clustered (Ward) into q = k ... n clusters,
    clusters of n / k sites or more stay folds of their own, the others are dealt, in their order along the first
    principal component, to the folds that are left; the q of the least W wins. As in the paper, folds of more than half
    of the sites are not taken.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform
    from scipy.stats import ks_2samp, wasserstein_distance

    count = len(between)
    alone = _nearest_in_training(between, np.arange(count))
    if ks_2samp(alone, wanted, alternative="greater").pvalue >= _LEVEL:
        return np.random.default_rng(seed).permutation(count) % folds, None
    tree = linkage(squareform(between, checks=False), "ward")
    largest = max(_LARGEST_FOLD * count, np.ceil(count / folds))
    first = _first_component(axes)
    tried = {}
    for q in np.unique(np.geomspace(folds, count, _TRIED).round().astype(int)).tolist():
        group = _merged(fcluster(tree, q, "maxclust") - 1, first, folds)
        if group is not None and np.bincount(group).max() <= largest:
            tried[q] = wasserstein_distance(_nearest_in_training(between, group), wanted), group
    best = min(tried, key=lambda q: tried[q][0])
    return tried[best][1], best


def _nearest_in_training(between: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Of each point the distance to the nearest one of another group."""
    return np.asarray(np.where(group[:, None] == group, np.inf, between).min(axis=1))


def _merged(cluster: np.ndarray, first: np.ndarray, folds: int) -> np.ndarray | None:
    """The fold of each point; None where ties of the tree left fewer clusters than folds."""
    size = np.bincount(cluster)
    if len(size) < folds:
        return None
    order = np.argsort(np.bincount(cluster, first) / size, kind="stable")
    large = order[size[order] >= len(cluster) / folds]
    small = order[size[order] < len(cluster) / folds]
    fold = np.empty(len(size), dtype=int)
    fold[large] = np.arange(len(large))
    if len(small):
        fold[small] = len(large) + np.arange(len(small)) % (folds - len(large))
    return np.asarray(fold[cluster])


def _first_component(axes: np.ndarray) -> np.ndarray:
    centred = axes - axes.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    direction = directions[0] * np.sign(directions[0][np.argmax(np.abs(directions[0]))])  # a sign of its own choosing
    return np.asarray(centred @ direction)


def _unit_vectors(places: np.ndarray) -> np.ndarray:
    latitude, longitude = np.radians(places).T
    return np.column_stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    )


def _euclidean(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import cdist

    return np.asarray(cdist(one, other))


def _places(domain: str | Box) -> np.ndarray:
    """Latitude and longitude of the places of the prediction."""
    if domain == "land" or isinstance(domain, tuple):
        places = land_points(box=domain if isinstance(domain, tuple) else None)
        if not len(places):
            raise ConfigError("no land in the box", where="knndm, domain", found=domain)
        return places
    return _read_domain(domain, ["latitude", "longitude"])


def _features(samples: Samples, name: str, domain: str) -> tuple[np.ndarray, np.ndarray]:
    """The sites' means and the places of the prediction, each column on the sites' scale."""
    values = samples.features.get(name)
    if values is None:
        raise ConfigError("no such feature set", where="knndm, features", found=name, expected=list(samples.features))
    if not isinstance(values, np.ndarray):
        raise ConfigError("a window of days has no place in feature space", where="knndm", remedy="Use window_days = 1")
    codes = site_codes(samples)
    count = np.bincount(codes)
    means = np.column_stack([np.bincount(codes, column) / count for column in values.T])
    centre, spread = means.mean(axis=0), means.std(axis=0)
    spread[spread == 0] = 1.0
    return (means - centre) / spread, (_read_domain(domain, samples.names[name]) - centre) / spread


def _read_domain(path: str, columns: list[str]) -> np.ndarray:
    table = read_table(Path(path))
    require(table, [part for column in columns for part in factors(column, table.columns)])
    parts = {p: as_numbers(table[p]).to_numpy() for c in columns for p in factors(c, table.columns)}
    values = np.column_stack([np.prod([parts[p] for p in factors(c, table.columns)], axis=0) for c in columns])
    if not len(values) or np.isnan(values).any():
        raise TableError("the domain has no line, or one that lacks a value", where=path, expected=", ".join(columns))
    return values
