"""Keys that the environment gives: a key itself, a file that holds it, a command that signs."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

from governance_flow.application.ports.keys import SigningKey
from governance_flow.domain.errors import KeyUnavailable
from governance_flow.domain.keys import KeyRole
from governance_flow.infrastructure.keys.command import CommandKey
from governance_flow.infrastructure.keys.files import read_given
from governance_flow.infrastructure.keys.local import LocalKey, parsed
from governance_flow.infrastructure.keys.refusals import (
    another_key,
    key_file_variable,
    key_variable,
    public_key_variable,
    signer_variable,
    unavailable,
)
from governance_flow.infrastructure.keys.sources import KeySource
from governance_flow.transparency.errors import MalformedKey
from governance_flow.transparency.keys import Ed25519Verifier

K = TypeVar("K", bound=SigningKey)


def given_source(role: KeyRole, environ: Mapping[str, str]) -> KeySource | None:
    """Return where the environment says that a role's key comes from, or None.

    A variable that is empty is not set. Mistakes are said when the key is asked for: who needs
    none is not bothered with them.
    """
    variables = (key_variable(role), key_file_variable(role), signer_variable(role))
    given = [variable for variable in variables if environ.get(variable)]
    public = public_key_variable(role)
    if len(given) > 1:
        return Misgiven(
            role,
            f"{' and '.join(given)} are set",
            "set one of them only, so that it is clear which",
        )
    if environ.get(public) and given != [signer_variable(role)]:
        return Misgiven(
            role,
            f"{public} is set" + (f" together with {given[0]}" if given else ""),
            f"it goes with {signer_variable(role)} only: unset it, or set that",
        )
    match given:
        case []:
            return None
        case [variable] if variable == key_variable(role):
            return _from_text(role, variable, environ)
        case [variable] if variable == key_file_variable(role):
            return GivenFile(role, variable, Path(environ[variable]))
        case _:
            return _from_command(role, environ)


@dataclass(frozen=True)
class Given:
    """A key that was made elsewhere, and is replaced there."""

    role: KeyRole
    variable: str

    def expect(self, key: K, adopted: str | None, remedy: str) -> K:
        """Return the key if it is the adopted one. Raises KeyUnavailable."""
        found = key.verifier.vkey
        if adopted not in (None, found):
            raise another_key(self.role, str(adopted), found, f"in {self.variable}", remedy)
        return key

    async def successor(self, _given: Path | None, _taken: Collection[str]) -> NoReturn:
        """Refuse, with KeyUnavailable: nothing here could put another key in its place."""
        raise unavailable(
            self.role,
            f"it comes from {self.variable}, so no other can be kept to follow it here",
            "replace it where it comes from",
        )


@dataclass(frozen=True)
class GivenText(Given):
    """A key in the environment itself."""

    local: LocalKey

    async def key(self, adopted: str | None) -> LocalKey:
        """Return the key, if it is the one. Raises KeyUnavailable."""
        return self.expect(self.local, adopted, "set it to the private key of that one")


@dataclass(frozen=True)
class GivenFile(Given):
    """A key in a file that is not ours to write."""

    path: Path

    async def key(self, adopted: str | None) -> LocalKey:
        """Read the file, and return the key, if it is the one. Raises KeyUnavailable."""
        signer = await asyncio.to_thread(read_given, self.role, self.path)
        return self.expect(
            LocalKey(signer), adopted, f"let it name the file with that one, instead of {self.path}"
        )


@dataclass(frozen=True)
class GivenCommand(Given):
    """A key that only a command can use."""

    command: CommandKey

    async def key(self, adopted: str | None) -> CommandKey:
        """Return the key, if it is the one. Raises KeyUnavailable."""
        return self.expect(
            self.command,
            adopted,
            f"let it sign with that one, and {public_key_variable(self.role)} say so",
        )


@dataclass(frozen=True)
class Misgiven:
    """A mistake in the environment, said to whoever needs the key."""

    role: KeyRole
    problem: str
    remedy: str

    async def key(self, _adopted: str | None) -> NoReturn:
        """Raise KeyUnavailable."""
        raise self._refusal()

    async def successor(self, _given: Path | None, _taken: Collection[str]) -> NoReturn:
        """Raise KeyUnavailable."""
        raise self._refusal()

    def _refusal(self) -> KeyUnavailable:
        return unavailable(self.role, self.problem, self.remedy)


def _from_text(role: KeyRole, variable: str, environ: Mapping[str, str]) -> KeySource:
    found = parsed(environ[variable])
    if isinstance(found, str):
        return Misgiven(
            role, f"{variable} {found}", "set it to the text PRIVATE+KEY+..., as it was created"
        )
    return GivenText(role, variable, LocalKey(found))


def _from_command(role: KeyRole, environ: Mapping[str, str]) -> KeySource:
    variable, public = signer_variable(role), public_key_variable(role)
    if not environ.get(public):
        return Misgiven(
            role, f"{variable} is set without {public}", f"set {public} to the command's public key"
        )
    verifier = _or_problem(lambda: Ed25519Verifier.parse(environ[public].strip()))
    if isinstance(verifier, str):
        return Misgiven(role, f"{public}: {verifier}", "set it to the command's public key")
    command = _or_problem(lambda: shlex.split(environ[variable]))
    if isinstance(command, str) or not command:
        return Misgiven(
            role,
            f"{variable} cannot be split into a program and its arguments"
            + (f" ({command})" if command else ""),
            "quote it as for a shell",
        )
    return GivenCommand(role, variable, CommandKey(role, verifier, command, environ))


T = TypeVar("T")


def _or_problem(read: Callable[[], T]) -> T | str:
    try:
        return read()
    except MalformedKey as error:
        return error.problem
    except ValueError as error:
        return str(error)
