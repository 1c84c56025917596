"""What a driver's error means, said in our words: what happened, where, and what to do about it.

    StoreError
    ├── ConstraintViolated           a row broke a rule of the schema
    ├── StoreLocked
    │   └── TransactionContended     deadlock or serialisation failure: certainly not committed
    └── StoreUnavailable
        ├── ConnectionLost           before COMMIT was asked for: certainly not committed
        └── CommitOutcomeUnknown     during COMMIT: only looking again can tell

Passwords never appear: ``where`` is built without one, and what a driver says is searched for it.
"""

from __future__ import annotations

from governance_flow.domain.errors import StoreError, StoreLocked, StoreUnavailable


class ConstraintViolated(StoreError):
    """A row broke a rule of the schema, such as a key that must be unique."""


class TransactionContended(StoreLocked):
    """The database rolled the transaction back to let another one pass; it may be tried again."""


class ConnectionLost(StoreUnavailable):
    """The connection broke before COMMIT was asked for, so nothing was committed."""


class CommitOutcomeUnknown(StoreUnavailable):
    """The connection broke between asking for COMMIT and hearing the answer."""
