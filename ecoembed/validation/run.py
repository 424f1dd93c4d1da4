"""The benchmark: every feature set and regressor on the same rows and folds, everything fitted inside the fold."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ecoembed.errors import ConfigError, TableError
from ecoembed.gpp.regressors import models_of
from ecoembed.gpp.rows import describe_rows
from ecoembed.schema import check_predictions
from ecoembed.validation.arguments import check_quality, check_seed, named_regressors
from ecoembed.validation.assess import assessed, row_applicability
from ecoembed.validation.leakage import Pretraining, audit
from ecoembed.validation.nested import nested_best
from ecoembed.validation.ownsite import own_site
from ecoembed.validation.predict import predict_held_out
from ecoembed.validation.result import NO_UNIT, Result
from ecoembed.validation.samples import Asked, Samples, check_sets, check_window, feature_sets, make_samples
from ecoembed.validation.samples.columns import as_sites, read_table, require
from ecoembed.validation.samples.places import check_places, with_site_table
from ecoembed.validation.save import save_benchmark
from ecoembed.validation.splits.protocols import check_protocol, make_folds
from ecoembed.validation.trust.intervals import check_level

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["Benchmark", "benchmark"]

#: What a `FeatureTable` tells of its own making, for the record.
_FROM_TABLE = (
    "rows", "site_rows", "sites_without_rows", "left_out", "flux", "counted", "gaps", "max_age", "future",
)  # fmt: skip

Pictures = Sequence[tuple[str, str, Any]]


class Benchmark(Result):
    """What a benchmark gave (see :class:`ecoembed.validation.result.Result`), and how to keep it."""

    def save(
        self,
        folder: str | Path,
        sites: gpd.GeoDataFrame | None = None,
        pictures: Pictures = (),
        title: str | None = None,
        command: str | None = None,
    ) -> Path:
        """Write the tables (`ecoembed.validation.save.FILES`), report.html and its figures, all or nothing.

        Parameters
        ----------
        folder : str or Path
            New, empty, or holding a previous benchmark, which is replaced once the new one is whole.
        sites, pictures, title, command
            For the report: see :func:`ecoembed.validation.report.write_report`.

        Raises
        ------
        FileError
            If `folder` holds anything else; it is left as it was.
        """
        return save_benchmark(self, folder, sites=sites, pictures=pictures, title=title, command=command)


def benchmark(
    table: pd.DataFrame | str | Path,
    target: str,
    site: str = "SITE_ID",
    date: str = "date",
    features: Mapping[str, Sequence[str]] | None = None,
    regressors: Sequence[Any] | Mapping[str, Any] = ("ridge", "lightgbm"),
    protocol: Any = "leave-site-out",
    seed: int = 0,
    places: Mapping[str, str | float] | None = None,
    quality: Mapping[str, Any] | None = None,
    variants: Sequence[str] = (),
    noise: str | None = None,
    window_days: int = 1,
    sites: Sequence[str] | None = None,
    site_table: Any = None,
    units: str | None = None,
    pretraining: Pretraining | None = None,
    intervals: float | None = None,
    nested: bool = False,
    explain: bool = False,
    own: Sequence[str] = (),
    progress: bool = True,
) -> Benchmark:
    """Score feature sets and regressors at held-out sites, all on one sample index.

    Parameters
    ----------
    table : pandas.DataFrame or path
        Flat, one row for each site and day (or the path of such a CSV or Parquet file); or a `FeatureTable`, whose
        index gives site and date.
    target : str
        The observed column.
    site, date : str
        Columns of a flat table; FLUXNET's YYYYMMDD numbers are dates.
    features : mapping of name to columns
        ``"A * B"`` is the product of two columns. In a `FeatureTable`, the names of sets to unite; each set on its own
        by default.
    regressors : sequence or mapping of name to regressor
        Names of :data:`ecoembed.gpp.regressors.REGRESSORS`, import paths such as ``"sklearn.svm.SVR"``, or unfitted
        scikit-learn estimators. One whose ``fit`` takes ``groups`` (a grid search with grouped inner folds) gets the
        training sites.
    protocol : str, mapping or scikit-learn splitter
        A name of :data:`ecoembed.validation.splits.protocols.PROTOCOLS`, or ``{"name": name, option: value}``.
    seed : int, default 0
    places : mapping, optional
        For a flat table: the columns of the sites' ``latitude`` (or one number for all), ``longitude``, ``vegetation``
        and ``climate``. By them sites are grouped, neighbours found, and the set ``climatology`` added, which is the
        mean seasonal cycle: the site's own where it was trained on, its type's where not.
    quality : mapping, optional
        ``{"column": name, "min": number}``: rows with less in that column (the share of measured half-hours, say) are
        neither fitted on nor scored; they are counted, site by site. With ``"days": "all"`` they are, and scores tell
        measured days and all days apart.
    variants : sequence of str
        Columns of other estimates of the target (another partitioning, another u* threshold): how far they lie from
        it, and `noise`, bound the score that any model can reach.
    noise : str, optional
        Column of the target's random uncertainty, one standard deviation in its unit.
    window_days : int, default 1
        With 90, a sample is the 90 days up to and including its own, one value of each column a day.
    sites : sequence of str, optional
        Only these sites of the table.
    site_table : geopandas.GeoDataFrame or path, optional
        What `places` does not tell of a flat table's sites: `Sites`, or a file that :func:`ecoembed.read_sites` reads.
    units : str, optional
        Unit of the target; by default that of the `FeatureTable`. Of another table it is not guessed. Of GPP, NEE and
        RECO in a unit of a day, half an hour or a year it is asked whether a tower can reach the values: single days
        beyond are dropped and counted, more of a site are refused.
    pretraining : mapping of place to (latitude, longitude), or "unknown", optional
        Where the encoder of the embeddings was trained, for the same audit.
    intervals : float, optional
        The share of held-out days, 0.9 say, that a prediction interval shall hold: by CV+ over the training sites
        (see :mod:`ecoembed.validation.trust.intervals`), eleven fits for one. The scores then tell coverage and width.
    nested : bool, default False
        Also predict by the pair of set and regressor that folds inside the training sites choose: what is left of the
        best score when it may not be chosen with the test at hand.
    explain : bool, default False
        Also tell the area of applicability, what each model leans on, and how its predictions depend on it.
    own : sequence of str
        Sites of which more shall be told: how well models of all others predict them, and what their own data add.
    progress : bool, default True
        Print the rows dropped, what the leakage audit found, and a progress bar, on stderr.

    Returns
    -------
    Benchmark

    Raises
    ------
    TableError
        If columns are absent or unusable, there are fewer than two sites, or no held-out day was measured.
    UnitError
        If the target's values cannot be of its unit, or a quality is no share where a least share is asked.
    LeakageError
        If the audit that runs before any model is fitted finds that the scores would be worth nothing.
    ConfigError
        If a name is unknown, or text is given where a list of names belongs.

    Notes
    -----
    A row that lacks the target or any named column is dropped for all sets, so that ``n`` is the same for every score.
    Estimators see float arrays of the training rows only.

    Examples
    --------
    >>> table = pd.DataFrame({"SITE_ID": list("aabbcc"), "date": ["2020-06-01", "2020-06-02"] * 3,
    ...                       "GPP": [1.0, 2, 3, 4, 5, 7], "NIRv": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]})
    >>> result = benchmark(table, "GPP", features={"nirv": ["NIRv"]}, regressors=["ridge"], progress=False)
    >>> result.scores[["features", "regressor", "n", "sites", "label"]].values.tolist()
    [['nirv', 'ridge', 6, 3, 'unseen-site']]
    """
    check_sets(features)
    check_protocol(protocol)
    check_quality(quality)
    check_seed(seed)
    level, regressors = check_level(intervals), named_regressors(regressors)
    known = check_places(places)
    asked = Asked(target, site, date, features or {}, known, quality, variants, noise, check_window(window_days))
    frame = read_table(table, [site, date, *asked.columns])
    asked = replace(asked, sets=feature_sets(frame, features), units=units or frame.attrs.get("units"))
    if frame.columns.nlevels == 2:
        if places or sites is not None or site_table is not None:
            raise ConfigError(
                "a FeatureTable knows its sites", where="places, sites, site_table", remedy="Leave these out"
            )
        asked = replace(asked, climatology=features is None or "climatology" in features)
    else:
        frame = _of_sites(frame, site, sites, own)
        if site_table is not None:
            frame, known = with_site_table(frame, site, known, site_table)
            asked = replace(asked, places=known)
    samples = make_samples(frame, asked)
    folds = make_folds(protocol, samples, seed)
    models, left_out = models_of(samples.features, regressors)
    leakage = audit(samples, folds, regressors, pretraining, frame.attrs.get("future"))
    if progress:
        _tell(frame, samples, leakage)
    predicted = predict_held_out(samples, models, folds, seed, progress, level, explain)
    table_, chosen = predicted.table, None
    if nested:
        chosen = nested_best(samples, models, folds, predicted.table, seed, progress)
        table_ = pd.concat([table_, chosen.predictions], ignore_index=True)
    predictions = check_predictions(table_)
    inside, without_area = row_applicability(samples, folds, seed) if explain else (pd.DataFrame(), {})
    tables, about = assessed(predictions, samples, folds, seed, inside)
    record = {
        "target": target,
        "units": asked.units or NO_UNIT,
        "protocol": folds.name,
        "options": folds.options,
        "label": folds.label,
        "folds": len(folds.folds),
        "found": folds.found,
        "seed": seed,
        "features": samples.names,
        "window_days": window_days,
        "retrospective": bool(frame.attrs.get("retrospective", False)),
        "regressors": {name: model if isinstance(model, str) else repr(model) for name, model in regressors.items()},
        "models_left_out": left_out,
        "quality": dict(quality) if quality else None,
        "rows": samples.rows,
        "site_rows": samples.site_rows if samples.rows["in"] > samples.rows["out"] else {},
        "sites_without_rows": samples.sites_without_rows,
        "feature_table": {key: frame.attrs[key] for key in _FROM_TABLE if key in frame.attrs},
        "leakage": leakage,
        **({"intervals": level} if level else {}),
        **({"nested": chosen.record} if chosen else {}),
        **({"without_area": without_area} if explain else {}),
        **about,
        "samples": samples.digest,
        "versions": _versions(),
    }
    empty = pd.DataFrame()
    result = Benchmark(
        predictions=predictions,
        importance=empty if predicted.importance is None else predicted.importance,
        partial=empty if predicted.partial is None else predicted.partial,
        choices=chosen.choices if chosen else empty,
        record=record,
        **tables,
    )
    if own:
        record["own_sites"] = [own_site(samples, models, result, name, seed) for name in own]
    return result


def _of_sites(frame: pd.DataFrame, site: str, sites: Sequence[str] | None, own: Sequence[str]) -> pd.DataFrame:
    """The rows of these sites alone; one's own must be among them."""
    require(frame, [site])
    ids = as_sites(frame[site])
    known = set(ids.dropna())
    if sites is not None and not sites:
        raise ConfigError("no site named", where="sites", expected="IDs, or no such key for all sites")
    for names, what in ((sites or (), "the table has no such sites"), (own, "the table has no row of one's own sites")):
        if absent := sorted(set(names) - known):
            near = difflib.get_close_matches(absent[0], sorted(known), n=3)
            remedy = f"{absent[0]}: did you mean {' or '.join(near)}?" if near else None
            raise TableError(what, where=site, found=", ".join(absent[:5]), remedy=remedy)
    if sites is None:
        return frame
    if absent := sorted(set(own) - set(sites)):
        raise ConfigError("one's own sites are not among the sites", found=", ".join(absent[:5]))
    return frame[ids.isin(list(sites))]


def _tell(frame: pd.DataFrame, samples: Samples, leakage: dict[str, Any]) -> None:
    """What was dropped, and what the audit found, on stderr."""
    for rows, what in ((frame.attrs.get("rows"), frame.attrs.get("counted", "acquisitions")), (samples.rows, "rows")):
        if rows:
            print(describe_rows(rows, what), file=sys.stderr)
    for name, why in samples.sites_without_rows.items():
        print(f"{name} contributes no row: {why}", file=sys.stderr)
    for finding in leakage["findings"]:
        print("leakage audit: {where}: {what} ({amount}). {remedy}.".format(**finding), file=sys.stderr)


def _versions() -> dict[str, str]:
    import platform
    from importlib.metadata import version

    from ecoembed._version import __version__

    names = ("numpy", "pandas", "scikit-learn", "lightgbm", "statsmodels")
    return {"ecoembed": __version__, "python": platform.python_version(), **{name: version(name) for name in names}}
