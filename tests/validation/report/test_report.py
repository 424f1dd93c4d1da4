"""The report of an invented result with every table, and of one with none; what a browser makes of it: test_browser."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest

from ecoembed.validation.report import answer, write_figures, write_report
from ecoembed.validation.report.series import value_limits
from ecoembed.validation.report.view import View, drawn_sites
from tests.gpp import worlds
from tests.validation.invented import bare, invented
from tests.validation.tables import flat, joined, run

OWN = {
    "site": "XX-T01", "n": 60, "vegetation": "ENF", "days": "all", "inside": 0.4, "dissimilarity": 0.3,
    "others": {"features": "meteo", "regressor": "ridge", "protocol": "p", "n": 60, "r2": 0.51, "rmse": 2, "bias": -1},
    "rank": {"of": 2, "among": 2, "vegetation": "ENF", "r2s": [0.7, 0.51]},
    "with_own": {
        "scheme": "years", "label": "seen-site", "embargo_days": 30, "n": 40, "says": "its own data lower the RMSE",
        "without": {"r2": 0.5, "rmse": 2.0, "bias": 0.1}, "with": {"r2": None, "rmse": 1.5, "bias": 0.0},
    },
    "missing": [{"what": "tower height", "costs": "a fixed radius", "remedy": "--zm"}],
}  # fmt: skip


@pytest.fixture(scope="module")
def whole():
    return invented()


@pytest.fixture(scope="module")
def html(whole, tmp_path_factory):
    picture = np.zeros((4, 4, 3))
    return write_report(
        replace(whole, record=whole.record | {"own_sites": [OWN]}), tmp_path_factory.mktemp("r") / "r.html",
        pictures=[("XX-T01", "<i>forest</i>", picture)], title="<b>Mine</b>", command="ecoembed run mine",
    ).read_text()  # fmt: skip


class Page(HTMLParser):
    """Ids, links and text of a page; a tag that is closed and was not open is an error."""

    VOID = ("meta", "link", "br", "img", "wbr", "input", "hr")

    def __init__(self, html):
        super().__init__()
        self.ids, self.links, self.open, self.words = [], [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if tag == "a" else []
        self.open += [] if tag in self.VOID else [tag]

    def handle_startendtag(self, tag, attrs):
        self.ids += [dict(attrs)["id"]] if "id" in dict(attrs) else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_is_well_formed_and_every_link_within_it_leads_somewhere(html):
    page = Page(html)
    assert len(page.ids) == len(set(page.ids))
    assert page.links
    for link in page.links:
        assert link[0] == "#"
        assert link[1:] in page.ids, link


def test_it_loads_nothing(html):
    assert not re.search(r"""https?://|<link(?! rel="icon" href="data:)|@import|(?:src|href)=["'](?!data:|#)""", html)
    assert not re.search(r"url\((?!#)", html)
    assert "<b>Mine" not in html
    assert "<i>forest" not in html


def test_every_part_is_there(html):
    for part in (
        "What beats what", "Scores over all held-out days", "The sites", "Site by site", "Seasonal cycles",
        "Scores by group", "Prediction intervals", "Area of applicability", "What the predictions rest on",
        "Noise ceiling", "The nested choice", "Leakage audit", "Undefined scores", "Rows and sites left out",
        "Where the data are from", "Do it again", "Your own site", "ecoembed run mine", "Seed 0",
    ):  # fmt: skip
        assert part in html, part
    assert html.count("<svg") == 10


def test_a_result_without_them_says_why_and_has_no_figure_of_them(whole, tmp_path):
    html = write_report(bare(whole), tmp_path / "r.html").read_text()
    Page(html)
    for why in (
        "no pair of feature sets was compared", "the coordinates of the sites were not given",
        "the distances to the training sites are not known", "prediction intervals were not asked for",
        "the area of applicability was not asked for", "what the models rest on was not asked for",
        "How far the noise of the target lets any model come is not known: it was not asked for",
        "No citations or licences",
    ):  # fmt: skip
        assert why in html, why
    assert html.count("<svg") == 2  # scores, seasonal cycles by site
    assert "Your own site" not in html


