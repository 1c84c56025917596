"""From the configuration to the branch services that run in this process."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import assert_never, cast

from governance_flow.application.ports.branch_services import BranchService, EarlService
from governance_flow.application.ports.clock import Clock, SystemClock
from governance_flow.branches.conclave import Conclave
from governance_flow.branches.duke import Duke
from governance_flow.branches.earl import Earl
from governance_flow.branches.http import HttpBranch
from governance_flow.branches.king import King
from governance_flow.branches.knight import KnightService, RecordReader
from governance_flow.branches.president import President
from governance_flow.branches.prince import Prince
from governance_flow.branches.python import load_service, require_service
from governance_flow.branches.rehearsal import Rehearsal
from governance_flow.domain import branch_configuration as kinds
from governance_flow.domain.branches import (
    CONCLAVE_SERVICE,
    DUKE_SERVICE,
    KING_SERVICE,
    KNIGHT_SERVICE,
    PRESIDENT_SERVICE,
    PRINCE_SERVICE,
    SERVICE_BRANCH,
)
from governance_flow.domain.configuration import FlowConfiguration
from governance_flow.domain.errors import ConfigurationError

_ENVELOPE_BYTES = 10_000
"""What an answer may have around its output."""


class Branches(Mapping[str, BranchService]):
    """The services that run in this process, by name; external ones are not among them."""

    def __init__(self, services: Mapping[str, BranchService], made_here: frozenset[str]) -> None:
        self._services = dict(services)
        self._made_here = made_here

    def __getitem__(self, service: str) -> BranchService:
        return self._services[service]

    def __iter__(self) -> Iterator[str]:
        return iter(self._services)

    def __len__(self) -> int:
        return len(self._services)

    async def close(self) -> None:
        """Close every service made here that can be closed; overrides are their owner's.

        A service can be closed if it has an ``async def close(self)``.

        Raises:
            ExceptionGroup: some could not be closed; all the others were.
        """
        errors = []
        for name in self._made_here:
            close = getattr(self._services[name], "close", None)
            if not callable(close):
                continue
            try:
                await cast("Callable[[], Awaitable[None]]", close)()
            except Exception as error:  # noqa: BLE001 - raised below, once all are closed
                error.add_note(f"while closing {name}")
                errors.append(error)
        if errors:
            raise ExceptionGroup("some branch services could not be closed", errors)


def build_branches(
    configuration: FlowConfiguration,
    overrides: Mapping[str, BranchService] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    earl: EarlService | None = None,
    read_record: RecordReader | None = None,
    clock: Clock | None = None,
) -> Branches:
    """Build the services that the configuration asks for.

    ``overrides`` take the place of whatever is configured under their names. ``earl`` works for
    the built-in Duke, ``read_record`` for the built-in Knight. ``environ`` (``os.environ`` unless
    given) holds the secrets.

    Raises:
        ConfigurationError: a service cannot be built; the message names its path.
    """
    overrides = overrides or {}
    for service, override in overrides.items():
        if service not in SERVICE_BRANCH:
            allowed = ", ".join(SERVICE_BRANCH)
            raise ConfigurationError(
                f"there is no branch service {service!r}; there are {allowed}", service=service
            )
        require_service(override, f"branches[{service!r}]")
    if earl is not None and not isinstance(earl, EarlService):
        raise ConfigurationError(
            f"earl is a {type(earl).__name__}, and not an Earl: "
            "an object with `async def carry_out(self, task)`"
        )
    builder = _Builder(
        configuration,
        environ=os.environ if environ is None else environ,
        earl=earl or Earl(),
        read_record=read_record,
        clock=clock or SystemClock(),
    )
    made = {
        service: made
        for service, branch in configuration.branches.items()
        if service not in overrides and (made := builder.build(service, branch)) is not None
    }
    return Branches({**made, **overrides}, frozenset(made))


class _Builder:
    def __init__(
        self,
        configuration: FlowConfiguration,
        *,
        environ: Mapping[str, str],
        earl: EarlService,
        read_record: RecordReader | None,
        clock: Clock,
    ) -> None:
        self._configuration = configuration
        self._environ = environ
        self._clock = clock
        self._builtin: Mapping[str, Callable[[], BranchService]] = {
            KING_SERVICE: King,
            CONCLAVE_SERVICE: lambda: Conclave(clock),
            PRESIDENT_SERVICE: President,
            DUKE_SERVICE: lambda: Duke(earl),
            PRINCE_SERVICE: Prince,
            KNIGHT_SERVICE: lambda: KnightService(read_record),
        }

    def build(self, service: str, branch: kinds.BranchConfig) -> BranchService | None:
        """Return the service, or None if it is served from outside."""
        match branch:
            case kinds.BuiltinBranch():
                return Rehearsal(self._builtin[service]())
            case kinds.PythonBranch():
                return load_service(service, branch)
            case kinds.HttpBranch():
                return self._http(service, branch)
            case kinds.ExternalBranch():
                return None
            case _:
                assert_never(branch)

    def _http(self, service: str, branch: kinds.HttpBranch) -> HttpBranch:
        secret = None
        if branch.secret_env is not None:
            secret = self._environ.get(branch.secret_env, "").encode()
            if not secret:
                raise ConfigurationError(
                    f"branches.{service}.secret_env: the environment variable "
                    f"{branch.secret_env} is not set, or empty",
                    service=service,
                )
        return HttpBranch(
            branch.url,
            secret=secret,
            timeout_seconds=branch.attempt_timeout_seconds,
            max_response_bytes=self._configuration.limits.max_output_bytes + _ENVELOPE_BYTES,
            clock=self._clock,
        )
