"""A dashboard over a pipeline in memory, and somebody who may do everything a person can."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from governance_flow.application.access.permissions import Role
from tests.support.flows import ZOE
from tests.support.pages import Browser, Site, visited


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """Return the dashboard of an empty pipeline."""
    async with visited() as site:
        yield site


@pytest.fixture
async def zoe(site: Site) -> Browser:
    """Return the browser of an operator who has not acted on any motion."""
    return await site.signed_in(ZOE, Role.OPERATOR)
