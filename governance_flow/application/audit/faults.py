"""What an audit finds: faults with their places, listed up to a bound, and counted beyond it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

FAULTS_LISTED_MAX = 100
"""A store that somebody garbled has as many faults as events; nobody reads them all."""


class Check(StrEnum):
    """Which of the verification's checks found a fault."""

    POSITIONS = "positions"
    STREAM = "stream"
    WITNESS = "witness"
    PIPELINE = "pipeline"
    HEAD = "head"
    KEYS = "keys"
    SIGNATURE = "signature"
    LOG = "log"
    CHECKPOINT = "checkpoint"
    READ_MODEL = "read_model"
    OPERATIONS = "operations"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it must be, and where: as much of the place as is known."""

    check: Check
    message: str
    position: int | None = None
    stream_id: str | None = None
    version: int | None = None

    def __str__(self) -> str:
        places = (
            ("position", self.position),
            ("stream", self.stream_id),
            ("version", self.version),
        )
        where = ", ".join(f"{name} {value}" for name, value in places if value is not None)
        # A row that was tampered with may hold what no terminal or file can take.
        text = f"{where}: {self.message}" if where else self.message
        return text.encode(errors="backslashreplace").decode()


@dataclass(slots=True)
class Findings:
    """Collects faults in the order in which they are found."""

    listed: list[Fault] = field(default_factory=list)
    count: int = 0

    def add(self, fault: Fault) -> None:
        """Count a fault, and list it if there is room."""
        self.count += 1
        if len(self.listed) < FAULTS_LISTED_MAX:
            self.listed.append(fault)

    def extend(self, faults: Iterable[Fault]) -> None:
        """Add several."""
        for fault in faults:
            self.add(fault)


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What was verified, up to which position, and every fault found.

    ``faults`` lists the first ones in the order of the checks; ``fault_count`` counts all.
    ``notes`` says what could not be checked, and why.
    """

    position: int
    events: int
    motions: int
    statements: int
    checkpoints: int
    faults: tuple[Fault, ...]
    fault_count: int
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing at all was found."""
        return self.fault_count == 0

    @property
    def first_fault(self) -> Fault | None:
        """The fault to look at first."""
        return self.faults[0] if self.faults else None
