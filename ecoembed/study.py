"""A user's study: a folder with `study.toml`, `sites.csv`, `flux/` and `satellite/`; the stages in order, resumable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecoembed import stages
from ecoembed.config import FEATURES, StudyConfig, read_config
from ecoembed.errors import ConfigError, EcoembedError, StudyError, check_name
from ecoembed.files import track
from ecoembed.schedulers import workers

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd
    import xarray as xr

    from ecoembed.archives.stac import Plan
    from ecoembed.validation.run import Benchmark


@dataclass
class StudyRun:
    """What a run gave.

    Attributes
    ----------
    folder : Path
        Predictions, scores and the report.
    benchmark : Benchmark
        Over the sites that finished.
    failures : dict
        Site -> why it is not in the benchmark.
    fallbacks : dict
        Site -> why its footprint is a disc.
    foreign : dict
        File in `flux/` that belongs to no site of the study -> why.
    """

    folder: Path
    benchmark: Benchmark
    failures: dict[str, str]
    fallbacks: dict[str, str]
    foreign: dict[str, str]

    @property
    def report(self) -> Path:
        return self.folder / "report.html"


@dataclass(frozen=True)
class Study:
    """A study's folder, its configuration and its sites."""

    folder: Path
    config: StudyConfig
    sites: gpd.GeoDataFrame

    def cube(self, site: str, sensor: str = "S2_L2A") -> xr.DataArray:
        """The built cube of a site."""
        from ecoembed.cubes.store import load_cube

        return load_cube(self.folder / "cubes" / f"{site}.zarr", sensor)

    def embedding(self, site: str, name: str = "embeddings") -> xr.DataArray:
        """The embedding cube of a site; `name` is ``embeddings``, ``embeddings:random``, ``...:s1`` or ``...:s2``."""
        from ecoembed.cubes.store import load_cube

        return load_cube(self.folder / "embeddings" / f"{site}.zarr", stages.SOURCES[name])

    def series(self, site: str) -> dict[str, xr.Dataset]:
        """The footprint series of a site, by feature set: of those that the study compares."""
        return stages.site_series(self.folder, site, self.config)

    def footprint(self, site: str) -> xr.DataArray:
        """The weights of a site's footprint on its cube's grid."""
        from ecoembed.cubes.store import load_series

        return load_series(self.folder / "series" / f"{site}.zarr", "footprint")["weight"]

    def flux(self, site: str) -> xr.Dataset:
        """The flux table of a site."""
        from ecoembed.cubes.store import load_series

        return load_series(self.folder / "series" / f"{site}.flux.zarr", "flux")

    def features(self, sites: list[str] | None = None) -> pd.DataFrame:
        """The feature table of these sites (all by default): one sample index for all feature sets."""
        from ecoembed.gpp.features import feature_table

        names = list(self.sites.index) if sites is None else sites
        return feature_table(
            {s: self.series(s) for s in names},
            {s: self.flux(s) for s in names},
            self.sites.loc[names],
            target=self.config.flux.target,
            min_coverage=self.config.footprint.min_coverage,
        )

    def plan_fetch(self, sites: Sequence[str] | None = None) -> Iterator[tuple[str, list[Plan] | EcoembedError]]:
        """Search the archives of ``[satellite]`` for each of these sites (all by default); nothing is downloaded.

        Yields the site, and what there is to fetch for it (one plan for each archive) or why there is nothing. Each
        plan goes to :func:`ecoembed.archives.stac.fetch`. Raises as :func:`ecoembed.fetching.plan`.
        """
        from ecoembed import fetching

        return fetching.plan(self.folder, self.sites, self.config, list(sites or self.sites.index))

    def run(self, scheduler: str = "threads") -> StudyRun:
        """Run what is missing: every site on its own, then the benchmark over those that finished.

        Parameters
        ----------
        scheduler : str
            ``"threads"`` (this process), ``"local"`` (processes of this machine, by Dask distributed) or
            ``"tcp://HOST:PORT"`` (a running Dask scheduler whose workers see the study's folder under the same path).

        Raises
        ------
        StudyError
            If there are, or were finished, fewer than two sites; it lists the errors.
        TableError
            If they are too few for the intervals that are asked for.
        WeightsError, FileError
            If the weights cannot be used, or the run's folder holds files that are not its own.
        """
        from ecoembed.archives.flux.folder import foreign_files
        from ecoembed.validation.intervals import check_sites
        from ecoembed.validation.save import refuse_foreign

        out = self.folder / "runs" / "+".join(self.config.flux.target) / self.config.benchmark.protocol
        refuse_foreign(out)
        if len(self.sites) < 2:
            remedy = "Add sites; for the series of one tower use ecoembed cube, embed and extract"
            raise StudyError("a study of one site has none to leave out", where="sites.csv", found=1, remedy=remedy)
        if (level := self.config.benchmark.intervals) is not None:
            check_sites(level, len(self.sites) - 1)  # refused before the work of all sites
        self._check_encoder()  # refused once, not once for each site
        done, failures = self._run_sites(scheduler)
        listed = "; ".join(f"{site}: {text}" for site, text in failures.items())
        if len(done) < 2:
            raise StudyError(f"{len(failures)} of {len(self.sites)} sites failed, too few are left", found=listed)
        try:
            foreign = foreign_files(self.folder / "flux", self.sites.index)
            result, without_rows = self._benchmark(done, failures | {f"flux/{k}": why for k, why in foreign.items()})
            fallbacks = self._save(result, out)
        except EcoembedError as error:
            if not failures:
                raise
            raise StudyError(f"{error} Besides, {len(failures)} sites failed", found=listed) from None
        return StudyRun(out, result, failures | without_rows, fallbacks, foreign)

    def _check_encoder(self) -> None:
        from ecoembed.embeddings.encode import load_encoder

        asked, has = self.config.embeddings, load_encoder(self.config.encoder(self.folder)).card.windows
        if asked.window not in has:
            expected = f"window = {' or '.join(map(repr, has))}, all that these weights have"
            raise ConfigError("window in [embeddings]", where=asked.weights, found=asked.window, expected=expected)

    def _run_sites(self, scheduler: str) -> tuple[list[str], dict[str, str]]:
        """The sites that finished, and the errors of the others."""
        done, failures = [], {}
        names = list(self.sites.index)
        for site, error in track(_outcomes(self, names, scheduler), "sites", total=len(names)):
            if error is None:
                done.append(site)
            elif isinstance(error, EcoembedError):
                failures[site] = f"{type(error).__name__}: {error}"
            else:
                failures[site] = f"{type(error).__name__}: {error} (not an expected error: please report it)"
        return sorted(done), failures

    def _benchmark(self, sites: list[str], outside: dict[str, str]) -> tuple[Benchmark, dict[str, str]]:
        """The benchmark over these sites, whose record says what is `outside`; and why some of them have no day."""
        from ecoembed.embeddings.encode import load_encoder
        from ecoembed.validation.run import benchmark

        card = load_encoder(self.config.encoder(self.folder)).card
        trained_on = {place.id: (place.latitude, place.longitude) for place in card.places}
        table = self.features(sites)
        without_rows = table.attrs["sites_without_rows"]
        table.attrs["sites_without_rows"] = outside | without_rows
        result = benchmark(
            table,
            table.attrs["target"],
            features=self._feature_sets(table),
            regressors=list(self.config.benchmark.regressors),
            protocol=self.config.benchmark.protocol,
            seed=self.config.study.seed,
            pretraining=trained_on if card.places_known else "unknown",
            intervals=self.config.benchmark.intervals,
        )
        return result, without_rows

    def _feature_sets(self, table: pd.DataFrame) -> dict[str, list[str]]:
        """The feature sets to compare, ``a+b`` united; of the default ones those that the towers' drivers allow."""
        sets = {name: name.split("+") for name in self.config.benchmark.features}
        if self.config.benchmark.features != FEATURES:
            return sets
        there = set(table.columns.get_level_values(0)) | {"climatology"}
        return {name: parts for name, parts in sets.items() if there.issuperset(parts)}

    def _save(self, result: Benchmark, out: Path) -> dict[str, str]:
        """Write the run's folder; returns the sites whose footprint is a disc for want of data, and why."""
        from ecoembed.validation.report.pictures import picture_pair

        pictures, fallbacks = [], {}
        for site in result.site_scores["site"].unique():
            row, weights = self.sites.loc[site], self.footprint(site)
            shown = weights.mean(str(weights.dims[0]), keep_attrs=True) if weights.ndim == 3 else weights
            picture = picture_pair(self.cube(site), self.embedding(site), shown, row["latitude"], row["longitude"])
            pictures.append((site, _caption(row["igbp"], weights), picture))
            if "fallback" in weights.attrs:
                fallbacks[site] = weights.attrs["fallback"]
        result.save(out, sites=self.sites, pictures=pictures, title=self.config.study.name)
        return fallbacks


