"""What workers are called in leases and logs."""

from __future__ import annotations

import os
import socket
from uuid import UUID

from governance_flow.application.ports.clock import IdSource


def unique_worker_name(new_id: IdSource) -> str:
    """Return a name that tells a person where the worker runs, and no two workers share."""
    unique: UUID = new_id()
    return f"{socket.gethostname()}:{os.getpid()}:{unique.hex[:8]}"
