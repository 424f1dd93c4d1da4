"""Public archives by STAC: what they have of a site (:func:`plan_fetch`), and fetching it."""

from ecoembed.archives.stac.download import Fetched, fetch
from ecoembed.archives.stac.place import SiteGrid
from ecoembed.archives.stac.plan import Plan, check_access, check_installed, plan_fetch
from ecoembed.archives.stac.providers import PROVIDERS, Provider, get_provider
from ecoembed.archives.stac.transport import UnreachableError

__all__ = [
    "PROVIDERS",
    "Fetched",
    "Plan",
    "Provider",
    "SiteGrid",
    "UnreachableError",
    "check_access",
    "check_installed",
    "fetch",
    "get_provider",
    "plan_fetch",
]
