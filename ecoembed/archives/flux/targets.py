"""Which carbon flux was asked for, in which column it stands, and which columns tell its quality and uncertainty.

Source: Pastorello et al. 2020 (doi 10.1038/s41597-020-0534-3) and the FULLSET variable list of fluxnet.org. GPP and
RECO have no QC column of their own: the share of measured and good-quality gap-filled half-hours is that of the NEE
variant that they were partitioned from, and so is the random uncertainty.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ecoembed.archives.flux.columns import at_position, find_column
from ecoembed.errors import VariableError, check_name

#: USTAR-filtering method of a FLUXNET carbon flux (one threshold for all years, or one for each year).
THRESHOLDS = ("VUT", "CUT")
#: Choice among the versions that differ by USTAR threshold; ``SE`` is an uncertainty, not a choice.
VARIANTS = ("REF", "USTAR50", "MEAN", "05", "16", "25", "50", "75", "84", "95")

FLUXES = ("GPP", "RECO", "NEE")
#: Made here from half-hourly NEE where a file carries no partitioned flux.
PARTITIONED = ("GPP_NT", "RECO_NT", "NEE")

#: Targets of other products than ONEFlux.
_PLAIN = re.compile(r"(GPP|RECO|NEE|FC)(_NT|_DT)?(_PI)?(_F)?(_\d+(_\d+_(\d+|A))?)?")

#: Half of the distance between the 16th and the 84th percentile is one standard deviation of a normal variable, and so
#: is the distance between the quartiles over 1.349.
_SPREADS = ((("16", "84"), 2.0), (("25", "75"), 1.349))


@dataclass(frozen=True)
class Target:
    """A carbon flux of one file.

    ``column`` is None where it is to be partitioned here. ``roles``: further columns, by what they are to the target:
    ``quality``, ``random_uncertainty``, ``joint_uncertainty``, ``low``, ``high`` and ``other`` (the flux by the other
    partitioning), ``unfilled`` (the same flux before its gaps were filled). ``spread``: high - low over this is one
    standard deviation.
    """

    name: str
    column: str | None
    roles: dict[str, str] = field(default_factory=dict)
    spread: float = 2.0

    @property
    def flux(self) -> str:
        """``GPP``, ``RECO`` or ``NEE``."""
        return next((flux for flux in FLUXES if self.name.startswith(flux)), "NEE")

    @property
    def ensemble(self) -> bool:
        """The mean of 40 versions by USTAR threshold: its half-hourly QC is the share of good ones, and no flag."""
        return self.name in TARGETS and self.name.endswith("_MEAN")


def _names() -> dict[str, str]:
    table = {}
    for threshold in THRESHOLDS:
        for variant in VARIANTS:
            nee = f"NEE_{threshold}_{variant}"
            table[nee] = nee
            for flux in ("GPP_NT", "GPP_DT", "RECO_NT", "RECO_DT"):
                table[f"{flux}_{threshold}_{variant}"] = nee
    return table


#: Every carbon flux of ONEFlux that may be a target, and the NEE that it comes from.
TARGETS: dict[str, str] = _names()


def check_target(name: str, where: object = None) -> str:
    """`name`, unchanged, if a file of some product may have such a target.

    Raises
    ------
    ConfigError
        If it is misspelt; suggests the nearest.

    Examples
    --------
    >>> check_target("GPP_PI_F_1_1_1"), check_target("RECO_DT_CUT_75")
    ('GPP_PI_F_1_1_1', 'RECO_DT_CUT_75')
    """
    return name if _PLAIN.fullmatch(name) else check_name(name, [*TARGETS, *PARTITIONED], "target", where)


def find_target(names: str | Sequence[str], columns: Sequence[str], oneflux: bool, where: str) -> Target:
    """The first of `names` that the file has.

    Raises
    ------
    VariableError
        None of them is there, or its QC column is absent; close names are listed.

    Examples
    --------
    >>> target = find_target("GPP_DT_CUT_REF", ["GPP_DT_CUT_REF", "GPP_NT_CUT_REF", "NEE_CUT_REF_QC"], True, "file")
    >>> target.roles
    {'quality': 'NEE_CUT_REF_QC', 'other': 'GPP_NT_CUT_REF'}
    """
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        found = _oneflux(name, columns, where) if oneflux else _other(name, columns)
        if found is not None:
            return found
    raise _absent(wanted, columns, oneflux, where)


def _oneflux(name: str, columns: Sequence[str], where: str) -> Target | None:
    nee = TARGETS.get(name)
    if nee is None or name not in columns:
        return None
    roles = {"quality": f"{nee}_QC"}
    if roles["quality"] not in columns:
        close = difflib.get_close_matches(roles["quality"], [c for c in columns if c.endswith("_QC")], n=5, cutoff=0.0)
        raise VariableError(
            f"QC column of {name} absent", where=where, expected=f"{nee}_QC", remedy=_candidates("QC columns", close)
        )
    stem = name.removesuffix(name.split("_")[-1])
    pairs = [((stem + low, stem + high), spread) for (low, high), spread in _SPREADS]
    (low, high), spread = next((p for p in pairs if set(p[0]) <= set(columns)), pairs[0])
    swap = {"NT": "DT", "DT": "NT"}
    other = "_".join(swap.get(word, word) for word in name.split("_"))
    roles |= {"random_uncertainty": f"{nee}_RANDUNC", "low": low, "high": high}
    roles |= {"joint_uncertainty": f"{nee}_JOINTUNC"} if name == nee else {"other": other}
    return Target(name, name, {role: c for role, c in roles.items() if c in columns}, spread)


def _other(name: str, columns: Sequence[str]) -> Target | None:
    if name.split("_")[0] not in (*FLUXES, "FC"):
        return None
    column = at_position(name, columns)
    if column is None:
        return Target(name, None) if name in PARTITIONED and find_nee(columns) else None
    roles = {"quality": f"{name}_QC"} if f"{name}_QC" in columns else {}
    if "_F" in name:
        plain = name.replace("_F", "")
        unfilled = next((c for n in (plain, "FC", "NEE_PI", "NEE") if (c := at_position(n, columns))), None)
        roles |= {"unfilled": unfilled} if unfilled else {}
    return Target(name, column, roles)


def find_nee(columns: Sequence[str]) -> tuple[str, str | None] | None:
    """The column of measured net exchange, and that of the storage to be added to it (None where it is included)."""
    if flux := at_position("FC", columns):
        return flux, find_column("SC", columns, oneflux=False)
    nee = at_position("NEE_PI", columns) or at_position("NEE", columns)
    return (nee, None) if nee else None


def find_test(flux: str, columns: Sequence[str]) -> str | None:
    """The column of the turbulence test (Mauder and Foken's 0, 1, 2) of a measured `flux`, at its own position.

    Examples
    --------
    >>> find_test("FC_1_1_1", ["FC_SSITC_TEST_2_1_1", "FC_SSITC_TEST_1_1_1"])
    'FC_SSITC_TEST_1_1_1'
    """
    found = re.fullmatch(r"(FC|NEE)(?:_PI)?(_\d.*)?", flux)
    if found is None:
        return None
    name, position = found[1] + "_SSITC_TEST", found[2] or ""
    return name + position if name + position in columns else at_position(name, columns)


def _absent(names: Sequence[str], columns: Sequence[str], oneflux: bool, where: str) -> VariableError:
    name = names[0]
    if oneflux:
        what = f"target {name} absent" if name in TARGETS else f"{name} is not a carbon flux with a known QC column"
        close = _closest(name, [column for column in columns if column in TARGETS])
    else:
        what = f"target {name} absent"
        close = [c for c in columns if c.split("_")[0] in FLUXES or c.startswith("FC_PI")][:5]
        if find_nee(columns):
            made = [name for name in PARTITIONED if at_position(name, columns) is None]
            close += [*made[:-1], f"{made[-1]} (the last {len(made)} made here from net exchange)"] if made else []
    if len(names) > 1:
        what = f"none of the targets {', '.join(names)} is there"
    return VariableError(
        what, where=where, expected="a carbon flux that the file has", remedy=_candidates("targets", list(close))
    )


def _closest(target: str, present: Sequence[str]) -> list[str]:
    """Of the same flux, the reference versions first, those of one threshold for each year before the others."""
    wanted = target.upper()

    def rank(name: str) -> tuple[bool, bool, float, bool, bool]:
        other = name.split("_")[0] != wanted.split("_")[0]
        likeness = difflib.SequenceMatcher(None, wanted, name).ratio()
        return other, not name.endswith("_REF"), -likeness, "_CUT_" in name, "_DT_" in name

    return sorted(present, key=rank)[:5]


def _candidates(kind: str, close: Sequence[str]) -> str:
    return f"The closest {kind} here: {', '.join(close)}" if close else f"The file has no {kind}"
