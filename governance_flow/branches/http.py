"""Branch services reached over HTTP: ``kind: http`` in the configuration.

Each assignment is POSTed as JSON to one address, with its routing id as ``Idempotency-Key``
(after a crash the same assignment may be sent again) and, if a secret is configured, a signature
that the receiver checks with ``application.signing.verify_signature``. What may be answered
stands in ``http_answers``.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import httpx
from pydantic import TypeAdapter

from governance_flow.application.ports.branch_services import CompletesLater
from governance_flow.application.ports.clock import Clock, SystemClock
from governance_flow.application.ports.flow_orchestrator import BranchAssignment, BranchResult
from governance_flow.application.signing import IDEMPOTENCY_HEADER, SIGNATURE_HEADER, sign
from governance_flow.branches.http_answers import Answer, understand
from governance_flow.branches.results import failed
from governance_flow.domain.escalation import SYSTEM_ERROR, TIMEOUT_ERROR

MAX_RESPONSE_BYTES = 1_000_000
CONNECT_TIMEOUT_SECONDS = 10.0

_ASSIGNMENT = TypeAdapter(BranchAssignment)


class _Unusable(Exception):
    """The response must not be read on; the message says why."""


class HttpBranch:
    """Sends assignments to a service elsewhere. Close it when it is no longer needed.

    Whatever the other side does, or fails to do, becomes a result; nothing is raised for it.
    """

    def __init__(
        self,
        url: str,
        *,
        secret: bytes | None = None,
        timeout_seconds: float,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        clock: Clock | None = None,
    ) -> None:
        parts = urlsplit(url)
        # Without its query, which may hold something that is nobody's business.
        self._origin = f"{parts.scheme}://{parts.netloc}{parts.path}"
        self._url = url
        self._secret = secret
        self._timeout_seconds = timeout_seconds
        self._max_response_bytes = max_response_bytes
        self._clock = clock or SystemClock()
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(
                timeout_seconds, connect=min(timeout_seconds, CONNECT_TIMEOUT_SECONDS)
            ),
            follow_redirects=False,
            # A small answer that unpacks into a huge one is thus not possible.
            headers={"Accept-Encoding": "identity", "User-Agent": "governance-flow"},
        )

    async def perform(self, assignment: BranchAssignment) -> BranchResult | CompletesLater:
        """Send the assignment, and return what the answer means."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer = await self._post(assignment)
        except (TimeoutError, httpx.TimeoutException):
            message = f"{self._origin} did not answer within {self._timeout_seconds:g} s"
            return failed(assignment, TIMEOUT_ERROR, message)
        except (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError) as error:
            message = f"{self._origin} could not be reached, or hung up: {_said(error)}"
            return failed(assignment, TIMEOUT_ERROR, message)
        except (httpx.HTTPError, httpx.InvalidURL, _Unusable) as error:
            return failed(assignment, SYSTEM_ERROR, f"{self._origin}: {_said(error)}")
        return understand(assignment, answer)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _post(self, assignment: BranchAssignment) -> Answer:
        body = _ASSIGNMENT.dump_json(assignment)
        headers = {
            "Content-Type": "application/json",
            IDEMPOTENCY_HEADER: str(assignment.routing_id),
        }
        if self._secret is not None:
            headers[SIGNATURE_HEADER] = sign(self._secret, body, self._clock.now())
        async with self._client.stream(
            "POST", self._url, content=body, headers=headers
        ) as response:
            encoding = response.headers.get("content-encoding", "identity")
            if encoding != "identity":
                raise _Unusable(f"the answer is encoded ({encoding}), which was not asked for")
            received = bytearray()
            async for chunk in response.aiter_raw():
                received += chunk
                if len(received) > self._max_response_bytes:
                    raise _Unusable(
                        f"the answer ({response.status_code}) is longer than "
                        f"{self._max_response_bytes} bytes"
                    )
        return Answer(self._origin, response.status_code, self._without_secret(bytes(received)))

    def _without_secret(self, received: bytes) -> bytes:
        """Keep the secret out of the record, should the other side be so careless as to send it."""
        return received.replace(self._secret, b"***") if self._secret else received


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
