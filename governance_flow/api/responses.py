"""How operations may be refused, for the API's description: nothing comes undocumented."""

from __future__ import annotations

from typing import Any

from governance_flow.api.problems import MEDIA_TYPE, Problem

_WHY = {
    400: "The body cannot be read: it is no JSON, or no UTF-8.",
    401: "We do not know who asks: there is no token, or it is not accepted.",
    403: "The bearer may not do this, or the act breaks a rule of the pipeline.",
    404: "There is no such thing.",
    409: "It is not possible as things stand.",
    412: "The motion has moved on since the version in `If-Match`.",
    413: "The request is too large.",
    415: "The body is of another media type than `application/json`.",
    422: "The request is malformed; `errors` names the fields.",
    429: "Too many requests from here were denied.",
    500: "A mistake of ours; the log has it under the correlation id.",
    503: "The store cannot serve now; `Retry-After` says when to try again.",
    507: "The store has no space left; nothing was written.",
}

REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {
        "model": Problem,
        "description": why,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for code, why in _WHY.items()
}
"""FastAPI adds its own media type beside ours; ``describe`` takes that away."""