def test_the_label_stands_in_every_row_of_scores_and_at_every_heading_of_them(whole, tmp_path):
    seen = replace(
        whole, scores=whole.scores.assign(label="seen-site"),
        record=whole.record | {"label": "seen-site", "retrospective": True},
    )  # fmt: skip
    html = write_report(seen, tmp_path / "r.html").read_text()
    assert html.count("<td>seen-site, retrospective</td>") == len(whole.scores)
    for heading in re.findall(r"<h[23][^>]*>.*?</h[23]>", html):
        if re.search("What beats|Scores|The sites|Site by site|Seasonal|trust|rest on|nested|intervals", heading):
            assert "seen-site" in heading
            assert "retrospective" in heading
    assert "unseen-site" not in html


def test_a_difference_is_told_as_the_comparison_tells_it(whole):
    text = answer(whole)
    first, beaten = whole.comparisons["says"].iloc[:2]
    assert text.startswith(f"At 6 sites that the models never saw: {first}")
    assert beaten in text
    assert whole.comparisons["says"].iloc[2] not in text  # it is not about the embeddings
    assert "never saw, the highest r2" in answer(bare(whole))
    assert "beats" not in answer(bare(whole))


def test_the_answer_of_a_set_that_is_no_better_than_the_mean(whole):
    poor = replace(whole, scores=whole.scores.assign(r2=-0.1))
    assert "no better than the mean over all sites" in answer(poor)
    assert "no better than the mean over all sites" not in answer(whole)


def test_every_dash_has_its_cause(html):
    dashes = re.findall(r"<td[^>]*>–</td>", html)
    assert dashes
    assert all("the observed values are all the same" in dash or "not defined" in dash for dash in dashes)
    part = html[html.index('<h2 id="undefined">') :].split("<h2")[1]
    assert "the observed values are all the same" in part
    assert '<td class="n">8</td>' in part  # of eight models


def test_scores_are_those_of_the_result(whole, html):
    rows = re.findall(r'<td>unseen-site</td>.*?data-v="([^"]+)".*?</tr>', html)
    assert len(rows) == len(whole.scores)
    for value in whole.scores["rmse"]:
        assert f'data-v="{value}"' in html


def test_every_site_is_in_the_table_and_each_drawn_one_has_a_panel(tmp_path):
    many = invented(sites=60, days=12)
    html = write_report(many, tmp_path / "r.html").read_text()
    page = Page(html)
    assert html.count('<section class="panel"') == 24
    assert "24 of 60 sites are drawn" in html
    for site in many.places.index:
        assert page.ids.count(f"site-{site}") == 1  # its panel, or its row
    assert len(html) < 4e6


def test_the_map_leads_to_each_site_and_tells_its_name(html, whole):
    for site in whole.places.index:
        assert re.search(rf'<a href="#site-{site}" aria-label="{site} \(\w+\): unseen-site, n = 60, r2', html)


def test_measured_days_come_first_and_both_are_shown(whole, tmp_path):
    measured = whole.scores.assign(days="measured", r2=whole.scores["r2"] / 2)
    both = replace(
        whole, scores=pd.concat([measured, whole.scores], ignore_index=True),
        site_scores=pd.concat([whole.site_scores.assign(days="measured"), whole.site_scores], ignore_index=True),
        group_scores=whole.group_scores.assign(days="measured"),
    )  # fmt: skip
    html = write_report(both, tmp_path / "r.html").read_text()
    assert html.count("<td>measured</td>") == html.count("<td>all</td>") == len(whole.scores)
    assert "measured days</span>" in html
    assert f"{measured['r2'].iloc[0]:.3f}, with an RMSE" in answer(both)


def test_own_site(html):
    part = html[html.index('id="own"') :].split("<h2")[0]
    for words in (
        "r2 0.51",
        "40 % of its days",
        "Most lie outside",
        "Rank 2 of 2",
        "r2 –",
        "seen-site",
        "fixed radius",
    ):
        assert words in part, words


