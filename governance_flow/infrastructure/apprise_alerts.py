"""Alerts by mail, chat and pager: what apprise reaches, each address a sink of its own.

An address holds the secrets of whoever is told: nothing of it but its scheme and its place among
the others is ever shown. What apprise logs quotes parts of addresses, so it goes nowhere; what of
it is worth knowing and holds no secret is picked out of it.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from governance_flow.application.ports.alerts import Alert, AlertNotDelivered
from governance_flow.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from apprise import Apprise

ADDRESSES_MAX: Final = 20
SENDER: Final = "Governance Flow"

_SCHEME = re.compile(r"([a-z][a-z0-9]{0,19})://", re.IGNORECASE)
_STATUS = re.compile(r"\berror=(\d{3})\b")


class AppriseSink:
    """Tells one address. Addresses are told one by one, so that one that fails doubles no other."""

    def __init__(self, name: str, service: Apprise) -> None:
        self.name = name
        self._service = service

    async def deliver(self, alert: Alert) -> None:
        """Send the alert.

        Raises:
            AlertNotDelivered: the service did not take it, or could not be reached.
        """
        from apprise import NotifyFormat, NotifyType  # noqa: PLC0415 - see _service

        reasons: list[str] = []
        token = _reasons.set(reasons)
        try:
            taken = bool(
                await self._service.async_notify(
                    title=_title(alert),
                    body=_body(alert),
                    notify_type=NotifyType.FAILURE,
                    body_format=NotifyFormat.TEXT,
                )
            )
        except Exception as error:  # noqa: BLE001 - a plugin's own; its words may hold the address
            taken = False
            reasons.append(type(error).__name__)
        finally:
            _reasons.reset(token)
        if not taken:
            # Raised outside the handler above, so that no traceback leads back to the address.
            why = "; ".join(dict.fromkeys(reasons)) or "it does not say why"
            raise AlertNotDelivered(
                f"alert {alert.alert_id} was not taken by {self.name}: {why}",
                alert_id=alert.alert_id,
                sink=self.name,
                motion_id=alert.motion_id,
            )

    async def close(self) -> None:
        """Do nothing: a connection lasts for one alert."""


def build_apprise_sinks(variable: str, environ: Mapping[str, str]) -> list[AppriseSink]:
    """Return a sink for each of the addresses in a variable, which white space separates.

    A sink is named by place and scheme, ``apprise-1-mailto``: what waits for a sink finds it again
    as long as new addresses are added at the end.

    Raises:
        ConfigurationError: there is no address, or one that apprise cannot use.
    """
    addresses = environ.get(variable, "").split()
    if not addresses:
        raise ConfigurationError(
            f"alerts.apprise_urls_env: the environment variable {variable} is not set, or empty"
        )
    if len(addresses) > ADDRESSES_MAX:
        raise ConfigurationError(
            f"alerts.apprise_urls_env: the environment variable {variable} holds "
            f"{len(addresses)} addresses; at most {ADDRESSES_MAX} are allowed"
        )
    return [_sink(variable, place, address) for place, address in enumerate(addresses, start=1)]


def _sink(variable: str, place: int, address: str) -> AppriseSink:
    found = _SCHEME.match(address)
    if found is None:
        raise ConfigurationError(
            f"alerts.apprise_urls_env: address {place} in {variable} begins with no scheme; "
            "write one like mailto://… or slack://…"
        )
    scheme = found[1].lower()
    service = _service(address)
    if service is None:
        raise ConfigurationError(
            f"alerts.apprise_urls_env: address {place} in {variable} ({scheme}://…) cannot be "
            "used: apprise does not know the scheme, or a part is missing or malformed; "
            "look the scheme up at https://appriseit.com/services/"
        )
    return AppriseSink(f"apprise-{place}-{scheme}", service)


def _service(address: str) -> Apprise | None:
    # Imported only for those who use it: it takes a third of a second.
    with warnings.catch_warnings():
        # It loads every plugin it has; what they import that is old concerns nobody here.
        warnings.simplefilter("ignore", DeprecationWarning)
        return _loaded(address)


def _loaded(address: str) -> Apprise | None:
    from apprise import Apprise, AppriseAsset  # noqa: PLC0415

    _keep_to_ourselves()
    # Without the pictures that messages would fetch from elsewhere.
    asset = AppriseAsset(
        app_id=SENDER, app_desc=SENDER, app_url="", image_url_mask="", image_url_logo=""
    )
    service = Apprise.instantiate(address, asset=asset)
    if service is None:
        return None
    alone = Apprise(asset=asset)
    return alone if alone.add(service) else None


def _title(alert: Alert) -> str:
    return f"{SENDER}: {alert.kind.value.replace('_', ' ')}"


def _body(alert: Alert) -> str:
    lines = [alert.message, ""]
    if alert.motion_id is not None:
        lines.append(f"motion: {alert.motion_id}")
    lines += [f"raised at: {alert.raised_at.isoformat()}", f"alert: {alert.alert_id}"]
    return "\n".join(lines)


# -- What apprise says -------------------------------------------------------------------------

_reasons: ContextVar[list[str] | None] = ContextVar("apprise_reasons", default=None)


class _Reasons(logging.Filter):
    """Lets nothing through. Why a delivery failed is picked out of it, in words of ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Note what a record says about the delivery under way, and drop it."""
        reasons = _reasons.get()
        if reasons is not None and record.levelno >= logging.WARNING:
            said = record.getMessage()
            if status := _STATUS.search(said):
                reasons.append(f"it answered {status[1]}")
            elif "onnection error" in said:
                reasons.append("it cannot be reached")
        return False


def _keep_to_ourselves() -> None:
    """Let nothing that apprise logs reach any handler, nor Python's last resort, stderr."""
    log = logging.getLogger("apprise")
    # However little is to be logged: from its warnings we learn why it failed.
    log.setLevel(logging.WARNING)
    if not any(isinstance(known, _Reasons) for known in log.filters):
        log.addFilter(_Reasons())
