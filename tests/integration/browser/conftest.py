"""A real browser, if the machine has one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from scripts.screenshots.chromium import chromium
from tests.support.visitor import require_chromium


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Return a browser; each story opens windows of its own in it."""
    require_chromium()
    async with chromium() as started:
        yield started
