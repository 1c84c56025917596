"""Witness statements: what the Knight binds, and the chain that leaves nothing uncovered.

A statement names the transition and the SHA-256 of the stored bytes of every event since the
previous statement, the event that carried that statement included, plus the previous
statement's own digest. Once a motion has moved on, no byte of its past can change unseen.

A statement is a signed note: its text is one line naming the format, then one line of canonical
JSON; below stand an empty line and the signature of the Knight's key.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from json.encoder import encode_basestring as _quoted
from typing import TYPE_CHECKING, Any, NamedTuple

from governance_flow.domain.canonical import canonical_json
from governance_flow.domain.errors import WitnessFailed

if TYPE_CHECKING:
    from uuid import UUID

    from governance_flow.domain.events import ProposedTransition

STATEMENT_HEADER = "governance-flow/witness-statement/v1"


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of ``data`` in hexadecimal."""
    return sha256(data).hexdigest()


class CoveredEvent(NamedTuple):
    """An event that the next statement must cover, by the digest of its stored bytes."""

    version: int
    sha256: str


@dataclass(frozen=True)
class WitnessRequest:
    """What the Knight is asked to witness: one transition of one motion."""

    motion_id: UUID
    version: int
    transition: ProposedTransition
    previous_statement: str | None
    covered: tuple[CoveredEvent, ...]

    @property
    def binding(self) -> dict[str, Any]:
        """What a statement about this transition must say, in JSON's types."""
        proposed = self.transition
        cause = proposed.cause
        return {
            "motion_id": str(self.motion_id),
            "version": self.version,
            "from": proposed.from_state.value,
            "to": proposed.to_state.value,
            "cause": {
                "kind": cause.kind.value,
                "reason": cause.reason,
                "event_id": str(cause.event_id) if cause.event_id else None,
            },
            "actor": {
                "id": proposed.actor.id,
                "authenticated_by": proposed.actor.authenticated_by.value,
            },
            "timestamp": proposed.timestamp.isoformat(),
            "until": proposed.until.isoformat() if proposed.until else None,
            "previous_statement": self.previous_statement,
            "covers": [{"version": c.version, "sha256": c.sha256} for c in self.covered],
        }

    @property
    def opening(self) -> str:
        """How the text of every statement that binds this begins: all but the witness's name.

        It is ``binding`` in canonical JSON, put together by hand because every transition needs it,
        once to make its statement and once to check it. The keys are sorted, so the witness stands
        last.
        """
        opening: str | None = self.__dict__.get("opening kept")
        if opening is None:
            opening = self.__dict__["opening kept"] = self._opening()
        return opening

    def _opening(self) -> str:
        proposed = self.transition
        cause = proposed.cause
        covers = ",".join(
            [f'{{"sha256":"{event.sha256}","version":{event.version}}}' for event in self.covered]
        )
        event_id = f'"{cause.event_id}"' if cause.event_id else "null"
        previous = f'"{self.previous_statement}"' if self.previous_statement else "null"
        until = f'"{proposed.until.isoformat()}"' if proposed.until else "null"
        return (
            f"{STATEMENT_HEADER}\n"
            f'{{"actor":{{"authenticated_by":"{proposed.actor.authenticated_by}",'
            f'"id":{_quoted(proposed.actor.id)}}},'
            f'"cause":{{"event_id":{event_id},"kind":"{cause.kind}",'
            f'"reason":{_quoted(cause.reason)}}},'
            f'"covers":[{covers}],"from":"{proposed.from_state}","motion_id":"{self.motion_id}",'
            f'"previous_statement":{previous},"timestamp":"{proposed.timestamp.isoformat()}",'
            f'"to":"{proposed.to_state}","until":{until},"version":{self.version},"witness":'
        )


