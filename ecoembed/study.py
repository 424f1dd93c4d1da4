"""A user's study: a folder with `study.toml`, `sites.csv`, `flux/` and `satellite/`; the stages in order, resumable."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecoembed import stages
from ecoembed.config import StudyConfig, read_config
from ecoembed.errors import ConfigError, EcoembedError, StudyError
from ecoembed.files import track

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd
    import xarray as xr

    from ecoembed.validation.run import Benchmark


@dataclass
class StudyRun:
    """What a run gave: the benchmark over the sites that finished, and the errors of those that did not."""

    folder: Path
    benchmark: Benchmark
    failures: dict[str, str] = field(default_factory=dict)

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
        """The embedding cube of a site; `name` is ``embeddings`` or ``embeddings:random``."""
        from ecoembed.cubes.store import load_cube

        return load_cube(self.folder / "embeddings" / f"{site}.zarr", stages.SOURCES[name])

    def series(self, site: str) -> dict[str, xr.Dataset]:
        """The footprint series of a site, by source."""
        from ecoembed.cubes.store import load_series

        path = self.folder / "series" / f"{site}.zarr"
        return {name: load_series(path, group) for name, group in stages.SOURCES.items()}

    def footprint(self, site: str) -> xr.DataArray:
        """The weights of a site's footprint on its cube's grid."""
        from ecoembed.cubes.store import load_series

        return load_series(self.folder / "series" / f"{site}.zarr", "footprint")["weight"]

    def flux(self, site: str) -> xr.Dataset:
        """The flux table of a site."""
        from ecoembed.archives.fluxnet import open_flux

        path = stages.flux_file(self.folder, site)
        offset = self.sites.loc[site, "utc_offset"]
        return open_flux(path, self.config.flux.target, self.config.flux.min_qc, utc_offset=offset)

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
            If fewer than two sites finished; it lists the errors.
        """
        from ecoembed.validation.run import benchmark

        done, failures = [], {}
        names = list(self.sites.index)
        for site, error in track(_outcomes(self, names, scheduler), "sites", total=len(names)):
            if error is None:
                done.append(site)
            elif isinstance(error, EcoembedError):
                failures[site] = f"{type(error).__name__}: {error}"
            else:
                failures[site] = f"{type(error).__name__}: {error} (not an expected error: please report it)"
        if len(done) < 2:
            listed = "; ".join(f"{site}: {text}" for site, text in failures.items()) or "the study has one site"
            raise StudyError("fewer than two sites finished, so none can be left out", where=self.folder, found=listed)
        result = benchmark(
            self.features(sorted(done)),
            self.config.flux.target,
            features=self.feature_sets(),
            regressors=list(self.config.benchmark.regressors),
            protocol=self.config.benchmark.protocol,
            seed=self.config.study.seed,
        )
        return StudyRun(self._save(result), result, failures)

    def feature_sets(self) -> dict[str, list[str]]:
        """The feature sets to compare; ``a+b`` unites two."""
        return {name: name.split("+") for name in self.config.benchmark.features}

    def _save(self, result: Benchmark) -> Path:
        from ecoembed.validation.pictures import picture_pair

        pictures = []
        for site in result.site_scores["site"].unique():
            row, weights = self.sites.loc[site], self.footprint(site)
            picture = picture_pair(self.cube(site), self.embedding(site), weights, row["latitude"], row["longitude"])
            pictures.append((site, _caption(row["igbp"], weights), picture))
        out = self.folder / "runs" / self.config.benchmark.protocol
        result.save(out, sites=self.sites, pictures=pictures, title=self.config.study.name)
        return out


def _caption(igbp: object, weights: xr.DataArray) -> str:
    """What a footprint is made of, in words."""
    inside = f"{weights.attrs['inside']:.0%} of the footprint lies inside the cube"
    of = f" of {weights.attrs['n']} half-hours" if "n" in weights.attrs else ""
    return f"{igbp}; {weights.attrs['method']}{of}; {inside}"


def _outcomes(study: Study, names: list[str], scheduler: str) -> Iterator[tuple[str, BaseException | None]]:
    """(site, error or None) of each site, as they finish."""
    with _pool(scheduler) as (submit, as_completed):
        futures = {submit(stages.run_site, study.folder, site, study.config): site for site in names}
        for future in as_completed(list(futures)):
            yield futures[future], future.exception()


@contextmanager
def _pool(scheduler: str) -> Iterator[tuple[Callable[..., Any], Callable[..., Any]]]:
    """(submit, as_completed) of a scheduler."""
    if scheduler == "threads":
        from concurrent.futures import ThreadPoolExecutor, as_completed

        import torch

        inner = torch.get_num_threads()
        torch.set_num_threads(1)  # one core a site: inner threads would wait for each other
        try:
            with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
                yield pool.submit, as_completed
        finally:
            torch.set_num_threads(inner)
        return
    if scheduler != "local" and not scheduler.startswith(("tcp://", "tls://")):
        raise ConfigError("unknown scheduler", found=scheduler, expected="threads, local or tcp://HOST:PORT")
    try:
        import distributed
    except ImportError:
        remedy = "pip install 'ecoembed[cluster]'"
        raise ConfigError("Dask distributed is not installed", where=scheduler, remedy=remedy) from None
    try:
        local = {"dashboard_address": None} if scheduler == "local" else {"address": scheduler, "timeout": 10}
        client = distributed.Client(**local)
    except (OSError, TimeoutError) as exc:
        raise ConfigError(f"no scheduler answers: {exc}", where=scheduler) from None
    with client:
        # pure=False: the same site is a new task at each run; the manifests decide what is skipped
        yield partial(client.submit, pure=False), distributed.as_completed


def open_study(path: str | Path) -> Study:
    """Open a study's folder.

    Parameters
    ----------
    path : str or Path
        The folder, or its `study.toml`.

    Raises
    ------
    FileError, ConfigError, TableError
        If `study.toml` or `sites.csv` is absent or wrong.
    """
    from ecoembed.archives.sites import read_sites

    folder = Path(path).absolute()
    folder = folder.parent if folder.name == "study.toml" else folder
    return Study(folder, read_config(folder / "study.toml"), read_sites(folder / "sites.csv"))
