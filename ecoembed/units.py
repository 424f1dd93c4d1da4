"""Units, spelt once, and the conversions between those that flux and satellite products use.

Unit strings follow FLUXNET's own spelling (``gC m-2 d-1``). A dimensionless quantity has the unit ``"1"``.
"""

from __future__ import annotations

import re
from typing import Any

from ecoembed.errors import UnitError

DAILY_CARBON_FLUX = "gC m-2 d-1"
YEARLY_CARBON_FLUX = "gC m-2 y-1"
CARBON_FLUX = "umol m-2 s-1"
RADIATION = "W m-2"
TEMPERATURE = "degC"
PRESSURE_DEFICIT = "hPa"
PRECIPITATION = "mm d-1"
REFLECTANCE = "1"
BACKSCATTER = "dB"
FRACTION = "1"
LENGTH = "m"
SPEED = "m s-1"
ANGLE = "degree"

#: g of carbon per mol (IUPAC standard atomic weight).
CARBON_MOLAR_MASS = 12.011
SECONDS_PER_DAY = 86_400.0

#: Unit of each half-hourly variable that a footprint needs, under our own name (products add suffixes to theirs).
HALF_HOURLY = {
    "USTAR": SPEED,
    "WD": ANGLE,
    "WS": SPEED,
    "H": RADIATION,
    "LE": RADIATION,
    "TA": TEMPERATURE,
    "PA": "kPa",
    "SW_IN": RADIATION,
    "SW_IN_POT": RADIATION,
    "MO_LENGTH": LENGTH,
    "V_SIGMA": SPEED,
}

#: (from, to) -> (factor, offset): ``to = from * factor + offset``.
_LINEAR: dict[tuple[str, str], tuple[float, float]] = {
    (CARBON_FLUX, DAILY_CARBON_FLUX): (CARBON_MOLAR_MASS * 1e-6 * SECONDS_PER_DAY, 0.0),
    ("ugC m-2 s-1", DAILY_CARBON_FLUX): (1e-6 * SECONDS_PER_DAY, 0.0),
    ("%", FRACTION): (0.01, 0.0),
    ("K", TEMPERATURE): (1.0, -273.15),
    ("kPa", PRESSURE_DEFICIT): (10.0, 0.0),
    ("Pa", PRESSURE_DEFICIT): (0.01, 0.0),
    ("J m-2 d-1", RADIATION): (1.0 / SECONDS_PER_DAY, 0.0),
    ("Pa", "kPa"): (0.001, 0.0),
    ("MJ m-2 d-1", RADIATION): (1e6 / SECONDS_PER_DAY, 0.0),
}

#: Physical bounds of daily values, as wide as real towers have been seen to reach: quantity -> (low, high, unit).
DAILY_BOUNDS: dict[str, tuple[float, float, str]] = {
    "GPP": (-15.0, 45.0, DAILY_CARBON_FLUX),  # 43.7 at AU-Tum
    "RECO": (-15.0, 40.0, DAILY_CARBON_FLUX),
    "NEE": (-40.0, 40.0, DAILY_CARBON_FLUX),
    "SW_IN": (-10.0, 600.0, RADIATION),
    "TA": (-80.0, 60.0, TEMPERATURE),
    "VPD": (0.0, 100.0, PRESSURE_DEFICIT),
    "P": (0.0, 1000.0, PRECIPITATION),
}

#: Physical bounds of half-hourly values.
HALF_HOURLY_BOUNDS: dict[str, tuple[float, float, str]] = {
    "GPP": (-60.0, 120.0, CARBON_FLUX),
    "RECO": (-60.0, 120.0, CARBON_FLUX),
    "NEE": (-120.0, 120.0, CARBON_FLUX),
    "SW_IN": (-50.0, 1600.0, RADIATION),
    "TA": (-80.0, 60.0, TEMPERATURE),
    "VPD": (-1.0, 120.0, PRESSURE_DEFICIT),
    "P": (0.0, 200.0, "mm"),
}

