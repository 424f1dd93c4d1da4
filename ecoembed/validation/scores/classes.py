"""Into which classes a scored day falls: of place, of season, of drought, of extremes, of year."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from ecoembed.validation.samples import Samples
from ecoembed.validation.scores.calendar import Calendar

__all__ = ["Classes", "classes_of"]

#: The share of a site's days that are its driest, highest or lowest; of sites with so many days or more.
_SHARE, _LEAST_DAYS = 0.1, 10
_TOO_FEW = f"the site has fewer than {_LEAST_DAYS} days, or too many of one value"
_SEASONS = ("winter", "spring", "summer", "autumn")
#: What tells a drought, the better first: soil moisture (FLUXNET's SWC, MERRA-2's GWET), then the air's dryness.
_DROUGHT = ((r"swc|gwet|sm_|sm$|soil_?moisture", 1.0, "lowest"), (r"vpd", -1.0, "highest"))


class Classes(NamedTuple):
    """One partition of the scored days.

    Attributes
    ----------
    by : str
    names : list of str
        Of each group.
    code : numpy.ndarray of int, shape (n,)
        The group of each day; -1 where it is not known.
    unknown : str
        Why it is not known, where it is not.
    """

    by: str
    names: list[str]
    code: np.ndarray
    unknown: str


def classes_of(calendar: Calendar, samples: Samples, rows: np.ndarray) -> Iterator[Classes]:
    """Every partition that needs no model, of some rows of the samples (ascending) and their calendar."""
    places = samples.places.loc[calendar.sites]
    for by in ("vegetation", "climate"):
        code, names = pd.factorize(places[by].to_numpy(dtype=object), sort=True)
        yield Classes(by, [str(name) for name in names], code[calendar.site], f"no {by} of the site is known")
    yield _season(calendar, places["latitude"].to_numpy(dtype=float))
    yield _drought(calendar, samples, rows)
    yield _tails(calendar, samples.observed[rows])
    year = calendar.date.year.to_numpy()
    names = [str(y) for y in range(calendar.first_year, calendar.first_year + calendar.years)]
    yield Classes("year", names, year - calendar.first_year, "")


def _season(calendar: Calendar, latitude: np.ndarray) -> Classes:
    """Meteorological seasons: winter is December to February north of the equator, June to August south of it."""
    month, at = calendar.date.month.to_numpy(), latitude[calendar.site]
    code = (month % 12 + np.where(at < 0, 6, 0)) % 12 // 3
    return Classes("season", list(_SEASONS), np.where(np.isnan(at), -1, code), "no latitude of the site is known")


def _drought(calendar: Calendar, samples: Samples, rows: np.ndarray) -> Classes:
    for pattern, sign, end in _DROUGHT:
        for name, values in samples.columns.items():
            if re.match(pattern, name.rsplit(".", 1)[-1], re.IGNORECASE) and "*" not in name:
                dry = _lowest(calendar, sign * values[rows])
                names = [f"the tenth of its days with the {end} {name}", "the other days"]
                return Classes("drought", names, np.where(dry < 0, -1, 1 - dry), _TOO_FEW)
    nothing = np.full(len(rows), -1)
    return Classes("drought", [], nothing, "no column of soil moisture or VPD is among the features")


def _tails(calendar: Calendar, observed: np.ndarray) -> Classes:
    low, high = _lowest(calendar, observed), _lowest(calendar, -observed)
    names = ["the lowest tenth at its site", "between", "the highest tenth at its site"]
    return Classes("tail", names, np.where(low < 0, -1, 1 - low + high), _TOO_FEW)


def _lowest(calendar: Calendar, values: np.ndarray) -> np.ndarray:
    """1 for the lowest tenth of each site's days, 0 for the others, -1 where that means nothing.

    Days that equal the last of the tenth belong to it, unless they would make it more than a fifth: then none does.
    """
    site = calendar.site
    ranked = values[np.lexsort((values, site))]
    limit = ranked[calendar.starts + np.ceil(_SHARE * calendar.n).astype(int) - 1][site]
    many = np.bincount(site, values <= limit) > 2 * _SHARE * calendar.n
    lowest = np.where(many[site], values < limit, values <= limit)
    useless = (calendar.n < _LEAST_DAYS) | (np.bincount(site, lowest) == 0)
    return np.where(useless[site], -1, lowest.astype(int))
