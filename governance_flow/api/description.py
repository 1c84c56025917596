"""The API described: OpenAPI 3.1, with who may do what, and every refusal as it comes."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from governance_flow.api.access_rules import ACCESS_RULES, Open
from governance_flow.api.links import links_of
from governance_flow.api.problems import MEDIA_TYPE
from governance_flow.application.access.permissions import Permission

SUMMARY = """
Motions pass through seven steps; every transition is witnessed, no failure is silent.

**Access.** Every request needs a token, `Authorization: Bearer gf_...`, which
`governance-flow token create` makes out. Who acts is whom the token was made out to.

**Errors** are `application/problem+json` (RFC 9457): `detail` says what to do, `errors` names
the fields, `correlation_id` finds the log lines.

**Writes** take an `Idempotency-Key`: sent again with the same key, a request gets the same answer.
Decisions about a motion take `If-Match` with the motion's `ETag`.

**Reads** see everything that was committed when they were asked; with `at_least`, at least
everything up to that position. Every write answers with its position in
`Governance-Flow-Position`.
"""

CORRELATION = {
    "name": "X-Correlation-ID",
    "in": "header",
    "required": False,
    "description": (
        "An id of the caller's for what this request begins; it comes back with the answer, and "
        "is on the log lines and on the events of what was begun. Made up if it is no UUID."
    ),
    # A plain string: any is taken, and generated clients would not know how to send a UUID.
    "schema": {"type": "string"},
}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the description, made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _described(app)
    return app.openapi_schema


def _described(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        summary="Drives motions through a witnessed governance pipeline.",
        description=SUMMARY,
        routes=app.routes,
    )
    schema.setdefault("components", {})["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "gf_..., opaque"}
    }
    for path in schema["paths"].values():
        for operation in path.values():
            _complete(operation)
    return schema


def _not_null(parameter: dict[str, Any]) -> None:
    """Say that a parameter may be left out, where it was said that it may be null as well."""
    schema = parameter["schema"]
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del schema["anyOf"]
        parameter["schema"] = kinds[0] | schema


def _complete(operation: dict[str, Any]) -> None:
    rule = ACCESS_RULES.get(operation["operationId"])
    for parameter in operation.setdefault("parameters", []):
        _not_null(parameter)
    operation["parameters"].append(CORRELATION)
    if rule is not Open.TO_EVERYBODY:
        operation["security"] = [{"token": []}]
    if isinstance(rule, Permission):
        needed = f"Needs the permission `{rule}`."
        operation["description"] = f"{operation.get('description', '')}\n\n{needed}".strip()
    for status, response in operation["responses"].items():
        if status.isdecimal() and (links := links_of(operation["operationId"], int(status))):
            response["links"] = links
        content = response.get("content", {})
        if MEDIA_TYPE in content:
            # What an operation answers with when all is well is not what it refuses with.
            response["content"] = {MEDIA_TYPE: content[MEDIA_TYPE]}
