"""Which folder holds the keys of a store."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

from governance_flow.domain.errors import InvalidInput
from governance_flow.infrastructure.database.postgres_driver import require_driver
from governance_flow.infrastructure.keys.refusals import KEYS_VARIABLE

_SQLITE: Final = "sqlite:///"
_POSTGRES: Final = ("postgresql://", "postgres://")
_READABLE_CHARACTERS_MAX: Final = 60
_DIGEST_CHARACTERS: Final = 12
_DEFAULT_PORT: Final = "5432"


def key_directory(address: str, environ: Mapping[str, str]) -> Path | None:
    """Return the folder for a store's keys, which need not be there yet; None for memory.

    Raises InvalidInput for an address that is none, without repeating it, or whose driver is not
    installed.
    """
    if address == "memory:":
        # Whatever the environment says: a rehearsal leaves no file, and signs with no real key.
        return None
    if named := environ.get(KEYS_VARIABLE):
        return Path(named).absolute()
    if address.startswith(_SQLITE):
        path = address.removeprefix(_SQLITE).partition("?")[0]
        # Beside the file itself: whoever comes by a link must find the same keys.
        store = Path(path).resolve()
        return store.with_name(f"{store.name}.keys")
    if address.startswith(_POSTGRES):
        return _data_home(environ) / "governance-flow" / "keys" / _database_name(address, environ)
    raise InvalidInput("not the address of a store, so there is no place for its keys")


def _data_home(environ: Mapping[str, str]) -> Path:
    named = Path(environ.get("XDG_DATA_HOME", ""))
    # A relative one is to be ignored (XDG Base Directory Specification).
    if named.is_absolute():
        return named
    home = environ.get("HOME")
    return (Path(home) if home else Path.home()) / ".local" / "share"


def _database_name(address: str, environ: Mapping[str, str]) -> str:
    """Name a database: legibly, and by a digest of what tells it from every other one.

    That is the service, the host, the port and the database. Whoever comes as another user, with
    another password or other settings of the connection comes to the same store.
    """
    require_driver()
    # Only now: the driver is an extra.
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    from governance_flow.infrastructure.database.postgres_connection import (  # noqa: PLC0415
        Server,
        Timeouts,
    )

    settings = conninfo_to_dict(Server.at(address, Timeouts()).conninfo)

    def setting(name: str, variable: str, default: str = "") -> str:
        return str(settings.get(name) or environ.get(variable) or default)

    user = setting("user", "PGUSER")
    host = setting("host", "PGHOST")
    parts = (
        setting("service", "PGSERVICE"),
        host if host.startswith("/") else host.lower(),
        setting("hostaddr", "PGHOSTADDR"),
        setting("port", "PGPORT", _DEFAULT_PORT),
        setting("dbname", "PGDATABASE", user),
    )
    service, host, host_address, _, database = parts
    legible = f"{database or service}-{host or host_address or 'local'}"
    legible = re.sub(r"[^A-Za-z0-9.]+", "-", legible)[:_READABLE_CHARACTERS_MAX].strip("-.")
    digest = sha256("\0".join(parts).encode()).hexdigest()
    return f"{legible}-{digest[:_DIGEST_CHARACTERS]}".lstrip("-")
