import time

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit

from ecoembed.errors import ConfigError, TableError
from ecoembed.validation.splits import PROTOCOLS, SEEN, UNSEEN, check_protocol, label_of, make_folds, name_of

SITES = np.array(list("bacbacbb"), dtype=object)


def test_leave_site_out_holds_each_site_out_once_in_the_order_of_names():
    folds = make_folds("leave-site-out", SITES)
    assert [set(SITES[test]) for _, test in folds] == [{"a"}, {"b"}, {"c"}]
    for train, test in folds:
        assert set(SITES[train]) == set("abc") - set(SITES[test])
        assert train.sum() + len(test) == len(SITES)
    assert label_of(folds, SITES) == UNSEEN


def test_label_is_read_from_the_folds():
    assert label_of(make_folds(KFold(2), SITES), SITES) == SEEN
    assert label_of(make_folds(GroupKFold(2), SITES), SITES) == UNSEEN


def test_own_splitter_keeps_its_name():
    assert name_of(GroupKFold(2)) == "GroupKFold"


def test_one_site_cannot_be_left_out():
    with pytest.raises(TableError, match="1 site"):
        make_folds("leave-site-out", np.array(["a", "a"], dtype=object))


def test_folds_must_hold_every_row_once():
    with pytest.raises(TableError, match="exactly once"):
        make_folds(ShuffleSplit(3, random_state=0), SITES)
    with pytest.raises(TableError, match="does not fit"):
        make_folds(GroupKFold(5), SITES)


def test_a_row_is_trained_on_once():
    class Twice:
        def split(self, X, y=None, groups=None):
            for site in "abc":
                train = np.flatnonzero(groups != site)
                yield np.repeat(train, 2), np.flatnonzero(groups == site)

    with pytest.raises(TableError, match="Twice: a fold trains on a row twice"):
        make_folds(Twice(), SITES)


def test_many_rows_of_many_sites_are_split_at_once():
    """Sites are compared as numbers: as names, 100 000 rows of 150 sites would take minutes."""
    sites = np.repeat([f"XX-{i:03d}" for i in range(150)], 700).astype(object)
    start = time.process_time()
    folds = make_folds("leave-site-out", sites)
    assert label_of(folds, sites) == UNSEEN
    assert time.process_time() - start < 10
    assert all(set(sites[test]) == {f"XX-{k:03d}"} for k, (_, test) in enumerate(folds))


def test_unknown_protocol():
    with pytest.raises(ConfigError, match="Did you mean 'leave-site-out'"):
        make_folds("leave-sites-out", SITES)
    with pytest.raises(ConfigError, match="not a protocol"):
        make_folds(3, SITES)


def test_a_name_is_checked_alone():
    assert [check_protocol(name) for name in PROTOCOLS] == list(PROTOCOLS)
    with pytest.raises(ConfigError, match=r"found random; expected one of leave-site-out"):
        check_protocol("random")
