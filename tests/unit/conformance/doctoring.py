"""Ways to doctor an exported log: every one returns a new log and leaves the old one as it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from governance_flow.conformance.terms import digest_of
from tests.unit.conformance.exported import Event, topic

Log = Sequence[Event]

HEARTBEAT = timedelta(minutes=5)
PIPELINE = "/governance-flow/pipeline"
SOMEBODY = "somebody else"


def data(event: Event) -> Mapping[str, Any]:
    """Return what the event itself says."""
    inside: Mapping[str, Any] = event["data"]
    return inside


def motion(event: Event) -> str | None:
    """Return whose event it is; None: the pipeline's."""
    return event.get("subject")


def saying(event: Event, **changes: Any) -> Event:
    """Return the event saying something else, and its envelope and statement along with it."""
    inside = {**event["data"], **changes}
    outside = {**event, "data": inside, "id": inside["event_id"], "time": inside["timestamp"]}
    outside["correlationid"] = inside["correlation_id"]
    if inside["causation_id"] is None:
        outside.pop("causationid", None)
    else:
        outside["causationid"] = inside["causation_id"]
    return restated(outside) if topic(event) == "TRANSITION_WITNESSED" else outside


def restated(event: Event) -> Event:
    """Return a transition with a statement that says the same; nobody has signed it."""
    inside = event["data"]
    return stating(
        event,
        motion_id=event["subject"],
        version=event["streamversion"],
        **{"from": inside["from_state"], "to": inside["to_state"]},
        cause=inside["cause"],
        actor=inside["actor"],
        timestamp=inside["timestamp"],
        until=inside["until"],
    )


def stating(event: Event, **changes: Any) -> Event:
    """Return a transition whose statement says something else than the event."""
    header, body = event["data"]["statement"].split("\n")[:2]
    statement = f"{header}\n{json.dumps({**json.loads(body), **changes}, sort_keys=True)}\n"
    return {**event, "data": {**event["data"], "statement": statement}}


def replaced(log: Log, index: int, *events: Event) -> list[Event]:
    """Return the log with other events in the place of one; several are committed together."""
    at = log[index]["committedat"]
    put = events if len(events) == 1 else [{**event, "committedat": at} for event in events]
    return [*log[:index], *put, *log[index + 1 :]]


def without(log: Log, *indices: int) -> list[Event]:
    """Return the log without some events."""
    return [event for index, event in enumerate(log) if index not in indices]


def cut(log: Log, index: int) -> list[Event]:
    """Return the log without what happened to a motion after one of its events."""
    whose = motion(log[index])
    assert whose is not None
    return [event for at, event in enumerate(log) if at <= index or motion(event) != whose]


def following(log: Log, index: int) -> int | None:
    """Return where the next event of the same stream stands."""
    whose = motion(log[index])
    return next((at for at in range(index + 1, len(log)) if motion(log[at]) == whose), None)


def before(
    log: Log, index: int, wanted: Callable[[Event], bool] = lambda event: True
) -> int | None:
    """Return where the latest event of the same stream stands that is wanted."""
    whose = motion(log[index])
    places = range(index - 1, -1, -1)
    return next((at for at in places if motion(log[at]) == whose and wanted(log[at])), None)


def numbered(log: Log) -> list[Event]:
    """Return the log with positions and versions made dense again, as a forger would."""
    versions: dict[str | None, int] = {}
    result = []
    for position, event in enumerate(log, 1):
        version = versions[motion(event)] = versions.get(motion(event), 0) + 1
        if (event["position"], event["streamversion"]) != (str(position), version):
            event = {**event, "position": str(position), "streamversion": version}  # noqa: PLW2901
            if topic(event) == "TRANSITION_WITNESSED":
                event = stating(event, version=version)  # noqa: PLW2901
        result.append(event)
    return result


def another(event: Event, number: int = 1, **changes: Any) -> Event:
    """Return the same event once more, under an id of its own."""
    return saying(event, event_id=str(UUID(int=UUID(event["id"]).int ^ number)), **changes)


def by(name: str, how: str = "asserted") -> dict[str, str]:
    """Return an actor."""
    return {"id": name, "authenticated_by": how}


def pipelines(like: Event, kind: str, number: int, actor: Mapping[str, str]) -> Event:
    """Return an event of the pipeline at the time of another event."""
    event_id = str(UUID(int=UUID(like["id"]).int ^ number))
    envelope = {key: value for key, value in like.items() if key not in ("subject", "causationid")}
    inside = {
        "event_id": event_id,
        "correlation_id": event_id,
        "causation_id": None,
        "actor": actor,
        "timestamp": like["data"]["timestamp"],
        "reason": "so it is said",
    }
    envelope.update(id=event_id, correlationid=event_id, source=PIPELINE, data=inside)
    return {**envelope, "type": f"governance-flow.{kind}"}


def later(text: str, by: timedelta) -> str:
    """Return a time that is later."""
    return (datetime.fromisoformat(text) + by).isoformat()


def beating(log: Log, since: datetime, count: int = 20) -> list[Event]:
    """Return the log going on: other motions are introduced, one every few minutes."""
    first = next(event for event in log if topic(event) == "MOTION_INTRODUCED")
    result = list(log)
    for number in range(1, count + 1):
        at = (since + number * HEARTBEAT).isoformat()
        event_id = str(UUID(int=UUID(first["id"]).int ^ number))
        beat = saying(first, event_id=event_id, correlation_id=event_id, timestamp=at)
        result.append({**beat, "subject": event_id, "committedat": at})
    return result


def end_of(log: Log) -> datetime:
    """Return when the last event was committed."""
    return datetime.fromisoformat(log[-1]["committedat"])


def configured(log: Log, **changes: Any) -> list[Event]:
    """Return the log with every configuration changed, and its digest wherever it stands."""
    digests: dict[str, str] = {}
    result = []
    for event in log:
        if topic(event) == "CONFIGURATION_ADOPTED":
            changed = {**data(event)["configuration"], **changes}
            digests[data(event)["digest"]] = digest_of(changed)
            event = saying(event, configuration=changed, digest=digest_of(changed))  # noqa: PLW2901
        elif topic(event) == "MOTION_ROUTED":
            digest = digests[data(event)["configuration"]]
            event = saying(event, configuration=digest)  # noqa: PLW2901
        result.append(event)
    return result
