"""Who may use which page, by the name of the function that answers it.

An action on a page takes the permission of the operation of the API that does the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from governance_flow.api.access_rules import Open, Rule
from governance_flow.application.access.permissions import Permission

_P = Permission

DASHBOARD_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        # Before anybody has signed in.
        "show_sign_in": Open.TO_EVERYBODY,
        "sign_in": Open.TO_EVERYBODY,
        "sign_out": Open.TO_BEARERS,
        "get_asset": Open.TO_EVERYBODY,
        # Looking.
        "show_board": _P.READ,
        "show_motions": _P.READ,
        "show_motion": _P.READ,
        "show_story": _P.READ,
        "show_attention": _P.READ,
        "show_docket": _P.READ,
        "show_audit": _P.AUDIT,
        "download_bundle": _P.AUDIT,
        "show_access": _P.ACCESS,
        # Acting.
        "decide_on_page": _P.RESOLVE,
        "decide_many_on_page": _P.RESOLVE,
        "withdraw_on_page": _P.INTRODUCE,
        "halt_on_page": _P.CONTROL,
        "resume_on_page": _P.CONTROL,
        "verify_on_page": _P.AUDIT,
    }
)
