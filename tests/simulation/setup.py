"""How a seed's world is set up: its configuration, its faults, how many processes it has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from governance_flow.domain.configuration import FlowConfiguration
from tests.simulation.law import WORK
from tests.simulation.store import Faults
from tests.simulation.whims import Whims

SERVICES = tuple(sorted({service for service, _ in WORK.values()}))


@dataclass
class Plan:
    """What is drawn once for each seed."""

    capacity: int
    workers: int
    acts: int
    grace_seconds: float
    skew_seconds: float
    hint_loss: float
    crash: float
    """Chance of each act to be the death of a process."""
    hours: float
    """About how long a motion may stay in a state."""
    external: str | None
    """The service that clerks outside work for, if there is one."""
    faults: Faults
    fixed: dict[str, Any]
    _configurations: dict[float | None, FlowConfiguration] = field(default_factory=dict)

    @classmethod
    def drawn(cls, whims: Whims) -> Plan:
        """Draw the plan of a seed."""
        attempt = whims.one_of((15.0, 30.0, 60.0))
        external = whims.one_of((None, None, *SERVICES))
        branches: dict[str, Any] = {
            service: {"kind": "builtin", "attempt_timeout_seconds": attempt} for service in SERVICES
        }
        if external is not None:
            limit = whims.one_of((None, 60.0))
            branches[external] = {"kind": "external", "attempt_timeout_seconds": limit}
        capacity = whims.one_of((1, 2, 3, 4))
        grace = whims.one_of((60.0, 300.0))
        lossy = whims.one_of((0.0, 0.0, 0.02))
        return cls(
            capacity=capacity,
            workers=whims.one_of((1, 2, 2, 3)),
            acts=whims.one_of((8, 12) if whims.sore else (4, 6, 8, 10)),
            grace_seconds=grace,
            skew_seconds=whims.one_of((0.0, 0.0, 20.0)),
            hint_loss=whims.one_of((0.0, 0.3)),
            crash=whims.one_of((0.0, 0.15, 0.3)),
            hours=whims.one_of((0.02, 0.05, 0.5)),
            external=external,
            faults=Faults(
                slow=whims.one_of((0.0, 0.05, 0.3)),
                cut_before=lossy,
                cut_after=whims.one_of((0, lossy)),
            ),
            fixed={
                "max_concurrent_motions": capacity,
                "retry": {"overdue_grace_seconds": grace},
                "breaker": {"system_errors": whims.one_of((3, 5, 1000))},
                "worker": {
                    "poll_seconds": whims.one_of((60.0, 150.0)),
                    "max_concurrent_assignments": whims.one_of((1, 3, 64)),
                    "max_lease_losses": whims.one_of((2, 5)),
                    "drain_seconds": 5.0,
                },
                "branches": branches,
            },
        )

    @property
    def services_in_process(self) -> list[str]:
        """The services that the workers call themselves."""
        return [service for service in SERVICES if service != self.external]

    def configuration(self, whims: Whims) -> FlowConfiguration:
        """Return the configuration a process starts with; deadlines differ from one to another."""
        states = ("DELIBERATING", "PLANNING", "EXECUTING", "JUDGING", "WITNESSING")
        hours = whims.one_of((self.hours, self.hours, self.hours / 2, None))
        known = self._configurations.get(hours)
        if known is None:
            settings = {**self.fixed, "state_timeout_hours": dict.fromkeys(states, hours)}
            known = self._configurations[hours] = FlowConfiguration.model_validate(settings)
        return known
