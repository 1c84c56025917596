"""Which key signed in which role, and from which position on: read from the pipeline's stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from governance_flow.application.audit.faults import Check, Fault
from governance_flow.application.audit.pages import rows_of_stream
from governance_flow.application.audit.reading import event_of
from governance_flow.domain.events import PIPELINE_ID, KeyAdopted
from governance_flow.domain.keys import KeyRole, adoption_text
from governance_flow.transparency.errors import TransparencyError
from governance_flow.transparency.keys import Ed25519Verifier
from governance_flow.transparency.notes import open_note

if TYPE_CHECKING:
    from governance_flow.application.ports.audit import AuditLog, StoredRow
    from governance_flow.application.ports.mapper import EventMapper


@dataclass(frozen=True, slots=True)
class Adoption:
    """A key, its role, and the row that adopted it."""

    role: KeyRole
    key: Ed25519Verifier
    row: StoredRow


class KeyHistory:
    """Every key the store has adopted, in order. ``faults`` is what is wrong with that."""

    def __init__(self) -> None:
        self.adoptions: list[Adoption] = []
        self.faults: list[Fault] = []

    @classmethod
    async def read(cls, log: AuditLog, mapper: EventMapper, *, up_to_position: int) -> KeyHistory:
        """Read it; what cannot be read adopts nothing, and is a fault."""
        history = cls()
        async for row in rows_of_stream(log, PIPELINE_ID, up_to_position=up_to_position):
            if row.topic != KeyAdopted.topic:
                continue
            try:
                event = event_of(mapper, row)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a garbled event leads to
                history._refuse(row, f"an adoption of a key cannot be read: {error}")
            else:
                if isinstance(event, KeyAdopted):
                    history.add(event, row)
        return history

    def add(self, event: KeyAdopted, row: StoredRow) -> None:
        """Take the next adoption; one that does not prove itself adopts nothing."""
        previous = self.at(event.role, row.position)
        try:
            key = Ed25519Verifier.parse(event.key)
            problem = self._shared(event.role, key) or _problem(event, key, previous)
            if problem is None:
                self.adoptions.append(Adoption(event.role, key, row))
                return
        except TransparencyError as error:
            problem = str(error)
        self._refuse(row, f"the adoption of a key for the {event.role} does not hold: {problem}")

    def at(self, role: KeyRole, position: int) -> Ed25519Verifier | None:
        """Return the key in force in a role just before a position."""
        found = None
        for adoption in self.adoptions:
            if adoption.row.position >= position:
                break
            if adoption.role is role:
                found = adoption.key
        return found

    def _shared(self, role: KeyRole, key: Ed25519Verifier) -> str | None:
        for adoption in self.adoptions:
            if adoption.role is not role and adoption.key.public_key == key.public_key:
                return f"it is the key of the {adoption.role}: whoever has it can forge both"
        return None

    def _refuse(self, row: StoredRow, message: str) -> None:
        self.faults.append(Fault(Check.KEYS, message, row.position, row.stream_id, row.version))

    @property
    def log_key(self) -> Ed25519Verifier | None:
        """The log's key, by which auditors know the log: it is adopted once."""
        return next((a.key for a in self.adoptions if a.role is KeyRole.LOG), None)


def _problem(
    event: KeyAdopted, key: Ed25519Verifier, previous: Ed25519Verifier | None
) -> str | None:
    if previous is not None and event.role is KeyRole.LOG:
        return "the log has a key already, which is never replaced"
    vouching = [key] if previous is None else [key, previous]
    opened = open_note(event.statement, vouching)
    if len(opened.signatures) < len(vouching):
        return "it is not signed by both the new key and the one before it"
    stated = adoption_text(
        event.role, event.key, previous.vkey if previous else None, event.timestamp
    )
    return None if opened.text == stated else "its statement says something else than the event"