@dataclass(frozen=True, slots=True)
class WitnessStatement:
    """The Knight's words, kept exactly as made."""

    text: str

    @classmethod
    def about(cls, request: WitnessRequest, witness: str) -> WitnessStatement:
        """Make the statement that binds ``request``, in the name of ``witness``."""
        return cls(f"{request.opening}{_quoted(witness)}}}\n")

    @property
    def digest(self) -> str:
        """The SHA-256 of the text, which the motion's next statement refers to."""
        return digest_of(self.text.encode())

    def body(self) -> dict[str, Any]:
        """Return the statement's content; raises WitnessFailed if it is not a statement."""
        try:
            self.text.encode()
        except UnicodeEncodeError as error:
            msg = f"the witness statement cannot be encoded: {error}"
            raise WitnessFailed(msg) from error
        lines = self.text.split("\n")
        if len(lines) < 2 or lines[0] != STATEMENT_HEADER:  # noqa: PLR2004 - header and body
            msg = f"not a witness statement: it does not begin with {STATEMENT_HEADER!r}"
            raise WitnessFailed(msg)
        try:
            body = json.loads(lines[1])
        except (ValueError, RecursionError) as error:
            msg = f"the witness statement's body is not JSON: {error}"
            raise WitnessFailed(msg) from error
        if not isinstance(body, dict):
            msg = "the witness statement's body is not an object"
            raise WitnessFailed(msg)
        return body

    def require_binding(self, request: WitnessRequest) -> None:
        """Raise WitnessFailed unless this statement says exactly what ``request`` asks."""
        if _closes_well(self.text, request.opening):
            return
        body = self.body()
        witness = body.pop("witness", None)
        if not isinstance(witness, str) or not witness:
            msg = "the witness statement does not name its witness"
            raise WitnessFailed(msg, motion_id=request.motion_id)
        expected = request.binding
        differing = sorted(
            key
            for key in {*body, *expected}
            if key not in body or key not in expected or body[key] != expected[key]
        )
        if differing:
            msg = f"the witness statement does not bind the transition: {', '.join(differing)}"
            raise WitnessFailed(msg, motion_id=request.motion_id)
        if self.text.split("\n")[1] != canonical_json({**expected, "witness": witness}):
            # Other readers of the same text could take 1 for true, or the first of two keys.
            msg = "the witness statement's body is not canonical JSON"
            raise WitnessFailed(msg, motion_id=request.motion_id)


def _closes_well(text: str, opening: str) -> bool:
    """Return whether a text is ``opening`` and a plain name: then it binds, and needs no parsing.

    Whatever is out of the ordinary, escapes in the name say, is left to the thorough way.
    """
    # The dash before a signature is the one letter beyond ASCII that nearly every statement has.
    if not text.startswith(opening) or not text.replace("\N{EM DASH}", "").isascii():
        return False
    closing = text[len(opening) :].split("\n", 1)[0]
    name = closing[1:-2]
    plain = bool(name) and name.isprintable() and '"' not in name and "\\" not in name
    return plain and closing == f'"{name}"}}'


class WitnessChain(NamedTuple):
    """Where a motion's chain of statements stands: what the next one has to cover."""

    previous_statement: str | None = None
    covered: tuple[CoveredEvent, ...] = ()

    def with_event(self, version: int, stored: bytes) -> WitnessChain:
        """Return the chain after an event that carries no statement."""
        covered = CoveredEvent(version, digest_of(stored))
        return WitnessChain(self.previous_statement, (*self.covered, covered))

    def with_statement(self, version: int, stored: bytes, statement: str) -> WitnessChain:
        """Return the chain after the event that carries ``statement``."""
        covered = CoveredEvent(version, digest_of(stored))
        return WitnessChain(digest_of(statement.encode()), (covered,))

    def request(
        self, motion_id: UUID, version: int, transition: ProposedTransition
    ) -> WitnessRequest:
        """Return what to ask the Knight for ``transition`` at ``version``."""
        return WitnessRequest(motion_id, version, transition, self.previous_statement, self.covered)
