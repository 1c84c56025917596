"""SQL whose tables carry the number of a generation in their names."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from governance_flow.application.queries import Queries, load_queries

if TYPE_CHECKING:
    from governance_flow.application.ports.database import Dialect, Transaction

_PLACEHOLDER = "{generation}"


@cache
def generation_queries(filename: str, dialect: Dialect, generation: int) -> Queries:
    """Return the queries of a file of ours for the tables of one generation."""
    queries = load_queries("projections", filename, dialect)
    return Queries(
        filename,
        {name: sql.replace(_PLACEHOLDER, str(int(generation))) for name, sql in queries.items()},
    )


def run_all(tx: Transaction, queries: Queries, prefix: str) -> None:
    """Run every statement whose name begins with ``prefix``, in the order of the file."""
    for name, statement in queries.items():
        if name.startswith(prefix):
            tx.execute(statement)
