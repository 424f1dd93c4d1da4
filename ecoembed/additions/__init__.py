"""Start a study, and add towers to it: what ``ecoembed new`` and ``ecoembed add-site`` do.

:mod:`.new` writes the folder, :mod:`.add` takes a tower's files in, :mod:`.texts` edits the two text files that hold
what a user wrote, and :mod:`.missing` says what a site lacks and what that costs.
"""

from ecoembed.additions.add import Added, add_site
from ecoembed.additions.missing import what_is_missing
from ecoembed.additions.new import new_study

__all__ = ["Added", "add_site", "new_study", "what_is_missing"]
