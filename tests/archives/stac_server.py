"""A small STAC API with its files, on this machine: what a catalogue and its storage do, and what they do wrong.

Landing page with conformance, collections, items, POST and GET ``/search`` (bbox, intersects, datetime, collections,
ids, limit, token paging; refused as real ones refuse: dates without a time, bbox together with intersects), and files
by HTTP Range and HEAD. Every request is counted by its path. Faults are put in by path and wear off if told so.

Sources: STAC API 1.0.0 (item search), RFC 9110 (ranges).
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import shapely
from shapely.geometry import box, shape

Json = dict[str, Any]

CONFORMS = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
]
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@dataclass
class Fault:
    """What goes wrong with the requests whose path contains `match`, the next `times` times.

    ``status``: that answer, with `retry_after`. ``slow``: `seconds` before the answer. ``truncated``: the file ends
    half-way, as an upload that broke off. ``cut``: the connection closes half-way through an answer. ``repeat``: the
    second page is the first again. ``loop``: `next` points to the page it stands on.
    """

    match: str
    kind: str
    times: float = float("inf")
    status: int = 500
    seconds: float = 0.0
    retry_after: str | None = None


@dataclass
class StacServer:
    """Use as a context manager; ``url`` is the catalogue's address."""

    page: int = 2
    counts: bool = False  # whether an answer says how many items there are in all, as Earth Search's do
    items: list[Json] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    absent: Counter[str] = field(default_factory=Counter)
    searches: list[Json] = field(default_factory=list)
    sent: int = 0

    def __enter__(self) -> StacServer:
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", 0), type("Handler", (_Handler,), {"catalogue": self}))
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def add(self, item: Json, files: dict[str, bytes]) -> Json:
        self.items.append(item)
        self.files.update(files)
        return item

    def fault(self, match: str, kind: str, **details: Any) -> None:
        self.faults.append(Fault(match, kind, **details))

    def asked(self, match: str = "") -> int:
        """Requests so far whose path contains `match`."""
        with self._lock:
            return sum(n for path, n in self.requests.items() if match in path)

    def forget(self) -> None:
        with self._lock:
            self.requests.clear()
            self.absent.clear()
            self.searches.clear()
            self.sent = 0

    def due(self, path: str, *kinds: str) -> Fault | None:
        """The fault of one of those kinds that is due at `path`; one of its times is then used up."""
        with self._lock:
            for fault in self.faults:
                if fault.match in path and fault.kind in kinds and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def find(self, query: Json) -> list[Json]:
        """The items of a search, sorted by date (newest first) and id, as the real ones do."""
        area = _area(query)
        first, last = _period(query.get("datetime"))
        found = [
            item
            for item in self.items
            if ("collections" not in query or item["collection"] in query["collections"])
            and ("ids" not in query or item["id"] in query["ids"])
            and first <= _moment(item["properties"]["datetime"]) <= last
            and (area is None or shapely.intersects(area, shape(item["geometry"])))
        ]
        return sorted(found, key=lambda item: (item["properties"]["datetime"], item["id"]), reverse=True)

    def search(self, query: Json, method: str) -> Json:
        found, start = self.find(query), int(str(query.get("token") or "next:0").removeprefix("next:"))
        size = min(int(query.get("limit", 10)), self.page)
        following = start + size
        if self.due("/search", "loop"):
            following = start
        elif start and self.due("/search", "repeat"):
            start -= size
        links: list[Json] = [{"rel": "root", "type": "application/json", "href": self.url}]
        if following < len(found):
            link: Json = {"rel": "next", "type": "application/geo+json", "method": method, "href": f"{self.url}/search"}
            if method == "POST":
                link["body"] = {**query, "token": f"next:{following}"}
            else:
                link["href"] += "?" + "&".join(
                    f"{k}={','.join(map(str, v)) if isinstance(v, list) else v}"
                    for k, v in {**query, "token": f"next:{following}"}.items()
                )
            links.append(link)
        total = {"numberMatched": len(found)} if self.counts else {}
        return {"type": "FeatureCollection", "features": found[start : start + size], "links": links, **total}


class RefusedError(Exception):
    """A query that the API does not accept."""


def _area(query: Json) -> Any:
    if "bbox" in query and "intersects" in query:
        raise RefusedError("bbox and intersects exclude each other")
    if "intersects" in query:
        return shape(query["intersects"])
    if "bbox" not in query:
        return None
    west, south, east, north = map(float, query["bbox"])
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise RefusedError(f"bbox out of range: {query['bbox']}")
    if west <= east:
        return box(west, south, east, north)
    return shapely.union(box(west, south, 180, north), box(-180, south, east, north))  # across the antimeridian


def _period(text: str | None) -> tuple[datetime, datetime]:
    first, _, last = (text or "../..").partition("/")
    last = last or first
    return (
        datetime.min.replace(tzinfo=UTC) if first in ("..", "") else _moment(first),
        datetime.max.replace(tzinfo=UTC) if last in ("..", "") else _moment(last),
    )