def _caption(igbp: object, weights: xr.DataArray) -> str:
    """What a footprint is made of, in words."""
    inside = f"{weights.attrs['inside']:.0%} of the footprint lies inside the cube"
    if "fallback" in weights.attrs:
        return f"{igbp}; {weights.attrs['method']}, because: {weights.attrs['fallback']} ({inside})"
    return f"{igbp}; {weights.attrs['method']} of {weights.attrs['n']} half-hours; {inside}"


def _outcomes(study: Study, names: list[str], scheduler: str) -> Iterator[tuple[str, BaseException | None]]:
    """(site, error or None) of each site, as they finish."""
    with workers(scheduler) as (submit, as_completed):
        futures = {submit(stages.run_site, study.folder, site, study.sites, study.config): site for site in names}
        for future in as_completed(list(futures)):
            yield futures[future], future.exception()


def open_study(path: str | Path) -> Study:
    """Open a study's folder.

    Parameters
    ----------
    path : str or Path
        The folder, or its `study.toml`.

    Returns
    -------
    Study
        ``run()`` does what is missing; ``sites``, ``config``, ``flux(site)``, ``cube(site)``, ``embedding(site)``,
        ``footprint(site)``, ``series(site)`` and ``features()`` open what is there.

    Raises
    ------
    FileError, ConfigError, TableError
        If `study.toml` or `sites.csv` is absent or wrong.
    """
    from ecoembed.archives.sites.reader import study_sites

    folder = Path(path).absolute()
    folder = folder.parent if folder.name == "study.toml" else folder
    config = read_config(folder / "study.toml")
    _check_names(config, folder / "study.toml")
    return Study(folder, config, study_sites(folder).sites)


def _check_names(config: StudyConfig, where: Path) -> None:
    """Refuse a misspelt name before any work is done for it."""
    from ecoembed.archives.flux.targets import check_target
    from ecoembed.gpp.regressors import check_regressor
    from ecoembed.validation.splits.protocols import check_protocol

    check_protocol(config.benchmark.protocol)
    for name in config.benchmark.regressors:
        check_regressor(name)
    known = {part: None for name in FEATURES for part in name.split("+")}
    for part in (part for name in config.benchmark.features for part in name.split("+")):
        check_name(part, known, "feature set", where)
    for name in config.flux.target:
        check_target(name, where)
