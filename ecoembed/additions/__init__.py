"""Start a study, and add towers to it: what ``ecoembed new`` and ``ecoembed add-site`` do.

:mod:`.new` writes the folder. :mod:`.add` takes a tower in: its files (`copies`), what all sources know of it (`rows`,
and `clock` for its UTC offset), the two texts in which a user writes too (`texts`), and what it lacks (`missing`).
"""

from ecoembed.additions.add import Added, add_site
from ecoembed.additions.missing import what_is_missing
from ecoembed.additions.new import new_study

__all__ = ["Added", "add_site", "new_study", "what_is_missing"]
