"""Signatures on what is sent over HTTP, so that a receiver knows who sent it, and when.

The header ``Governance-Flow-Signature`` reads ``t=<seconds since 1970>,v1=<hexadecimal>``, where
``v1`` is the HMAC-SHA256 of the time as written, a full stop and the body, under a key that both
sides know. A receiver calls ``verify_signature`` with the body's bytes *as received*, before it
parses them.
"""

from __future__ import annotations

import hmac
import re
from datetime import datetime
from hashlib import sha256

SIGNATURE_HEADER = "Governance-Flow-Signature"
IDEMPOTENCY_HEADER = "Idempotency-Key"

TOLERANCE_SECONDS = 300
"""How far a signature's time may be from the receiver's, unless it says otherwise."""

_SIGNATURE = re.compile(r"t=(?P<time>[0-9]{1,12}),v1=(?P<mac>[0-9a-f]{64})", re.ASCII)


def sign(secret: bytes, body: bytes, at: datetime) -> str:
    """Return the header's value for ``body`` sent at ``at`` (aware).

    Raises:
        ValueError: the secret is empty, so that anybody could sign, or the time is naive.
    """
    if not secret:
        raise ValueError("the secret to sign with is empty")
    if at.tzinfo is None:
        raise ValueError("the time to sign must be aware")
    time = str(int(at.timestamp()))
    return f"t={time},v1={_mac(secret, time, body)}"


def verify_signature(
    secret: bytes,
    body: bytes,
    header: str | None,
    *,
    now: datetime,
    tolerance_seconds: float = TOLERANCE_SECONDS,
) -> bool:
    """Return whether ``header`` signs ``body`` under ``secret``, neither long ago nor ahead.

    A header that is missing or malformed, and an empty secret, are just not valid. The comparison
    takes the same time wherever two signatures begin to differ.
    """
    match = _SIGNATURE.fullmatch(header or "")
    if match is None or not secret:
        return False
    genuine = hmac.compare_digest(match["mac"], _mac(secret, match["time"], body))
    return genuine and abs(now.timestamp() - int(match["time"])) <= tolerance_seconds


def _mac(secret: bytes, time: str, body: bytes) -> str:
    return hmac.new(secret, time.encode() + b"." + body, sha256).hexdigest()
