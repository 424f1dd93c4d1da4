"""kNNDM: the distance from test to training follows that from the prediction to the sites."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wasserstein_distance

from ecoembed.errors import ConfigError, FileError, TableError
from ecoembed.validation.land import land_outlines, land_points
from ecoembed.validation.splits.distance import nearest_training_km
from ecoembed.validation.splits.knndm import match_distances
from ecoembed.validation.splits.protocols import UNSEEN, make_folds
from tests.validation.tables import flat, samples_of


def plane(points, domain):
    between = np.linalg.norm(points[:, None] - points, axis=2)
    return between, np.linalg.norm(domain[:, None] - points, axis=2).min(axis=1)


def reached(between, group):
    """The slow way: one point, one fold at a time."""
    found = np.empty(len(between))
    for i in range(len(between)):
        found[i] = min(between[i, j] for j in range(len(between)) if group[j] != group[i])
    return found


def clustered(seed, clusters=8, each=12, spread=0.02):
    rng = np.random.default_rng(seed)
    return np.repeat(rng.uniform(size=(clusters, 2)), each, axis=0) + rng.normal(0, spread, (clusters * each, 2))


@pytest.mark.parametrize("seed", range(5))
def test_folds_of_clustered_points_are_as_far_as_the_prediction(seed):
    """The paper's first result: random folds of clustered points are far too near, these are not."""
    points, domain = clustered(seed), np.random.default_rng(99).uniform(size=(1000, 2))
    between, wanted = plane(points, domain)
    group, q = match_distances(between, wanted, points, 5)
    assert q is not None
    assert np.bincount(group).max() <= len(points) / 2
    assert set(group) == set(range(5))
    random = np.random.default_rng(seed).permutation(len(points)) % 5
    ours, theirs = (wasserstein_distance(reached(between, g), wanted) for g in (group, random))
    assert ours < 0.6 * theirs


def test_points_at_random_get_random_folds():
    rng = np.random.default_rng(3)
    points, domain = rng.uniform(size=(200, 2)), rng.uniform(size=(1000, 2))
    between, wanted = plane(points, domain)
    group, q = match_distances(between, wanted, points, 10)
    assert q is None
    assert np.bincount(group).tolist() == [20] * 10
    again, _ = match_distances(between, wanted, points, 10, seed=1)
    assert not np.array_equal(group, again)


def test_a_prediction_nearer_than_the_sites_are_to_each_other_gets_random_folds():
    """Towers on a grid, the map close around them: no fold can be nearer than leave-site-out, whatever is clustered."""
    points = np.array([(x, y) for x in range(8) for y in range(8)], dtype=float)
    between, wanted = plane(points, points + 0.05)
    group, q = match_distances(between, wanted, points, 4)
    assert q is None
    assert np.bincount(group).tolist() == [16] * 4


def test_no_fold_holds_more_than_half_of_the_sites():
    """Seven tenths of them in one small place: as a fold of its own it would match the distances best."""
    rng = np.random.default_rng(0)
    points = np.vstack([rng.normal(0, 0.001, (28, 2)), rng.uniform(-1, 1, (12, 2))])
    between, wanted = plane(points, rng.uniform(-1, 1, (1000, 2)))
    group, q = match_distances(between, wanted, points, 3)
    assert q is not None
    assert np.bincount(group).max() <= 20
    whole = np.where(np.arange(40) < 28, 0, 1 + np.arange(40) % 2)
    ours, theirs = (wasserstein_distance(reached(between, g), wanted) for g in (group, whole))
    assert theirs < ours


