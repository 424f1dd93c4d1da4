"""A new study's folder: a commented study.toml, an empty site table, and what goes where."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from ecoembed.errors import FileError
from ecoembed.files import atomic, unwritable

__all__ = ["new_study"]

_STUDY_TOML = """\
# What a study may be told. What is commented out is the default; a key that is not known is refused.

[study]
name = {name}
# your own sites: add-site writes them here, and the report has a section on each
own = []
# seed = 0                             # of every draw

[flux]
target = ["GPP_NT_VUT_REF", "GPP_NT"]  # the first that a tower's file has; GPP_NT is made here from half-hours
# min_qc = 0.75                        # least share of a day's half-hours that were measured or well filled

[satellite]                            # what `ecoembed fetch` gets, and how cubes are made of it
# provider = "planetary-computer"      # Sentinel-2
# radar_provider = "planetary-computer"
# size = 100                           # side of the window, in 10 m pixels
# start = 2017-01-01                   # by default the days of each tower's fluxes, and 120 before
# end = 2020-12-31
# mask = "scl"                         # what is clear: scl, learned, both

[embeddings]
# weights = "default"
# window = "causal"                    # sees no image after the day; "centred" does

[footprint]
# model = "kljun"                      # or kormann, disc
# radius = 100.0                       # of the disc, in m, where a tower lacks heights or turbulence
# min_coverage = 0.5                   # least cloud-free share of the footprint

[benchmark]
# protocol = "leave-site-out"
# regressors = ["ridge", "lightgbm"]
# intervals = 0.9                      # prediction intervals; ten sites or more, and ten times as long
"""

_SITES_CSV = "site_id,latitude,longitude,elevation,igbp,canopy_height,measurement_height,utc_offset,licence,citation\n"

_README = """\
# {name}

- `study.toml`: what is compared, and how; every key has a default.
- `sites.csv`: one row for each tower. Only `site_id` must be there if `sites/` knows the rest. Degrees with five
  decimals; elevation in m; canopy and measurement height in m above ground; `utc_offset` in h.
- `sites/`: optional. A BADM workbook (BIF), the FLUXNET shuttle's catalogue or any site table: they fill empty cells.
- `flux/`: the towers' files as downloaded; an own table `my.csv` beside its description `my.toml`.
- `satellite/SITE/`: Sentinel-2 and Sentinel-1; `ecoembed fetch` fills it.

1. **The other towers**, which the models learn from. At least one, better ten; of your own vegetation type if you can.
   Download them (FLUXNET2015, ICOS, the FLUXNET shuttle, AmeriFlux) and add each:

       ecoembed add-site {folder} FLX_DE-Gri_FLUXNET2015_FULLSET_2017-2020_1-4.zip --no-own

   Or start from the study of a colleague: copy the folder and go on with 2.
2. **Your own tower**:

       ecoembed add-site {folder} MY_FILE --lat 47.21022 --lon 8.41044 --igbp CRO --zm 9.0 --canopy-height 0.4

   It asks for nothing that the file or `sites/` knows, and says what is missing and what that costs.
3. **The satellite images** of all of them: `ecoembed fetch {folder}`.
4. **The report**: `ecoembed run {folder}`. Only what is missing is done; the exit code is 1 if a site failed.

To try it first: `ecoembed run` alone writes and runs a virtual network in `ecoembed-demo`.
"""

_FOLDERS = ("flux", "satellite", "sites")


def new_study(folder: str | Path) -> Path:
    """Start a study: study.toml, sites.csv with its header, flux/, satellite/, sites/ and a README.md.

    Parameters
    ----------
    folder : path
        New, or empty but for hidden files; its name becomes the study's.

    Raises
    ------
    FileError
        If it is a file, holds anything, or cannot be written; it is left as it was.

    Examples
    --------
    >>> import tempfile
    >>> sorted(path.name for path in new_study(Path(tempfile.mkdtemp()) / "mine").iterdir())
    ['README.md', 'flux', 'satellite', 'sites', 'sites.csv', 'study.toml']
    """
    folder = Path(folder)
    name = folder.absolute().name
    pieces = {
        "README.md": _README.format(name=name, folder=shlex.quote(str(folder))),
        "sites.csv": _SITES_CSV,
        "study.toml": _STUDY_TOML.format(name=json.dumps(name, ensure_ascii=False)),  # last: with it, it is a study
    }
    _refuse_used(folder, pieces)
    try:
        for each in _FOLDERS:
            (folder / each).mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise unwritable(folder, exc.strerror) from None
    for each, text in pieces.items():
        with atomic(folder / each) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
    return folder


def _refuse_used(folder: Path, pieces: dict[str, str]) -> None:
    """Refuse what holds somebody's work; what a killed run of this very command left does not count."""
    if folder.exists() and not folder.is_dir():
        raise FileError("this is a file", where=folder, expected="a new folder", remedy="Choose another name")
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    if any(path.name == "study.toml" for path in found):
        remedy = "Add towers to it: ecoembed add-site STUDY FILE"
        raise FileError("there is a study already", where=folder, found="study.toml", remedy=remedy)
    foreign = [path.name for path in found if not path.name.startswith(".") and not _own(path, pieces)]
    if foreign:
        raise FileError(
            "the folder holds other files", where=folder, found=", ".join(foreign[:5]),
            expected="a new or an empty folder", remedy="Name a folder that does not exist",
        )  # fmt: skip


def _own(path: Path, pieces: dict[str, str]) -> bool:
    if path.is_dir():
        return path.name in _FOLDERS and not any(path.iterdir())
    return path.name in pieces and path.read_bytes() == pieces[path.name].encode()
