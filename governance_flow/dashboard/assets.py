"""What pages load besides themselves: the stylesheet, the modules, and the library for charts.

Everything comes with the installed packages. An address holds the digest of what it leads to, so
browsers may keep that for good.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import PurePosixPath
from types import MappingProxyType

from fastapi import APIRouter, Request, Response, status
from starlette.exceptions import HTTPException

from governance_flow.api.guard import GuardedRoute

CHART_LIBRARY = "chart.js"
DIGEST_CHARACTERS = 12
FOR_GOOD = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"

MEDIA_TYPES: Mapping[str, str] = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
    }
)

router = APIRouter(prefix="/static", route_class=GuardedRoute, include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent, plain and packed."""

    media_type: str
    plain: bytes
    packed: bytes
    digest: str


@cache
def assets() -> Mapping[str, Asset]:
    """Return every asset by its name; they are read once."""
    found = {
        file.name: file.read_bytes()
        for file in files("governance_flow.dashboard").joinpath("static").iterdir()
        if PurePosixPath(file.name).suffix in MEDIA_TYPES
    }
    # Chart.js itself: chartkick brings it in its wheel, for Django, which we have no use for.
    library = files("chartkick").joinpath("django", "static", "chartkick", "Chart.bundle.js")
    found[CHART_LIBRARY] = library.read_bytes()
    return MappingProxyType({name: _asset(name, content) for name, content in found.items()})


def address(name: str) -> str:
    """Return where an asset is; raises KeyError if there is none of this name."""
    return f"/static/{name}?v={assets()[name].digest}"


@router.get("/{name}")
def get_asset(name: str, request: Request, v: str = "") -> Response:
    """Return an asset, packed if the browser takes that."""
    asset = assets().get(name)
    if asset is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"there is no asset {name!r:.60}")
    headers = {
        # One of an older page is not to be kept under a name that it no longer has.
        "Cache-Control": FOR_GOOD if v == asset.digest else ASK_AGAIN,
        "ETag": f'"{asset.digest}"',
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(asset.packed, headers=headers, media_type=asset.media_type)
    return Response(asset.plain, headers=headers, media_type=asset.media_type)


def _asset(name: str, content: bytes) -> Asset:
    return Asset(
        media_type=MEDIA_TYPES[PurePosixPath(name).suffix],
        plain=content,
        packed=gzip.compress(content, mtime=0),
        digest=sha256(content).hexdigest()[:DIGEST_CHARACTERS],
    )
