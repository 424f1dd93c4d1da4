"""Which column of a flux file holds which quantity: one rule for each family of products, so that it can be checked.

ONEFlux has one consolidated column for each quantity (``TA_F``). AmeriFlux BASE and raw half-hours append to the base
name who processed it (``_PI``), whether gaps are filled (``_F``), and where it was measured: ``_H_V_R`` (horizontal
place, vertical place from the top, replicate) or ``_N`` (a layer's mean). There the rule is: **as measured before
processed, processed before filled; among those, without a position first, then the uppermost sensor, the first place,
the first replicate, then the first layer's mean.** An own table has its columns under our names, by its description.

Source: AmeriFlux "Data variables" (ameriflux.lbl.gov/data/aboutdata/data-variables), base names and qualifiers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ecoembed import units

#: Our name -> ONEFlux's columns, the first that is there. Others go by their own name.
ONEFLUX_COLUMNS: dict[str, tuple[str, ...]] = {
    "TA": ("TA_F", "TA_F_MDS"),
    "SW_IN": ("SW_IN_F", "SW_IN_F_MDS"),
    "VPD": ("VPD_F", "VPD_F_MDS"),
    "P": ("P_F", "P"),
    "WS": ("WS_F", "WS"),
    "PA": ("PA_F", "PA"),
    "H": ("H_F_MDS",),
    "LE": ("LE_F_MDS",),
    "G": ("G_F_MDS",),
}

#: Unit of each driver in the files of the networks; precipitation is a sum over the averaging period.
DRIVERS = {
    "TA": units.TEMPERATURE,
    "SW_IN": units.RADIATION,
    "VPD": units.PRESSURE_DEFICIT,
    "P": "mm",
}

LONG_NAMES = {
    "TA": "air temperature",
    "SW_IN": "incoming short-wave radiation",
    "VPD": "vapour pressure deficit",
    "P": "precipitation",
    "WS": "wind speed",
    "WD": "wind direction",
    "PA": "air pressure",
    "H": "sensible heat flux",
    "LE": "latent heat flux",
    "USTAR": "friction velocity",
    "SW_IN_POT": "potential incoming short-wave radiation",
    "MO_LENGTH": "Obukhov length",
    "V_SIGMA": "standard deviation of the crosswind",
}

_QUALIFIERS = ("", "_PI", "_F", "_PI_F")


def find_column(quantity: str, columns: Sequence[str], oneflux: bool) -> str | None:
    """The column that holds `quantity`, or None.

    Examples
    --------
    >>> find_column("TA", ["TA_F_MDS", "TA_F"], oneflux=True)
    'TA_F'
    >>> find_column("TA", ["TA_1_2_1", "TA_PI_F_1_1_1", "TA_1_1_2", "TA_1_1_1"], oneflux=False)
    'TA_1_1_1'
    >>> find_column("VPD", ["VPD_PI"], oneflux=False)
    'VPD_PI'
    """
    if oneflux:
        return next((name for name in ONEFLUX_COLUMNS.get(quantity, (quantity,)) if name in columns), None)
    return next((name for q in _QUALIFIERS if (name := at_position(quantity + q, columns))), None)


def at_position(name: str, columns: Sequence[str]) -> str | None:
    """`name` itself, or the column that is `name` at the preferred position, or None.

    Examples
    --------
    >>> at_position("GPP_PI_F", ["GPP_PI_F_2_1_1", "GPP_PI_F_1_2_1", "GPP_PI_F_1", "GPP_PI_F_1_1_1_SD"])
    'GPP_PI_F_2_1_1'
    """
    if name in columns:
        return name
    pattern = re.compile(re.escape(name) + r"_(\d+)(?:_(\d+)_(\d+|A))?")
    found = [(match, column) for column in columns if (match := pattern.fullmatch(column))]
    return min(found, key=lambda pair: _order(pair[0]))[1] if found else None


def _order(match: re.Match[str]) -> tuple[int, int, int, int]:
    first, vertical, replicate = match.groups()
    if vertical is None:
        return 1, int(first), 0, 0
    return 0, int(vertical), int(first), 0 if replicate == "A" else int(replicate)
