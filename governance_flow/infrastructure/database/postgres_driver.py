"""PostgreSQL's driver, which is an extra: nothing imports it before a store is in PostgreSQL."""

from __future__ import annotations

from importlib import import_module

from governance_flow.domain.errors import InvalidInput

REMEDY = "pip install 'psycopg[binary]'"


def require_driver() -> None:
    """See that psycopg can be imported.

    Raises InvalidInput, which says how to install it.
    """
    try:
        import_module("psycopg")
    except ImportError as error:
        raise InvalidInput(
            f"a store in PostgreSQL needs its driver, which is not installed ({error}); "
            f"install it: {REMEDY}"
        ) from error