def test_an_own_site_has_a_panel_whatever_its_rank():
    result = invented(sites=60, days=3)
    undrawn = next(site for site in View(result).best.index if site not in View(result).drawn)
    own = replace(result, record=result.record | {"own_sites": [OWN | {"site": undrawn}]})
    assert View(own).drawn == [*View(result).drawn, undrawn]


def test_the_nested_choice_is_no_regressor(whole, tmp_path):
    nested = whole.scores.iloc[[0]].assign(features="nested best", regressor="nested best")
    result = replace(whole, scores=pd.concat([nested, whole.scores], ignore_index=True))
    write_figures(result, tmp_path)
    assert "nested best" not in (tmp_path / "scores.svg").read_text()


def test_an_own_site_of_which_nothing_is_known(whole, tmp_path):
    own = {"site": "DE-New", "n": 0, "vegetation": None, "missing": [], "not_possible": "no row"}
    html = write_report(replace(whole, record=whole.record | {"own_sites": [own]}), tmp_path / "r.html").read_text()
    assert "Nothing can be said of it: no row." in html
    Page(html)


def test_citations_and_licences_of_every_site(whole, tmp_path):
    names = list(whole.places.index)
    sites = gpd.GeoDataFrame(
        {"citation": ["A 2020, https://doi.org/10/x"] * 5 + [None], "licence": ["CC-BY-4.0"] * 6}, index=names
    )
    html = write_report(whole, tmp_path / "r.html", sites=sites).read_text()
    part = html[html.index('id="data"') :].split("<h3")[0]
    assert 'href="https://doi.org/10/x"' in part
    assert ", ".join(names[:5]) in part
    assert "not given" in part
    assert "CC-BY-4.0" in part


def test_figures_are_files_too(whole, tmp_path):
    written = write_figures(whole, tmp_path / "figures")
    assert {path.suffix for path in written} == {".svg", ".png"}
    assert sorted(p.name for p in (tmp_path / "figures").iterdir()) == sorted(p.name for p in written)
    names = {path.stem for path in written}
    assert {"differences", "scores", "map", "groups", "importance", "series_01"} <= names
    svg = (tmp_path / "figures" / "differences.svg").read_text()
    assert ">embeddings+meteo" in svg  # text stays text
    assert {p.stem for p in write_figures(bare(whole), tmp_path / "b")} == {"scores", "seasonal_cycles", "series_01"}


