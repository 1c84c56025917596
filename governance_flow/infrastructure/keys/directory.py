"""Key files that the program keeps itself: ``knight.key``, ``knight.pub``, ``knight.key.next``."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeGuard

import structlog

from governance_flow.domain.errors import KeyUnavailable
from governance_flow.domain.keys import KeyRole
from governance_flow.infrastructure.keys.files import (
    check_directory,
    create_signer,
    locked,
    make_directory,
    publish,
    read_given,
    read_signer,
    sync_directory,
)
from governance_flow.infrastructure.keys.local import (
    LocalKey,
    RandomBytes,
    new_signer,
    refusal_to_follow,
)
from governance_flow.infrastructure.keys.refusals import (
    KEYS_VARIABLE,
    another_key,
    key_file_variable,
    not_writable,
    unavailable,
)
from governance_flow.transparency.keys import Ed25519Signer


@dataclass(frozen=True)
class KeyDirectory:
    """The key of one role in a folder of keys, shared by all processes that use the folder."""

    role: KeyRole
    directory: Path
    random: RandomBytes

    async def key(self, adopted: str | None) -> LocalKey:
        """Return the key in the file; a new one only if the store has not adopted any."""
        return await asyncio.to_thread(self._key, adopted)

    async def successor(self, given: Path | None, taken: Collection[str]) -> LocalKey:
        """Return the pending successor, else keep a copy of ``given`` or a new key as it."""
        return await asyncio.to_thread(self._successor, given, taken)

    @cached_property
    def _path(self) -> Path:
        return self.directory / f"{self.role}.key"

    @cached_property
    def _next_path(self) -> Path:
        return self.directory / f"{self.role}.key.next"

    def _key(self, adopted: str | None) -> LocalKey:
        check_directory(self.role, self.directory)
        signer = self._first() if adopted is None else self._adopted(adopted)
        public_path = self.directory / f"{self.role}.pub"
        try:
            publish(public_path, signer.vkey)
        except OSError as error:
            # Only for handing out: a folder that is read-only must not keep anybody from signing.
            structlog.get_logger("governance_flow.keys").warning(
                "the public key could not be written beside the private key",
                path=str(public_path),
                why=error.strerror,
            )
        return LocalKey(signer)

    def _first(self) -> Ed25519Signer:
        try:
            if read_signer(self.role, self._path) is None:
                make_directory(self.directory)
                create_signer(self._path, new_signer(self.role, self.random))
            else:
                # Perhaps another process made it a moment ago, and is not done with this.
                sync_directory(self.directory)
        except OSError as error:
            raise not_writable(self.role, self._path, error) from error
        return self._present()

    def _adopted(self, adopted: str) -> Ed25519Signer:
        signer = read_signer(self.role, self._path)
        if _is(signer, adopted):
            return signer
        if _is(read_signer(self.role, self._next_path), adopted):
            # A process ended between the adoption and the renaming, or is just between them.
            return self._promote(adopted)
        # Again, and last: perhaps it was renamed since the first look.
        signer = read_signer(self.role, self._path)
        if not _is(signer, adopted):
            raise self._another(adopted, signer)
        return signer

    def _promote(self, adopted: str) -> Ed25519Signer:
        try:
            with locked(self.directory):
                signer = read_signer(self.role, self._path)
                if _is(signer, adopted):
                    return signer
                # Looked at again: renaming any other would destroy the key that was adopted.
                follower = read_signer(self.role, self._next_path)
                if not _is(follower, adopted):
                    raise self._another(adopted, signer)
                self._next_path.replace(self._path)
                sync_directory(self.directory)
                return follower
        except OSError as error:
            raise not_writable(self.role, self._path, error) from error

    def _successor(self, given: Path | None, taken: Collection[str]) -> LocalKey:
        check_directory(self.role, self.directory)
        wanted = None if given is None else read_given(self.role, given)
        # First without the lock, whose folder may not be there.
        self._present()
        try:
            with locked(self.directory):
                present = self._present()
                pending = read_signer(self.role, self._next_path)
                if wanted is not None:
                    self._check_wanted(wanted, present, pending, taken)
                if pending is None:
                    pending = wanted or new_signer(self.role, self.random, present)
                    create_signer(self._next_path, pending)
                return LocalKey(pending)
        except OSError as error:
            raise not_writable(self.role, self._next_path, error) from error

    def _check_wanted(
        self,
        wanted: Ed25519Signer,
        present: Ed25519Signer,
        pending: Ed25519Signer | None,
        taken: Collection[str],
    ) -> None:
        if pending is not None and pending.vkey != wanted.vkey:
            raise unavailable(
                self.role,
                f"{pending.vkey} is to follow already, in {self._next_path}",
                "finish that, or, if the store has not adopted it, remove that file",
                found=pending.vkey,
            )
        if refusal := refusal_to_follow(self.role, present, wanted, taken):
            raise refusal

    def _present(self) -> Ed25519Signer:
        signer = read_signer(self.role, self._path)
        if signer is None:
            raise unavailable(
                self.role,
                f"there is none at {self._path}, or only a link that leads nowhere",
                "let the store adopt a key first",
            )
        return signer

    def _another(self, adopted: str, found: Ed25519Signer | None) -> KeyUnavailable:
        return another_key(
            self.role,
            adopted,
            None if found is None else found.vkey,
            f"in {self._path}",
            f"copy {self._path.name} there from the machine that created it, or set"
            f" {key_file_variable(self.role)} to that file, or {KEYS_VARIABLE} to its folder",
        )


def _is(signer: Ed25519Signer | None, vkey: str) -> TypeGuard[Ed25519Signer]:
    return signer is not None and signer.vkey == vkey
