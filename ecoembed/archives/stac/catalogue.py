"""What a catalogue holds of a place and a period: all pages of the search, each item once.

The pages are pystac-client's. It follows any ``next`` link, also one that leads in a circle; here a page that brings
nothing new ends the search: with an error, or with a warning if it was the last.

Source: STAC API 1.0.0, item search (https://api.stacspec.org/v1.0.0/item-search).
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date
from typing import TYPE_CHECKING, Any

from ecoembed.archives.stac.providers import Collection, Provider
from ecoembed.archives.stac.transport import Patience, checked, request
from ecoembed.errors import ArchiveError, EcoembedError

if TYPE_CHECKING:
    import pystac
    from pystac_client import Client

#: Items asked for in one page; more items than `MOST` of one place are no honest answer (ten years are some 3000).
PAGE = 200
MOST = 50_000


def search(
    provider: Provider,
    collection: Collection,
    boxes: list[tuple[float, float, float, float]],
    period: tuple[date, date],
    patience: Patience,
) -> tuple[list[pystac.Item], Counter[str]]:
    """All items of a collection over any of `boxes` in `period` (both days included), and what was left out, why.

    Raises
    ------
    ArchiveError
        The catalogue does not answer, refuses, is no STAC API, has no such collection, or gives only a part.
    """
    import pystac
    from pystac_client.exceptions import APIError

    items: dict[str, pystac.Item] = {}
    skipped: Counter[str] = Counter()
    when = f"{period[0]:%Y-%m-%d}T00:00:00Z/{period[1]:%Y-%m-%d}T23:59:59Z"
    try:
        client = _client(provider, patience)
        name = _collection_name(client, provider, collection)
        for box in boxes:
            found = client.search(collections=[name], bbox=box, datetime=when, limit=PAGE)
            for feature in _features(found.pages_as_dicts(), provider):
                try:
                    item = pystac.Item.from_dict(feature)
                    _check(item, period)
                except (ValueError, KeyError, TypeError, AttributeError, pystac.STACError) as exc:
                    skipped[str(exc) if isinstance(exc, _LeftOutError) else "not a valid STAC item"] += 1
                    continue
                items.setdefault(item.id, item)
    except EcoembedError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, NotImplementedError, pystac.STACError, APIError) as exc:
        raise ArchiveError(
            "not a STAC API that can be searched",
            where=provider.url,
            found=f"{type(exc).__name__}: {str(exc)[:200]}",
            remedy="Check the address",
        ) from None
    return list(items.values()), skipped


class _LeftOutError(ValueError):
    """An item that was not asked for."""


def _check(item: pystac.Item, period: tuple[date, date]) -> None:
    taken = item.datetime or item.common_metadata.start_datetime
    if taken is None:
        raise _LeftOutError("without a date")
    taken = taken.replace(tzinfo=UTC) if taken.tzinfo is None else taken.astimezone(UTC)
    if not period[0] <= taken.date() <= period[1]:
        raise _LeftOutError("outside the period")
    item.datetime = taken


def _client(provider: Provider, patience: Patience) -> Client:
    """pystac-client, whose requests go through our own transport."""
    from pystac_client import Client
    from pystac_client.stac_api_io import StacApiIO

    class Io(StacApiIO):
        def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
            if isinstance(source, str):
                checked(source, ("http", "https"))  # pystac would open a file of that name
            return str(super().read_text(source, *args, **kwargs))

        def request(
            self,
            href: str,
            method: str | None = None,
            headers: dict[str, str] | None = None,
            parameters: dict[str, Any] | None = None,
        ) -> str:
            how = (method or "GET").upper()
            body, query = (parameters, None) if how == "POST" else (None, parameters)
            return patience.ask(lambda: request(how, href, json=body, params=query), provider.url).decode("utf-8")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of missing conformance classes: the search itself tells
        return Client.open(provider.url, stac_io=Io(max_retries=None))


def _collection_name(client: Client, provider: Provider, collection: Collection) -> str:
    if len(collection.names) == 1:
        return collection.names[0]
    present = {found.id for found in client.get_collections()}
    name = next((name for name in collection.names if name in present), None)
    if name is None:
        raise ArchiveError(
            f"the catalogue has no collection of {collection.product}",
            where=provider.url,
            found=", ".join(sorted(present)[:12]) or "no collections",
            expected=f"one of {', '.join(collection.names)}",
        )
    return name


def _features(pages: Iterator[dict[str, Any]], provider: Provider) -> Iterator[dict[str, Any]]:
    """The features of all pages, each once; ends where a page repeats another."""
    seen: set[str] = set()
    for page in pages:
        new = [one for one in page.get("features", []) if isinstance(one, dict) and str(one.get("id")) not in seen]
        if not new:
            _check_complete(page, len(seen), provider)
            return
        seen.update(str(one.get("id")) for one in new)
        if len(seen) > MOST:
            raise ArchiveError(f"more than {MOST} items of one place", where=provider.url)
        yield from new


def _check_complete(page: dict[str, Any], had: int, provider: Provider) -> None:
    """A page was repeated. Where the catalogue would go on, or says that there is more, the rest never comes."""
    total = page.get("numberMatched", (page.get("context") or {}).get("matched"))
    if total == had:
        return
    if total is None and not any(link.get("rel") == "next" for link in page.get("links", [])):
        warnings.warn(
            f"{provider.url}: the catalogue ended with a page that it had given already; {had} items until then: "
            "if some are missing, it gave that page twice in the place of theirs",
            UserWarning,
            stacklevel=5,
        )
        return
    raise ArchiveError(
        "the catalogue repeats a page and never gives the rest",
        where=provider.url,
        found=f"{had} items",
        expected=f"{total}, as it says itself" if total is not None else "the next page",
        remedy=f"Run it again later, or ask for a period of at most {PAGE} images, which is one page",
    )