def test_the_same_result_is_the_same_file(whole, tmp_path):
    one, other = (write_report(whole, tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert one == other


def test_the_best_is_held_against_light():
    result = run(flat(), features={"nirv_x_radiation": ["NIRv * SW"], "a": ["NIRv"], "b": ["TA"]})
    assert [m[0] for m in View(result).models] == ["nirv_x_radiation", "a"]
    result = run(flat(), features={"nirv_x_radiation": ["TA"], "a": ["NIRv"], "b": ["NIRv * SW"]})
    assert [m[0] for m in View(result).models] == ["b", "nirv_x_radiation"]


def test_the_label_stands_in_every_figure_of_scores_for_it_may_leave_the_report(whole, tmp_path):
    write_figures(whole, tmp_path)
    for name in ("differences", "scores", "map", "skill_and_distance", "groups", "intervals", "series_01"):
        assert "unseen-site" in (tmp_path / f"{name}.svg").read_text(), name


def test_numbers_in_sentences_bear_minus_signs(html):
    said = " ".join(re.findall(r"(?:no difference shown|beats)[^<]*", html))
    assert "−" in said
    assert not re.search(r"[ (]-\d", said)


def test_abbreviations_are_told(html):
    assert "Vegetation (IGBP): CRO cropland, ENF evergreen needleleaf forest, GRA grassland." in html
    for told in ("RMSE: root mean square error", "KGE: Kling-Gupta efficiency", "90\N{NO-BREAK SPACE}% interval"):
        assert told in html


def test_columns_are_told_once(tmp_path):
    features = {"meteo": ["meteo.TA"], "bands": ["bands.B02"], "bands+meteo": ["bands.B02", "meteo.TA"]}
    words = Page(write_report(invented(features=features), tmp_path / "r.html").read_text()).words
    assert {"TA", "B02", "those of bands and of meteo"} <= set(words)


def test_a_score_that_no_model_has_takes_no_column_but_tells_its_cause(whole, tmp_path):
    scores = whole.scores.assign(interannual_r2=np.nan)
    why = {"table": "scores", "features": "meteo", "regressor": "ridge", "where": "all days", "score": "interannual_r2",
           "cause": "no site has 5 years"}  # fmt: skip
    record = whole.record | {"undefined": [why]}
    html = write_report(replace(whole, scores=scores, record=record), tmp_path / "r.html").read_text()
    assert '<th scope="col" class="n" title="of yearly departures' not in html
    assert "<td>r2 between years</td>" in html
    assert "no site has 5 years" in html


def test_no_value_is_cut_off_the_series():
    table = flat().assign(GPP=lambda t: -t["GPP"])  # as NEE: nearly all of it below zero
    predictions = run(table).predictions
    low, high = value_limits([predictions])
    for column in ("observed", "predicted"):
        assert low < predictions[column].min() < predictions[column].max() < high
    low, high = value_limits([predictions.assign(lower=-200.0, upper=100.0)])  # of intervals the bounds neither
    assert low < -200 < 100 < high


def test_a_unit_that_nobody_gave_is_not_made_up(tmp_path):
    html = write_report(run(flat()), tmp_path / "r.html").read_text()
    assert "target GPP (unit not given)" in html
    assert "gC m-2" not in html


def test_a_study_with_a_site_that_lost_all_rows(tmp_path):
    times, names = worlds.overpasses(), ["XX-T01", "XX-T02", "XX-T03"]
    flux = {s: worlds.flux(s, seed=i) for i, s in enumerate(names)}
    flux["XX-T03"]["GPP_NT_VUT_REF"][:] = np.nan
    series = {s: worlds.all_series(times, seed=i) for i, s in enumerate(names)}
    from ecoembed.gpp.features import feature_table

    with pytest.warns(UserWarning, match="XX-T03"):
        table = feature_table(series, flux, worlds.sites(names))
    result = run(table, target="GPP_NT_VUT_REF", features=None)
    html = write_report(result, tmp_path / "r.html", sites=worlds.sites(names)).read_text()
    assert "XX-T03 (0 of 30 acquisitions kept; dropped: 30 (target not measured 30))." in html
    assert '<tr class="bad"><td>XX-T03</td><td class="n">30</td><td class="n">−30</td><td class="n">0</td></tr>' in html
    assert '<tr><td>all sites</td><td class="n">90</td><td class="n">−30</td><td class="n">60</td></tr>' in html


def test_a_report_of_a_study_speaks_of_no_lost_site(tmp_path):
    result = run(joined(), target="GPP_NT_VUT_REF", features=None)
    html = write_report(result, tmp_path / "r.html", sites=worlds.sites(["XX-T01", "XX-T02", "XX-T03"])).read_text()
    assert "Not in this comparison" not in html
    assert f"{len(joined())} of 90 acquisitions kept" in html
    assert "<td>climatology</td>" in html


def test_the_drawn_sites_span_all_ranks():
    scores = pd.Series({f"S{i:03d}": r2 for i, r2 in enumerate(np.random.default_rng(0).permutation(150) / 150)})
    scores["S007"] = np.nan
    drawn = drawn_sites(scores)
    assert len(set(drawn)) == 24
    assert (drawn[0], drawn[-1]) == (scores.idxmax(), "S007")
    assert scores[drawn[:-1]].is_monotonic_decreasing


def test_too_few_sites_for_so_many_comparisons_are_told():
    assert "too few for" in answer(invented(sites=4))
    assert "too few for" not in answer(invented(sites=40))
