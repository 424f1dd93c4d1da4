"""Typed errors: every one says what, where, what was found, what was expected, and the remedy.

All derive from :class:`EcoembedError`; the command line prints the message without a traceback and exits with 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

__all__ = [
    "ArchiveError",
    "ConfigError",
    "EcoembedError",
    "FileError",
    "FootprintError",
    "GridError",
    "LeakageError",
    "ProductError",
    "ResolutionError",
    "SensorError",
    "StudyError",
    "TableError",
    "TrainingError",
    "UnitError",
    "VariableError",
    "WeightsError",
    "check_name",
]


class EcoembedError(Exception):
    """An error that a user can act on.

    Parameters
    ----------
    what : str
        What is wrong, in one sentence without a final full stop.
    where : object, optional
        Site, file or variable.
    found, expected : object, optional
        What was met and what was needed, with unit.
    remedy : str, optional
        What to do about it.
    """

    def __init__(
        self, what: str, *, where: Any = None, found: Any = None, expected: Any = None, remedy: str | None = None
    ) -> None:
        self.what, self.where, self.found, self.expected, self.remedy = what, where, found, expected, remedy
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where is not None else self.what
        facts = [f"{k} {v}" for k, v in (("found", self.found), ("expected", self.expected)) if v is not None]
        text += f" ({'; '.join(facts)})" if facts else ""
        return f"{text}. {self.remedy}" if self.remedy else f"{text}."

    def __reduce__(self) -> tuple[Any, ...]:  # keyword-only arguments survive the way back from a cluster's worker
        facts = {k: None if v is None else str(v) for k, v in self.facts().items()}
        return _rebuild, (type(self), self.what, facts)

    def facts(self) -> dict[str, Any]:
        """``where``, ``found``, ``expected`` and ``remedy`` as a dictionary."""
        return {"where": self.where, "found": self.found, "expected": self.expected, "remedy": self.remedy}


def _rebuild(kind: type[EcoembedError], what: str, facts: dict[str, Any]) -> EcoembedError:
    return kind(what, **facts)


class FileError(EcoembedError):
    """A file is absent, truncated or unreadable."""


class ProductError(EcoembedError):
    """A file is readable but is not the product that was asked for."""


class ArchiveError(EcoembedError):
    """A public archive does not answer, refuses, or does not hold what was asked of it."""


class ResolutionError(ProductError):
    """A product holds no table of the resolution that was asked for."""


class SensorError(ProductError):
    """None of the files is of the sensor that was asked for."""


class VariableError(EcoembedError):
    """A column, band or variable is absent, or an object breaks its contract."""


class UnitError(EcoembedError):
    """A unit is unknown, cannot be converted, or contradicts the values."""


class GridError(EcoembedError):
    """Places do not fit: a site outside its cube, two grids that differ, an absent CRS."""


class FootprintError(EcoembedError):
    """The inputs lie outside the range in which a footprint model holds."""


class TableError(EcoembedError):
    """A table cannot be benchmarked: absent columns, too few rows or sites."""


class LeakageError(TableError):
    """Training knows what the test asks: the scores would be worth nothing."""


class ConfigError(EcoembedError):
    """A configuration has an unknown key or an impossible value."""


def check_name(name: str, names: Iterable[str], what: str, where: Any = None, otherwise: str | None = None) -> str:
    """`name`, unchanged, if it is one of `names`; cheap, so that a misspelt one is refused before any work.

    Raises
    ------
    ConfigError
        If it is not; suggests the nearest, or says what else there is (`otherwise`).
    """
    known = list(names)
    if name in known:
        return name
    near = get_close_matches(name, known, n=1)
    remedy = f"Did you mean {near[0]!r}?" if near else otherwise
    listed = known if len(known) <= 25 else [*get_close_matches(name, known, n=12, cutoff=0.6), "..."]
    raise ConfigError(f"unknown {what}", where=where, found=name, expected=f"one of {', '.join(listed)}", remedy=remedy)


class WeightsError(EcoembedError):
    """A weights file is damaged, or belongs to another sensor, band order or architecture."""


class TrainingError(EcoembedError):
    """A training diverges; the last good weights are kept."""


class StudyError(EcoembedError):
    """A study cannot be run, or some of its sites failed."""