def _moment(text: str) -> datetime:
    if not RFC3339.fullmatch(text):
        raise RefusedError(f"not a date and time of RFC 3339: {text}")
    return datetime.fromisoformat(text)


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that has gone."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    catalogue: StacServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for the client's acknowledgement

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer({}, body=False)

    def do_GET(self) -> None:
        self._answer({key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()})

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}"))

    def _answer(self, query: Json, *, body: bool = True) -> None:
        server, path = self.catalogue, unquote(urlsplit(self.path).path)
        with server._lock:
            server.requests[path] += 1
        if slow := server.due(path, "slow"):
            time.sleep(slow.seconds)
        if failed := server.due(path, "status"):
            extra = {"Retry-After": failed.retry_after} if failed.retry_after is not None else {}
            return self._send(failed.status, b'{"code": "fault"}', "application/json", extra, body=body)
        if path in server.files:
            return self._file(path, body=body)
        try:
            found = self._resource(path, query)
        except RefusedError as exc:
            return self._json(400, {"code": "BadRequest", "description": str(exc)}, body=body)
        if found is None:
            with server._lock:
                server.absent[path] += 1
            return self._json(404, {"code": "NotFound", "description": path}, body=body)
        return self._json(200, found, body=body)

    def _resource(self, path: str, query: Json) -> Json | None:
        server = self.catalogue
        names = sorted({item["collection"] for item in server.items})
        parts = [part for part in path.split("/") if part]
        if not parts:
            return _landing(server.url)
        if parts == ["conformance"]:
            return {"conformsTo": CONFORMS}
        if parts == ["search"]:
            plain = _typed(query) if self.command == "GET" else query
            with server._lock:
                server.searches.append(plain)
            return server.search(plain, self.command)
        if parts == ["collections"]:
            return {"collections": [_collection(name, server.url) for name in names], "links": []}
        if parts[0] == "collections" and len(parts) == 2 and parts[1] in names:
            return _collection(parts[1], server.url)
        if parts[0] == "collections" and len(parts) == 4 and parts[2] == "items":
            return next((item for item in server.items if item["id"] == parts[3]), None)
        return None

    def _file(self, path: str, *, body: bool) -> None:
        content = self.catalogue.files[path]
        if self.catalogue.due(path, "truncated"):
            content = content[: len(content) // 2]
        kind = "application/xml" if path.endswith(".xml") else "image/tiff"
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            return self._send(200, content, kind, {"Accept-Ranges": "bytes"}, body=body)
        total = len(content)
        first = int(asked[1]) if asked[1] else max(0, total - int(asked[2]))
        last = min(int(asked[2]), total - 1) if asked[1] and asked[2] else total - 1
        if first >= total:
            return self._send(416, b"", kind, {"Content-Range": f"bytes */{total}"}, body=body)
        extra = {"Accept-Ranges": "bytes", "Content-Range": f"bytes {first}-{last}/{total}"}
        return self._send(206, content[first : last + 1], kind, extra, body=body)

    def _json(self, status: int, value: Json, *, body: bool) -> None:
        self._send(status, json.dumps(value).encode(), "application/json", {}, body=body)

    def _send(self, status: int, content: bytes, kind: str, extra: dict[str, str], *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        cut = body and self.catalogue.due(path, "cut")
        try:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **extra}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content[: len(content) // 2] if cut else content)
        except (BrokenPipeError, ConnectionResetError):  # the client gave up waiting
            cut = True
        self.close_connection = bool(cut)
        with self.catalogue._lock:
            self.catalogue.sent += len(content) if body else 0


def _typed(query: Json) -> Json:
    """What stands in the address of a GET search, as the JSON of a POST would hold it."""
    lists = {key: query[key].split(",") for key in ("collections", "ids", "bbox") if key in query}
    area = {"intersects": json.loads(query["intersects"])} if "intersects" in query else {}
    return {**query, **lists, **area}


def _landing(url: str) -> Json:
    links = [
        {"rel": "self", "href": url, "type": "application/json"},
        {"rel": "root", "href": url, "type": "application/json"},
        {"rel": "data", "href": f"{url}/collections", "type": "application/json"},
        {"rel": "conformance", "href": f"{url}/conformance", "type": "application/json"},
        *(
            {"rel": "search", "href": f"{url}/search", "type": "application/geo+json", "method": method}
            for method in ("GET", "POST")
        ),
    ]
    return {
        "type": "Catalog",
        "id": "loopback",
        "description": "A catalogue for tests",
        "stac_version": "1.0.0",
        "conformsTo": CONFORMS,
        "links": links,
    }


def _collection(name: str, url: str) -> Json:
    return {
        "type": "Collection",
        "id": name,
        "stac_version": "1.0.0",
        "description": name,
        "license": "proprietary",
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [["2015-06-27T10:25:31Z", None]]},
        },
        "links": [{"rel": "root", "href": url, "type": "application/json"}],
    }
