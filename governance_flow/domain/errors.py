"""Every error Governance Flow raises on purpose, under one root.

    GovernanceFlowError
    ├── InvalidInput                 what was asked for is malformed
    │   └── ConfigurationError
    ├── UnknownMotion
    ├── MotionAlreadyExists
    ├── Refused                      well formed, but not allowed now; nothing was recorded
    │   ├── NotInState               the motion is in another state than the caller said
    │   ├── NotRoutable              terminal, blocked, waiting, or the pipeline is halted
    │   ├── CompletionRefused        stale routing, foreign lease, wrong branch
    │   ├── NotAllowed               the person may not do this
    │   └── VersionMoved             the motion is at another version than the caller saw
    ├── ViolationRefused             refused, and witnessed as a violation
    ├── WitnessFailed                the Knight did not produce a valid statement
    ├── KeyUnavailable               a private key is not here, is another, or is open to others
    ├── CorruptStream                stored events that no rule of ours can have written
    └── StoreError
        ├── ConcurrencyConflict      another append to the stream came first
        ├── HaltEpochMoved           the pipeline was halted or resumed meanwhile
        ├── CapacityReached          no free place in the pipeline
        ├── LeaseLost                the assignment is leased to somebody else
        ├── StoreUnavailable         unreachable, or lost in the middle
        ├── StoreBusy                the append queue stayed full
        ├── StoreLocked              another process holds the file too long
        ├── StoreFull                no space left
        ├── StoreReadOnly
        ├── StoreCorrupt
        ├── NotOurStore              there is something else at this address
        └── StoreTooNew              written by a newer version of this program

Every error carries, as attributes, the ids a person needs to look the matter up.
"""

from __future__ import annotations

from typing import Any


class GovernanceFlowError(Exception):
    """Root of every error raised on purpose. ``details`` holds the ids involved."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def __getattr__(self, name: str) -> Any:
        """Expose each detail as an attribute, so that callers need not know the mapping."""
        details: dict[str, Any] = self.__dict__.get("details", {})
        try:
            return details[name]
        except KeyError:
            raise AttributeError(name) from None


class InvalidInput(GovernanceFlowError):
    """The request itself is malformed; the message names the field and the remedy."""


class ConfigurationError(InvalidInput):
    """The configuration is invalid; the message names the path and what is allowed there."""


class UnknownMotion(GovernanceFlowError):
    """No motion with this id is in the store."""


class MotionAlreadyExists(GovernanceFlowError):
    """A different motion with this id is already in the store."""


class Refused(GovernanceFlowError):
    """Well formed, but not allowed as things stand; nothing was recorded."""


class NotInState(Refused):
    """The motion is in another state than the caller believes."""


class NotRoutable(Refused):
    """The motion cannot be routed now; the message says why and what would change that."""


class CompletionRefused(Refused):
    """A completion for a routing that is not open, under a foreign lease, or of another branch."""


class NotAllowed(Refused):
    """This person may not take this decision on this motion."""


class VersionMoved(Refused):
    """The motion is at another version than the decision was made about."""


class ViolationRefused(GovernanceFlowError):
    """An act that breaks a rule of the pipeline: refused, and witnessed as a violation."""


class WitnessFailed(GovernanceFlowError):
    """The Knight raised, hung, or returned something that does not bind the transition."""


class KeyUnavailable(GovernanceFlowError):
    """A private key is missing, is another one than the store's, or cannot be used or trusted.

    The message says which, where it was looked for and what to do; it never quotes the key.
    """


class LogInconsistent(GovernanceFlowError):
    """The audit log contradicts a checkpoint that was signed: something in it was changed."""


class NotInLog(GovernanceFlowError):
    """What was asked for cannot be proved yet: no checkpoint of the audit log covers it."""


class CorruptStream(GovernanceFlowError):
    """Stored events that cannot be read, or that contradict the canonical flow."""


class StoreError(GovernanceFlowError):
    """The event store could not do what was asked."""


class ConcurrencyConflict(StoreError):
    """Another append to the same stream was committed first; reload and decide again."""


class HaltEpochMoved(StoreError):
    """The pipeline was halted or resumed since the decision was made; decide again."""


class CapacityReached(StoreError):
    """Every place between DELIBERATING and WITNESSING is taken."""


class LeaseLost(StoreError):
    """The assignment is leased under another token than the completion's."""


class StoreUnavailable(StoreError):
    """The store cannot be reached, or the connection was lost and could not be restored."""


class StoreBusy(StoreError):
    """The bounded append queue stayed full for longer than the caller may wait."""


class StoreLocked(StoreError):
    """Another process held the store's write lock for longer than the busy timeout."""


class StoreFull(StoreError):
    """The disk or the quota under the store is exhausted; nothing was written."""


class StoreReadOnly(StoreError):
    """The store's file or database role does not allow writing."""


class StoreCorrupt(StoreError):
    """The store's file is damaged; it must be restored from a backup."""


class NotOurStore(StoreError):
    """There is a database at this address, but Governance Flow did not make it."""


class StoreTooNew(StoreError):
    """The store's schema is newer than this program; upgrade the program."""
