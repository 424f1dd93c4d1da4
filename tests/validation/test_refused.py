"""What a table or a configuration cannot mean is refused in words that say what to do."""

import warnings

import pytest

from ecoembed.errors import ConfigError, EcoembedError, TableError
from ecoembed.validation.report.forest import forest
from ecoembed.validation.report.view import View
from tests.validation.tables import flat, run


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"target": "PFT"}, "PFT: column is not numeric.*'GRA'"),
        ({"features": {"f": ["PFT"]}}, "PFT: column is not numeric.*'GRA'"),
        ({"places": {"vegetation": "PFT", "latitude": "PFT"}}, "PFT: column is not numeric.*'GRA'"),
        ({"quality": {"column": "PFT", "min": 0.5}}, "PFT: column is not numeric.*'GRA'"),
        ({"noise": "PFT"}, "PFT: column is not numeric.*'GRA'"),
    ],
)
def test_a_vegetation_column_is_no_number_for_its_other_use(changes, match):
    with pytest.raises(TableError, match=match):
        run(flat(), **({"places": {"vegetation": "PFT"}} | changes))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"own": ["XX-T0"]}, "SITE_ID: the table has no row of one's own sites .found XX-T0.*did you mean XX-T0"),
        ({"sites": ["XX-T00", "XX-T01"], "own": ["XX-T02"]}, "one's own sites are not among the sites .found XX-T02"),
        ({"sites": []}, "sites: no site named"),
        ({"sites": ["XX-T00", "xx-t01"]}, "the table has no such sites .found xx-t01"),
        ({"variants": ["GPP"]}, "GPP: the target is said to be its own variant or noise"),
        ({"noise": "GPP"}, "GPP: the target is said to be its own variant or noise"),
        ({"variants": ["TA"]}, "TA: another estimate of the target is among the features"),
        ({"noise": "SW"}, "SW: the target's uncertainty is among the features"),
        ({"noise": "TA", "features": {"f": ["NIRv"]}}, "TA: an uncertainty below zero .found [0-9]+ of 100 rows"),
        ({"features": {"f": ["NIRv", "SITE_ID"]}}, "SITE_ID: the site is among the features"),
        ({"features": {"f": ["NIRv * date"]}}, "date: the date is among the features"),
        ({"target": "SITE_ID"}, "SITE_ID: the column of the site is named as something else, too"),
        ({"places": {"vegetation": "SITE_ID"}}, "SITE_ID: the column of the site is named as something else, too"),
        ({"places": {"latitude": "date"}}, "date: the column of the date is named as something else, too"),
        ({"quality": {"column": "SITE_ID", "min": 0.5}}, "SITE_ID: the column of the site is named as something"),
        ({"variants": ["date"]}, "date: the column of the date is named as something else, too"),
        ({"site": "date"}, "date: one column is named as the site and as the date"),
        ({"site": "site"}, "absent: site .*did you mean SITE_ID"),
        ({"features": {"f": ["NIRv + SW"]}}, r"NIRv \+ SW: the only formula is .A \* B.; make others"),
        ({"regressors": ["mean_cycle"]}, "unknown regressor .found mean_cycle; expected one of ridge"),
        ({"protocol": {"name": "years"}}, "years, train: option absent .expected train and test"),
        ({"protocol": {"name": "years", "train": [2018], "test": [2018]}}, "impossible option: 2018 in training"),
        ({"window_days": 90}, "0 of 100 rows kept; .*100.*lower window_days"),
    ],
)
def test_what_cannot_be_meant(changes, match):
    with pytest.raises(EcoembedError, match=match):
        run(flat(), **changes)


def test_a_site_is_found_as_the_table_is_read():
    table = flat(sites=3)
    table["SITE_ID"] = " " + table["SITE_ID"] + " "
    assert set(run(table, sites=["XX-T00", "XX-T01"], own=["XX-T01"]).predictions["site"]) == {"XX-T00", "XX-T01"}


def test_a_regressor_given_by_its_path_is_called_by_its_class():
    result = run(flat(sites=3), regressors=["ridge", "sklearn.tree.ExtraTreeRegressor"])
    assert set(result.scores["regressor"]) == {"ridge", "ExtraTreeRegressor"}
    assert result.record["regressors"]["ExtraTreeRegressor"] == "sklearn.tree.ExtraTreeRegressor"
    with pytest.raises(ConfigError, match="two regressors of one name"):
        run(flat(), regressors=["sklearn.svm.SVR", "sklearn.svm.SVR"])


def test_long_names_leave_room_for_the_differences():
    features = {"a_set_of_" + "very_" * 6 + "long_name": ["NIRv"], "another_set_of_such_a_very_long_name": ["SW"]}
    result = run(flat(), features=features, regressors=["ridge", "sklearn.tree.ExtraTreeRegressor"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = forest(View(result))
        figure.draw_without_rendering()
    assert figure.axes[0].get_position().width > 0.2
