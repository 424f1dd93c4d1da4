"""A user's study: a folder with `study.toml`, `sites.csv`, `flux/` and `satellite/`; the stages in order, resumable."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecoembed import stages
from ecoembed.config import FEATURES, read_config
from ecoembed.contents import StudyFolder
from ecoembed.errors import ConfigError, EcoembedError, StudyError
from ecoembed.files import track
from ecoembed.schedulers import workers

if TYPE_CHECKING:
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


class Study(StudyFolder):
    """A study's folder, its configuration and its sites; and what is done with them."""

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
        ConfigError, TableError
            If what is asked for is impossible: a protocol that these sites cannot carry, a regressor that can read no
            set, too few sites for the intervals; before the work of any site where study.toml and sites.csv tell.
        WeightsError, FileError
            If the weights cannot be used, or the run's folder holds files that are not its own.
        """
        from ecoembed.archives.flux.folder import foreign_files
        from ecoembed.benchmarking import benchmark_study, check_possible, save_run
        from ecoembed.validation.save import refuse_foreign
        from ecoembed.validation.splits.protocols import name_of

        out = self.folder / "runs" / "+".join(self.config.flux.target) / name_of(self.config.benchmark.protocol)
        refuse_foreign(out)
        if len(self.sites) < 2:
            remedy = "Add sites; for the series of one tower use ecoembed cube, embed and extract"
            raise StudyError("a study of one site has none to leave out", where="sites.csv", found=1, remedy=remedy)
        check_possible(self)
        self._check_encoder()  # refused once, not once for each site
        done, failures = self._run_sites(scheduler)
        listed = _listed(failures)
        if len(done) < 2:
            raise StudyError(f"{len(failures)} of {len(self.sites)} sites failed, too few are left", found=listed)
        try:
            foreign = foreign_files(self.folder / "flux", self.sites.index)
            result, without_rows = benchmark_study(
                self, done, failures | {f"flux/{k}": why for k, why in foreign.items()}
            )
            fallbacks = save_run(self, result, out)
        except EcoembedError as error:
            if not failures:
                raise
            raise StudyError(f"{error} Besides, {len(failures)} sites failed", found=listed) from None
        return StudyRun(out, result, failures | without_rows, fallbacks, foreign)

    def _check_encoder(self) -> None:
        from ecoembed.embeddings.encode import load_encoder

        encoder = load_encoder(self.config.encoder(self.folder))
        asked, has = self.config.embeddings, encoder.card.windows
        if asked.window not in has:
            expected = f"window = {' or '.join(map(repr, has))}, all that these weights have"
            raise ConfigError("window in [embeddings]", where=asked.weights, found=asked.window, expected=expected)
        without = stages.without_sensors(stages.sets_of(self.config), encoder)
        if without and self.config.benchmark.features != FEATURES:
            name, why = next(iter(without.items()))
            remedy = "Leave it out of features in [benchmark]"
            raise ConfigError(f"these weights cannot make {name}: {why}", where=asked.weights, remedy=remedy)

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


def _listed(failures: Mapping[str, str]) -> str:
    """Every reason once: with the sites that have it, if they differ in nothing but their name."""
    alike: dict[str, list[str]] = {}
    for site in sorted(failures):
        named = rf"(?<![A-Za-z0-9]){re.escape(site)}(?![A-Za-z0-9])"  # a site may be called E
        alike.setdefault(re.sub(named, "SITE", failures[site]), []).append(site)
    return "; ".join(
        f"{', '.join(sites)}: {text if sites[1:] else failures[sites[0]]}" for text, sites in alike.items()
    )


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
    from ecoembed.benchmarking import check_names

    folder = Path(path).absolute()
    folder = folder.parent if folder.name == "study.toml" else folder
    config, sites = read_config(folder / "study.toml"), study_sites(folder).sites
    check_names(config, sites.index, folder / "study.toml")
    return Study(folder, config, sites)