@pytest.mark.parametrize("seed", range(4))
def test_the_least_w_is_taken(seed):
    """The slow way: any number of clusters, dealt to the folds one by one in the order of their centres."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    rng = np.random.default_rng(seed)
    points = np.repeat(rng.uniform(size=(9, 2)), [1, 2, 3, 9, 1, 2, 5, 4, 5], axis=0) + rng.normal(0, 0.02, (32, 2))
    between, wanted = plane(points, rng.uniform(size=(500, 2)))
    group, q = match_distances(between, wanted, points, 4)
    tree = linkage(squareform(between, checks=False), "ward")
    axis = np.linalg.svd(points - points.mean(axis=0))[2][0]
    along = points @ axis * np.sign(axis[np.argmax(np.abs(axis))])
    found = {}
    for count in range(4, 33):
        cluster = fcluster(tree, count, "maxclust")
        order = sorted(set(cluster), key=lambda c: along[cluster == c].mean())
        large = [c for c in order if np.sum(cluster == c) >= 8]
        small = [c for c in order if c not in large]
        fold_of = {c: k for k, c in enumerate(large)}
        fold_of |= {c: len(large) + k % (4 - len(large)) for k, c in enumerate(small)}
        fold = np.array([fold_of[c] for c in cluster])
        if np.bincount(fold).max() <= 16:
            found[count] = wasserstein_distance(reached(between, fold), wanted)
    assert found[q] == min(found.values())
    assert wasserstein_distance(reached(between, group), wanted) == pytest.approx(found[q], rel=1e-9)


def towers(sites=24, seed=0):
    """Most towers in a small part of Europe, some on other continents."""
    rng = np.random.default_rng(seed)
    table = flat(sites, 8, seed)
    number = table["SITE_ID"].str[-2:].astype(int).to_numpy()
    latitude, longitude = rng.uniform(45, 52, sites), rng.uniform(0, 15, sites)
    far = [(-25, 135), (40, -100), (65, 30), (-10, -60)]
    latitude[:4], longitude[:4] = np.array(far).T
    return table.assign(LAT=latitude[number], LON=longitude[number])


PLACES = {"latitude": "LAT", "longitude": "LON", "vegetation": "PFT"}


def test_on_the_globe_the_account_is_of_these_folds():
    here = samples_of(towers(), places=PLACES)
    held = make_folds({"name": "knndm", "folds": 4}, here)
    told = held.found
    assert (held.label, held.promised, told["unit"]) == (UNSEEN, True, "km")
    assert held.options == {"folds": 4, "space": "geographic", "features": None, "domain": "land"}
    nearest = nearest_training_km(held, here)
    np.testing.assert_allclose(told["distances"]["folds"], np.quantile(nearest, told["quantiles"]), rtol=1e-4)
    assert told["wasserstein"] < told["wasserstein_leave_site_out"]
    assert told["distances"]["prediction"][4] > 3 * told["distances"]["leave_site_out"][4]


def test_the_domain_decides(tmp_path):
    """A map of Europe asks for nearer folds than one of the world."""
    here = samples_of(towers(), places=PLACES)
    europe = make_folds({"name": "knndm", "folds": 4, "domain": [0, 45, 15, 52]}, here)
    world = make_folds({"name": "knndm", "folds": 4}, here)
    assert nearest_training_km(europe, here).median() < nearest_training_km(world, here).median()
    pd.DataFrame({"latitude": [46.0, 50], "longitude": [3.0, 9]}).to_csv(tmp_path / "map.csv", index=False)
    own = make_folds({"name": "knndm", "folds": 4, "domain": str(tmp_path / "map.csv")}, here)
    assert (own.found["domain_points"], own.options["domain"]) == (2, "map.csv")
    with pytest.raises(ConfigError, match="no land in the box"):
        make_folds({"name": "knndm", "domain": [-30, 0, -20, 5]}, here)
    with pytest.raises(FileError, match="no such table"):
        make_folds({"name": "knndm", "domain": "absent.csv"}, here)


def test_in_the_space_of_features(tmp_path):
    """Sites of dull and of bright light; a domain of bright ones puts the bright sites into folds of their own."""
    table = towers()
    number = table["SITE_ID"].str[-2:].astype(int)
    table["SW"] += 400.0 * (number % 2)
    here = samples_of(table, places=PLACES)
    domain = tmp_path / "domain.csv"
    pd.DataFrame({"NIRv": [0.2, 0.25], "SW": [900.0, 950], "TA": [10.0, 9]}).to_csv(domain, index=False)
    asked = {"name": "knndm", "folds": 3, "space": "features", "features": "all", "domain": str(domain)}
    held = make_folds(asked, here)
    assert held.found["unit"] == "standard deviations"
    means = pd.DataFrame(here.features["all"]).groupby(here.site).mean().to_numpy()
    scaled = (np.array([[0.2, 900.0, 10], [0.25, 950, 9]]) - means.mean(axis=0)) / means.std(axis=0)
    nearest = np.linalg.norm(scaled[:, None] - (means - means.mean(axis=0)) / means.std(axis=0), axis=2).min(axis=1)
    told = held.found["distances"]["prediction"]
    assert [told[0], told[-1]] == pytest.approx(sorted(nearest), abs=1e-4)
    assert told[0] > 0.5
    assert held.found["wasserstein"] <= held.found["wasserstein_leave_site_out"]
    still = samples_of(table.assign(TA=10.0), places=PLACES)  # a column that does not vary: no division by its spread
    assert np.isfinite(list(make_folds(asked, still).found["distances"].values())).all()
    with pytest.raises(ConfigError, match="no such feature set"):
        make_folds({**asked, "features": "bands"}, here)
    pd.DataFrame({"NIRv": [0.2]}).to_csv(domain, index=False)
    with pytest.raises(TableError, match="SW, TA"):
        make_folds(asked, here)


# --- land -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "land"),
    [((10.0, 50.0), True), ((-60, -10), True), ((135, -25), True), ((-30, 45), False), ((50.5, 42), False),
     ((0, 0), False), ((179.5, 68), True)],
)  # fmt: skip
def test_outlines_know_land_from_water(place, land):
    """The Caspian Sea is a ring within a ring."""
    from matplotlib.path import Path

    assert sum(Path(ring).contains_point(place) for ring in land_outlines()) % 2 == land


def test_points_of_the_domain_are_spread_evenly():
    points = land_points()
    assert 1900 < len(points) < 2100
    assert points[:, 0].min() > -60
    tropical = np.abs(points[:, 0]) < 23.44  # 37 % of the land without Antarctica
    assert tropical.mean() == pytest.approx(0.37, abs=0.02)
    fiji = land_points(50, (170, -50, -170, -10))
    assert 40 < len(fiji) < 60
    assert np.all((fiji[:, 1] > 170) | (fiji[:, 1] < -170))
