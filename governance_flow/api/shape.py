"""What a request must look like before an operation is handed it, and where its fields are."""

from __future__ import annotations

from fastapi import Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute

from governance_flow.api.paths import PREFIX
from governance_flow.api.problems import FAULTS_MAX, INVALID, WRONG_MEDIA_TYPE, Problematic
from governance_flow.domain.errors import InvalidInput

JSON = "application/json"


class Shape:
    """The parameters of a route, and the kind of its body."""

    def __init__(self, route: APIRoute) -> None:
        body = route.body_field
        self._parameters = {
            field.alias
            for field in get_flat_params(route.dependant)
            if isinstance(field.field_info, params.Query)
        }
        self._takes_json = body is not None and not isinstance(body.field_info, params.Form)
        sent = getattr(body.field_info.annotation, "model_fields", {}) if body else {}
        self._places = {name: f"query.{name}" for name in self._parameters} | {
            name: f"body.{name}" for name in sent
        }

    def check(self, request: Request) -> None:
        """Raise Problematic for parameters that nobody reads, and for a body that is no JSON."""
        if request.url.path.startswith(PREFIX):
            self._require_known(request)
        if self._takes_json:
            _require_json(request)

    def located(self, error: InvalidInput) -> InvalidInput:
        """Return the error with the place in the request of the field that it names."""
        field = error.details.get("field")
        if field is not None:
            error.details["field"] = self._places.get(field, field)
        return error

    def _require_known(self, request: Request) -> None:
        # A filter that was meant and not heeded would show everything, and nobody would see why.
        unread = sorted(set(request.query_params) - self._parameters)[:FAULTS_MAX]
        if not unread:
            return
        there_are = ", ".join(sorted(self._parameters)) or "none"
        why = f"no such parameter; there are: {there_are}"
        faults = [{"field": f"query.{name:.60}", "detail": why} for name in unread]
        detail = "; ".join(f"{fault['field']}: {fault['detail']}" for fault in faults)
        raise Problematic(INVALID, detail, errors=faults)


def _require_json(request: Request) -> None:
    said = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if said != JSON:
        other = f"not {said!r:.60}" if said else "which the request does not say"
        raise Problematic(WRONG_MEDIA_TYPE, f"send JSON, with Content-Type: {JSON}, {other}")
