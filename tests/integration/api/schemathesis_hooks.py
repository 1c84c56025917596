"""Fills in what no description can say of a request, because only the store knows it.

Without this, requests that are right by the description would be refused, and rightly so: for a
position that was never reached, a place in no list, a key that came with another request.
"""

from __future__ import annotations

import re
from itertools import count
from typing import Any

import schemathesis

REACHED = "1"
NOW = "2026-01-01T12:00:00Z"
"""At which the clock of the pipeline stands still."""
ETAG = re.compile(r'\*|"[0-9]{1,18}"')
_numbers = count()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Change what is right by the description, and nothing else."""
    query = case.query or {}
    for name in ("at_least", "position"):
        if _is_number(query.get(name)):
            query[name] = REACHED
    if "at" in query and _positive(case):
        # The only time that is neither before the first event nor still to come.
        query["at"] = NOW
    if "position" in query and "at" in query and _positive(case):
        # Either may be named; a description cannot say: not both.
        del query["position"]
    if "after" in query and _positive(case):
        del query["after"]
    headers = case.headers or {}
    for name in headers:
        if name.lower() == "if-match" and _positive(case) and not ETAG.fullmatch(headers[name]):
            # At the bounds of the pattern it forgets the quotes, which the pattern asks for.
            headers[name] = "*"
        if name.lower() == "idempotency-key" and _positive(case):
            headers[name] = f"key-{next(_numbers)}"
    if isinstance(case.body, dict) and _positive(case):
        case.body.pop("after", None)


def _positive(case: Any) -> bool:
    return case.meta is None or case.meta.generation.mode.is_positive


def _is_number(value: Any) -> bool:
    return str(value).isdecimal() and int(value) < 2**63
