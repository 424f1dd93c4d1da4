"""The benchmark of a study: from the series of its sites to the folder of a run."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecoembed import stages
from ecoembed.config import FEATURES, StudyConfig
from ecoembed.errors import ConfigError, EcoembedError, TableError, check_name
from ecoembed.files import track

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from ecoembed.contents import StudyFolder
    from ecoembed.validation.run import Benchmark

__all__ = ["benchmark_study", "check_names", "check_possible", "save_run"]


def check_names(config: StudyConfig, sites: Collection[str], where: Path) -> None:
    """Refuse a misspelt name before any work is done for it.

    Raises
    ------
    ConfigError
        Of a protocol, regressor, feature set, index, target or site.
    """
    from ecoembed.archives.flux.targets import check_target
    from ecoembed.gpp.external import check_external
    from ecoembed.gpp.gaps import check_causal, seen_of_the_future
    from ecoembed.gpp.indices import check_indices
    from ecoembed.gpp.regressors import check_regressor
    from ecoembed.validation.splits.protocols import check_protocol

    asked = config.benchmark
    try:
        check_protocol(asked.protocol)
        for name in asked.regressors:
            check_regressor(name)
    except ConfigError as exc:
        exc.where = where if exc.where is None else f"{where}, {exc.where}"
        raise
    known: dict[str, None] = {part: None for name in FEATURES for part in name.split("+")}
    check_external(config.external, known)
    named = dict.fromkeys(part for name in asked.features for part in name.split("+"))
    for part in named:
        check_name(part, known | dict.fromkeys(config.external), "feature set", where)
    if unused := sorted(set(config.external) - set(named)):
        raise ConfigError(
            "an external set that is not compared", where=f"{where}, [external]", found=", ".join(unused),
            expected="its name among benchmark.features", remedy=f'Add "{unused[0]}" there, or leave it out here',
        )  # fmt: skip
    check_indices(asked.indices, where)
    if not asked.retrospective:
        check_causal(seen_of_the_future(asked.gaps, {"embeddings": config.embeddings.window}), where)
    if asked.window_days > 1 and asked.gaps == "none":
        raise ConfigError(
            "windows of days, but no values between acquisitions", where=where, found='gaps = "none"',
            expected='gaps = "last", or "linear"', remedy="Choose one in [benchmark], or window_days = 1",
        )  # fmt: skip
    for name in config.flux.target:
        check_target(name, where)
    for name in config.study.own:
        check_name(name, dict.fromkeys(sites), "site of [study] own", where, otherwise="Add it: ecoembed add-site")


def check_possible(study: StudyFolder) -> None:
    """Refuse what the configuration and the site table tell to be impossible, before the work of all sites.

    Each rule is that of the benchmark, which asks again: of the sites that have rows, and the columns that are there.

    Raises
    ------
    ConfigError
        If a regressor can read no set, or external embeddings see the future in a causal study.
    TableError
        If the sites cannot carry the protocol, the intervals or the P-model.
    FileError, VariableError, UnitError
        If no site has external embeddings that can be read.
    """
    from ecoembed.gpp.features import without_elevation
    from ecoembed.gpp.gaps import check_causal, seen_of_the_future
    from ecoembed.gpp.regressors import models_of
    from ecoembed.validation.arguments import named_regressors
    from ecoembed.validation.samples.places import places_of
    from ecoembed.validation.splits.protocols import beside, check_protocol
    from ecoembed.validation.trust.intervals import check_sites

    asked = study.config.benchmark
    check_protocol(beside(asked.protocol, study.folder), places_of(study.sites))
    if asked.intervals is not None:
        check_sites(asked.intervals, len(study.sites) - 1)
    models_of(_stand_ins(study.config), named_regressors(asked.regressors))
    named = {part for name in asked.features for part in name.split("+")}
    if asked.features != FEATURES and "p_model" in named and (unknown := without_elevation(study.sites)):
        raise TableError(
            "the P-model needs the elevation of every site", where="sites.csv", found=f"none of {', '.join(unknown)}",
            expected="m", remedy="Add it, or leave p_model out of features in [benchmark]",
        )  # fmt: skip
    external = {name: _external_window(study, name) for name in study.config.external}
    if not asked.retrospective:
        check_causal(seen_of_the_future(asked.gaps, external))


def _stand_ins(config: StudyConfig) -> dict[str, Any]:
    """Of each set that is compared no row, but the columns that it will have at least."""
    import numpy as np

    from ecoembed.embeddings.fusion import DIMENSIONS
    from ecoembed.gpp.indices import INDICES
    from ecoembed.gpp.windows import Windows
    from ecoembed.sensors import get_sensor
    from ecoembed.validation.samples.make import INSTANTANEOUS

    asked = config.benchmark
    known = {name: DIMENSIONS for name in stages.SOURCES if name.startswith("embeddings")}
    known |= {"bands": len(get_sensor("S2_L2A").bands), "indices": len(asked.indices or INDICES)}
    found: dict[str, Any] = {}
    for name in asked.features:
        parts = name.split("+")
        ages = 0 if asked.gaps == "none" else sum(part in stages.SOURCES for part in parts)
        rows = np.zeros((0, ages + sum(known.get(part, 1) for part in parts)), dtype=np.float32)
        windowed = asked.window_days > 1 and name not in INSTANTANEOUS
        found[name] = Windows(rows, np.zeros(0, dtype=int), asked.window_days) if windowed else rows
    return found


def _external_window(study: StudyFolder, name: str) -> str:
    """What an external set sees, by the first site whose file can be read; the other sites fail one by one, if so."""
    from ecoembed.gpp.external import external_file, external_window

    failures = []
    for site in study.sites.index:
        try:
            return external_window(external_file(study.folder / study.config.external[name], site))
        except EcoembedError as error:
            failures.append(error)
    raise failures[0]


def benchmark_study(study: StudyFolder, sites: list[str], outside: dict[str, str]) -> tuple[Benchmark, dict[str, str]]:
    """The benchmark over these sites, whose record says what is `outside`; and why some of them have no day."""
    from ecoembed.embeddings.encode import load_encoder
    from ecoembed.gpp.gaps import check_causal
    from ecoembed.validation.run import benchmark
    from ecoembed.validation.splits.protocols import beside

    config = study.config
    encoder = load_encoder(config.encoder(study.folder))
    card = encoder.card
    trained_on = {place.id: (place.latitude, place.longitude) for place in card.places}
    table, asked = study.features(sites), config.benchmark
    table.attrs["left_out"] |= stages.without_sensors(stages.sets_of(config), encoder)
    if not asked.retrospective:
        check_causal(table.attrs["future"])  # of external embeddings only their files tell
    without_rows = table.attrs["sites_without_rows"]
    table.attrs["sites_without_rows"] = outside | without_rows
    result = benchmark(
        table,
        table.attrs["target"],
        features=_feature_sets(config, table),
        regressors=list(asked.regressors),
        protocol=beside(asked.protocol, study.folder),
        seed=config.study.seed,
        window_days=asked.window_days,
        pretraining=trained_on if card.places_known else "unknown",
        intervals=asked.intervals,
        nested=asked.nested,
        explain=asked.explain,
        own=[name for name in config.study.own if name in sites],
    )
    failed = [name for name in config.study.own if name not in sites]
    if failed:
        none: list[dict[str, Any]] = [
            {"site": s, "n": 0, "vegetation": None, "missing": [], "not_possible": outside[s]} for s in failed
        ]
        result.record["own_sites"] = result.record.get("own_sites", []) + none
    return result, without_rows


def _feature_sets(config: StudyConfig, table: pd.DataFrame) -> dict[str, list[str]]:
    """The feature sets to compare, ``a+b`` united; of the default ones those that the study's data allow."""
    sets = {name: name.split("+") for name in config.benchmark.features}
    if config.benchmark.features != FEATURES:
        return sets
    there = set(table.columns.get_level_values(0)) | {"climatology"}
    return {name: parts for name, parts in sets.items() if there.issuperset(parts)}