#: Physical bounds of yearly carbon fluxes.
YEARLY_BOUNDS: dict[str, tuple[float, float, str]] = {
    "GPP": (-500.0, 6000.0, YEARLY_CARBON_FLUX),
    "RECO": (-500.0, 6000.0, YEARLY_CARBON_FLUX),
    "NEE": (-3000.0, 3000.0, YEARLY_CARBON_FLUX),
}


#: Other spellings: signs, names of a whole unit, and words within one.
_SIGNS = str.maketrans("µμ⁰¹²³⁴⁵⁶⁷⁸⁹⁻−·*()", "uu0123456789--    ", "^°")
_NAMES = {
    **dict.fromkeys(("c", "deg c", "degree c", "degrees c", "celsius", "degrees celsius", "degc"), TEMPERATURE),
    **dict.fromkeys(("deg", "degrees"), ANGLE),
    **dict.fromkeys(("kelvin", "deg k"), "K"),
    **dict.fromkeys(("mbar", "mb"), "hPa"),
    **dict.fromkeys(("percent", "pct"), "%"),
}
_WORDS = {"day": "d", "days": "d", "sec": "s", "yr": "y", "year": "y", "a": "y", "micromol": "umol", "MJoule": "MJ"}
_KNOWN = {
    frozenset(unit.split()): unit
    for unit in (*(unit for pair in _LINEAR for unit in pair), YEARLY_CARBON_FLUX, PRECIPITATION, "mm", "mm y-1",
                 SPEED, ANGLE, LENGTH, FRACTION)
}  # fmt: skip


def standard(spelling: str) -> str:
    """Our spelling of a unit that is spelt otherwise; itself where it is not known.

    Examples
    --------
    >>> [standard(unit) for unit in ("µmol CO2 m⁻² s⁻¹", "g C m^-2 day^-1", "degrees C", "W/m2", "furlong")]
    ['umol m-2 s-1', 'gC m-2 d-1', 'degC', 'W m-2', 'furlong']
    """
    if spelling.strip() == "°":
        return ANGLE
    text = " ".join(spelling.replace("**", "").translate(_SIGNS).split())
    if text.lower() in _NAMES:
        return _NAMES[text.lower()]
    text = re.sub(r"(mol) ?(CO2|C)\b", r"\1", re.sub(r"\bg C\b", "gC", text))
    above, *below = text.split("/")
    words = above.split() + [re.sub(r"^([A-Za-z]+)(\d*)$", _inverse, word) for part in below for word in part.split()]
    plain = [re.sub(r"^[A-Za-z]+", lambda found: _WORDS.get(found[0], found[0]), word) for word in words]
    return _KNOWN.get(frozenset(plain), spelling)


def _inverse(found: re.Match[str]) -> str:
    return f"{found[1]}-{found[2] or 1}"


def is_known(spelling: str) -> bool:
    """Whether :func:`standard` understands a unit."""
    return frozenset(standard(spelling).split()) in _KNOWN


def accepted(unit: str) -> list[str]:
    """The units from which :func:`convert` makes `unit`, itself first."""
    return [unit, *(source for source, to in _LINEAR if to == unit), *(to for source, to in _LINEAR if source == unit)]


def convert(values: Any, source: str, target: str) -> Any:
    """Convert `values` (a number or an array) from the unit `source`, in any usual spelling, to the unit `target`.

    Raises
    ------
    UnitError
        If no conversion between the two is known.

    Examples
    --------
    >>> round(convert(10.0, "umol m-2 s-1", "gC m-2 d-1"), 3)
    10.378
    """
    source = standard(source)
    if source == target:
        return values
    if (source, target) in _LINEAR:
        factor, offset = _LINEAR[source, target]
        return values * factor + offset
    if (target, source) in _LINEAR:
        factor, offset = _LINEAR[target, source]
        return (values - offset) / factor
    raise UnitError(
        "no conversion between these units",
        found=source,
        expected=" or ".join(accepted(target)),
        remedy="State the unit of the input in one of the spellings of ecoembed.units",
    )
