"""The composition root: everything is wired here, and nothing is built when it is imported."""

from governance_flow.bootstrap.flow import Flow
from governance_flow.bootstrap.opening import DEFAULT_STORE, STORE_VARIABLE, open_flow

__all__ = ["DEFAULT_STORE", "STORE_VARIABLE", "Flow", "open_flow"]