def save_run(study: StudyFolder, result: Benchmark, out: Path) -> dict[str, str]:
    """Write the run's folder; returns the sites whose footprint is a disc for want of data, and why."""
    from ecoembed.validation.report.view import View

    pictures, fallbacks = [], {}
    drawn = set(View(result).drawn)
    for site in track(result.site_scores["site"].unique(), "pictures"):
        weights = study.footprint(site)
        if "fallback" in weights.attrs:
            fallbacks[site] = weights.attrs["fallback"]
        if site in drawn:
            pictures += [(site, caption, picture) for caption, picture in _pictures(study, site, weights)]
    for own in (own for own in result.record.get("own_sites", ()) if "not_possible" not in own):
        own["missing"] = _missing(study, own["site"], fallbacks.get(own["site"]))
    command = f"ecoembed run {study.folder.name}"
    result.save(out, sites=study.sites, pictures=pictures, title=study.config.study.name, command=command)
    return fallbacks


def _pictures(study: StudyFolder, site: str, weights: xr.DataArray) -> Iterator[tuple[str, bytes]]:
    """Captions and pictures of a site: its footprint; if embeddings are compared, these on some dates and over time."""
    from ecoembed.embeddings.pictures.maps import dates_picture, season_strip
    from ecoembed.validation.report.pictures import picture_pair

    row, cube = study.sites.loc[site], study.cube(site)
    z = study.embedding(site) if "embeddings" in stages.sets_of(study.config) else None
    shown = weights.mean(str(weights.dims[0]), keep_attrs=True) if weights.ndim == 3 else weights
    yield _caption(row["igbp"], weights), picture_pair(cube, z, shown, row["latitude"], row["longitude"])
    if z is None:
        return
    strip = "one line of pixels through the seasons"
    try:
        yield "the place on several dates", dates_picture(z, cube)
    except TableError as why:  # under clouds the footprint may be clear where the place is not
        strip += f"; no maps of several dates: {why}"
    yield strip, season_strip(z, cube)


def _missing(study: StudyFolder, site: str, disc: str | None) -> list[dict[str, str]]:
    """What is not known of a user's own site, and what that costs."""
    from ecoembed.additions import what_is_missing

    return what_is_missing(study.sites.loc[site], study.flux(site), disc, study.config.footprint.radius)


def _caption(igbp: object, weights: xr.DataArray) -> str:
    """What a footprint is made of, in words."""
    from ecoembed.validation.report.style import number

    inside = f"{number(100 * weights.attrs['inside'], 0)} % of the footprint lies inside the cube"
    if "fallback" in weights.attrs:
        return f"{igbp}; {weights.attrs['method']}, because: {weights.attrs['fallback']} ({inside})"
    return f"{igbp}; {weights.attrs['method']} of {number(weights.attrs['n'], 0)} half-hours; {inside}"
