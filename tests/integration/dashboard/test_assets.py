"""What pages load: it comes with the packages, packed, and browsers keep it as long as is right."""

from __future__ import annotations

import gzip
import re

import pytest

from governance_flow.dashboard import assets
from tests.support.pages import Browser, Site

ADDRESS = re.compile(r"(?:url\(|@import|import\s*\(|from\s+[\"'])\s*[\"']?([^\"')\s]+)")


@pytest.mark.parametrize("name", sorted(assets.assets()))
async def test_an_asset_is_kept_for_good_under_its_digest_only(site: Site, name: str) -> None:
    http = site.browser().http

    fresh = await http.get(assets.address(name))
    assert fresh.status_code == 200
    assert fresh.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert fresh.headers["X-Content-Type-Options"] == "nosniff"
    old = await http.get(f"/static/{name}?v=0")
    assert old.headers["Cache-Control"] == "no-cache"
    again = await http.get(f"/static/{name}", headers={"If-None-Match": fresh.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_assets_come_packed_to_whoever_takes_that(site: Site) -> None:
    http = site.browser().http

    packed = await http.get("/static/chart.js", headers={"Accept-Encoding": "gzip, br"})
    plain = await http.get("/static/chart.js", headers={"Accept-Encoding": "identity"})

    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) < len(plain.content) / 3
    assert "Content-Encoding" not in plain.headers
    assert packed.content == plain.content
    assert gzip.decompress(assets.assets()["chart.js"].packed) == plain.content
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"


async def test_every_asset_that_a_page_names_is_there(site: Site, zoe: Browser) -> None:
    for path in ("/", "/motions", "/audit", "/sign-in"):
        page = await zoe.open(path)
        named = [
            address
            for tag in page.root.all("link", "script", "img")
            if (address := tag["href"] or tag["src"])
        ]
        assert len(named) >= 4
        for address in named:
            assert "?v=" in address
            answer = await zoe.http.get(address)
            assert (answer.status_code, "immutable" in answer.headers["Cache-Control"]) == (
                200,
                True,
            )


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fapp.py", "__init__.py"])
async def test_nothing_else_is_served(site: Site, name: str) -> None:
    assert (await site.browser().http.get(f"/static/{name}")).status_code == 404


def test_our_own_assets_name_no_other_host_and_run_no_text_as_code() -> None:
    for name, asset in assets.assets().items():
        if name == assets.CHART_LIBRARY:
            continue
        text = asset.plain.decode()
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in text
        assert ADDRESS.findall(text) == []
        for forbidden in (
            "eval(",
            "new Function",
            "innerHTML",
            "insertAdjacentHTML",
            "document.write",
        ):
            assert forbidden not in text, f"{name} uses {forbidden}"


def test_one_stylesheet_of_a_bearable_length() -> None:
    sheets = [name for name in assets.assets() if name.endswith(".css")]
    assert sheets == ["style.css"]
    assert len(assets.assets()["style.css"].plain.splitlines()) <= 400
