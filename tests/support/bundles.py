"""Bundles made without the product's code: keys, notes, leaves and tree of our own.

A ``World`` is a store and its log as plain rows. A test tells it what happens, may change rows
behind its back, and asks for a bundle, in which the log is always sound: what only the operator
could have done, with the log's key. What others do to a file is done to the finished bundle.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid5

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.properties.naive_merkle import NaiveTree

PIPELINE = str(uuid5(UUID(int=0), "governance-flow/pipeline"))
MOTION = "0b54a3ea-54a1-4cd2-8a5c-2f6a8dd7e3a1"
OTHER_MOTION = "7c1e9f5e-0d3b-4c39-9a43-0c1a6b1f8f11"
LOG_NAME = "flow.example/log"
NOON_US = 1_767_268_800_000_000
"""2026-01-01 12:00 UTC, when everything begins; each event comes a second later."""

Row = dict[str, Any]
Bundle = dict[str, Any]


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


class Pen:
    """A key that signs notes; the same name and number always make the same key."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self._key = Ed25519PrivateKey.from_private_bytes(
            sha256(f"{name} {number}".encode()).digest()
        )
        typed = b"\x01" + self._key.public_key().public_bytes_raw()
        self.key_id = sha256(name.encode() + b"\n" + typed).digest()[:4]
        self.vkey = f"{name}+{self.key_id.hex()}+{b64encode(typed).decode()}"

    def line(self, text: str) -> str:
        signature = self.key_id + self._key.sign(text.encode())
        return f"\N{EM DASH} {self.name} {b64encode(signature).decode()}\n"


def note(text: str, *pens: Pen) -> str:
    return "".join([text, "\n", *(pen.line(text) for pen in pens)])


def signed_json(header: str, body: object, *pens: Pen) -> str:
    return note(f"{header}\n{canonical(body)}\n", *pens)


def statement(body: object, *pens: Pen) -> str:
    return signed_json("governance-flow/witness-statement/v1", body, *pens)


LOG = Pen(LOG_NAME, 1)
FIRST_KNIGHT, SECOND_KNIGHT = Pen("flow.example/knight/a", 1), Pen("flow.example/knight/b", 1)
STRANGER = Pen("stranger.example/knight", 1)

OWNERS = {
    "deliberate": "conclave",
    "plan": "president",
    "execute": "duke",
    "judge": "prince",
    "record": "knight",
    "acknowledge": "conclave",
    "review": "conclave",
}


@dataclass
class World:
    """What happened, in order. ``rows[n]`` stands at position n + 1."""

    log: Pen = LOG
    rows: list[Row] = field(default_factory=list)
    keys: dict[str, list[Pen]] = field(default_factory=lambda: {"log": [], "knight": []})

    def append(self, stream: str, topic: str, *, actor: str = "", **matter: object) -> Row:
        """Add an event; an actor without a name is the program."""
        number = len(self.rows) + 1
        second = f"2026-01-01T12:{number // 60:02}:{number % 60:02}Z"
        how = "asserted" if actor in ("ada", "zoe") else "service"
        who = {"id": actor, "authenticated_by": how}
        said = {
            "schema_version": 1,
            "event_id": str(UUID(int=number)),
            "correlation_id": str(UUID(int=1)),
            "causation_id": None,
            "actor": who if actor else {"id": "orchestrator", "authenticated_by": "system"},
            "timestamp": second,
            **matter,
        }
        row = {
            "position": number,
            "stream_id": stream,
            "version": len(self.of(stream)) + 1,
            "topic": topic,
            "committed_at_us": NOON_US + number * 1_000_000,
            "state": json.dumps(said, separators=(",", ":"), ensure_ascii=False),
        }
        self.rows.append(row)
        return row

    def of(self, stream: str) -> list[Row]:
        return [row for row in self.rows if row["stream_id"] == stream]

    def adopt(self, role: str, pen: Pen, *pens: Pen, **changes: object) -> Row:
        """Adopt a key, signed as it must be unless other ``pens`` are given."""
        before = self.keys[role][-1:]
        row = self.append(PIPELINE, "KEY_ADOPTED", role=role, key=pen.vkey)
        said = json.loads(row["state"])
        body = {
            "key": pen.vkey,
            "previous": before[0].vkey if before else None,
            "role": role,
            "timestamp": said["timestamp"].replace("Z", "+00:00"),
        } | changes
        signed = signed_json("governance-flow/key-adoption/v1", body, *(pens or (pen, *before)))
        row["state"] = json.dumps(said | {"statement": signed}, ensure_ascii=False)
        self.keys[role].append(pen)
        return row

    def introduce(self, motion: str = MOTION) -> Row:
        return self.append(
            motion,
            "MOTION_INTRODUCED",
            actor="ada",
            title="Mend the bridge",
            text="Before the flood — «soon» 😀.",
            introduced_by="ada",
            metadata={"cost": 1.5, "urgent": True},
        )

    def route(self, purpose: str, motion: str = MOTION) -> Row:
        return self.append(
            motion, "MOTION_ROUTED", service=f"{OWNERS[purpose]}_service", purpose=purpose
        )

    def report(self, purpose: str, motion: str = MOTION, **matter: object) -> Row:
        said = {"purpose": purpose, "success": True, "output": {"did": purpose}, **matter}
        return self.append(motion, "BRANCH_COMPLETED", actor=f"{OWNERS[purpose]}_service", **said)

    def move(
        self,
        source: str,
        target: str,
        kind: str = "advance",
        *,
        motion: str = MOTION,
        pens: tuple[Pen, ...] = (),
        until: str | None = None,
        **changes: object,
    ) -> Row:
        """Change the state; ``changes`` make the statement say something else than the event."""
        events = self.of(motion)
        witnessed = [row for row in events if row["topic"] == "TRANSITION_WITNESSED"]
        last = witnessed[-1]["version"] if witnessed else 1
        cause = {"kind": kind, "reason": "so it was decided", "event_id": None}
        row = self.append(
            motion,
            "TRANSITION_WITNESSED",
            from_state=source,
            to_state=target,
            cause=cause,
            until=until,
        )
        said = json.loads(row["state"])
        previous = json.loads(witnessed[-1]["state"])["statement"] if witnessed else None
        body = {
            "actor": said["actor"],
            "cause": cause,
            "covers": [
                {"sha256": digest(event["state"]), "version": event["version"]}
                for event in events[last - 1 :]
            ],
            "from": source,
            "motion_id": motion,
            "previous_statement": digest(previous) if previous else None,
            "timestamp": said["timestamp"].replace("Z", "+00:00"),
            "to": target,
            "until": until.replace("Z", "+00:00") if until else None,
            "version": row["version"],
            "witness": "knight_witness_service",
        } | changes
        signed = statement(body, *(pens or self.keys["knight"][-1:]))
        row["state"] = json.dumps(said | {"statement": signed}, ensure_ascii=False)
        return row

    def work(self, purpose: str, source: str, target: str, *, motion: str = MOTION) -> None:
        """Have a step done and the motion moved on."""
        self.route(purpose, motion)
        self.report(purpose, motion)
        self.move(source, target, motion=motion)

    def restate(self, row: Row, **changes: object) -> None:
        """Change what an event says, behind everybody's back."""
        row["state"] = json.dumps(json.loads(row["state"]) | changes, ensure_ascii=False)

    def leaf(self, row: Row) -> bytes:
        record = {name: row[name] for name in row if name != "state"}
        record["sha256"] = digest(row["state"])
        signed = ""
        if row["topic"] == "TRANSITION_WITNESSED":
            signed = json.loads(row["state"])["statement"]
        leaf = f"governance-flow/leaf/v1\n{canonical(record)}\n{signed}".encode()
        if len(leaf) < 64 * 1024:
            return leaf
        record["statement_sha256"] = digest(signed)
        return f"governance-flow/leaf/v1\n{canonical(record)}\n".encode()

    def tree(self) -> NaiveTree:
        genesis = b'governance-flow/leaf/v1\n{"position":0}\n'
        return NaiveTree([genesis, *map(self.leaf, self.rows)])

    def checkpoint(self, size: int | None = None, *pens: Pen, origin: str = "") -> str:
        size = len(self.rows) + 1 if size is None else size
        root = b64encode(self.tree().root(size)).decode()
        return note(f"{origin or self.log.name}\n{size}\n{root}\n", *(pens or (self.log,)))

    def bundle(self, motion: str = MOTION, *, size: int | None = None) -> Bundle:
        """Return the bundle of a motion, under a checkpoint of this size or the latest."""
        size = len(self.rows) + 1 if size is None else size
        tree, checkpoint = self.tree(), self.checkpoint(size)

        def proven(row: Row) -> Row:
            path = [b64encode(h).decode() for h in tree.inclusion(row["position"], size)]
            head = ["c2sp.org/tlog-proof@v1", f"index {row['position']}", *path, ""]
            return {**row, "proof": "\n".join([*head, checkpoint])}

        rows = self.rows[: size - 1]
        adoptions = [row for row in rows if row["topic"] == "KEY_ADOPTED"]
        adopted = [json.loads(row["state"]) for row in adoptions]
        return {
            "format": "governance-flow/bundle/v1",
            "motion_id": motion,
            "origin": self.log.name,
            "keys": {
                "log": self.keys["log"][0].vkey if self.keys["log"] else self.log.vkey,
                "knight": [said["key"] for said in adopted if said["role"] == "knight"],
            },
            "checkpoint": checkpoint,
            "events": [proven(row) for row in rows if row["stream_id"] == motion],
            "key_events": [proven(row) for row in adoptions],
        }


def opened() -> World:
    """Return a store with its keys, in which a motion was introduced and another one too."""
    world = World()
    world.adopt("knight", FIRST_KNIGHT)
    world.introduce(OTHER_MOTION)
    world.adopt("log", world.log)
    world.introduce()
    world.move("INTRODUCED", "DELIBERATING", motion=OTHER_MOTION)
    world.move("INTRODUCED", "DELIBERATING")
    return world


def executing(world: World) -> World:
    """Take the motion to EXECUTING, with the execution asked for."""
    world.work("deliberate", "DELIBERATING", "RATIFIED")
    world.move("RATIFIED", "PLANNING")
    world.work("plan", "PLANNING", "EXECUTING")
    world.route("execute")
    return world


def whole() -> World:
    """Take a motion the whole way: a return, a review, and a new key of the Knight between."""
    world = executing(opened())
    world.report("execute", success=False, error_type="validation_error")
    world.append(MOTION, "ORCHESTRATOR_ERROR", error_type="validation_error")
    world.move("EXECUTING", "PLANNING", "return")
    world.adopt("knight", SECOND_KNIGHT)
    world.work("plan", "PLANNING", "EXECUTING")
    world.work("execute", "EXECUTING", "JUDGING")
    world.route("judge")
    world.append(MOTION, "VIOLATION_WITNESSED", actor="zoe", kind="skipped_step")
    world.report("judge", success=False, error_type="compliance_error")
    world.append(MOTION, "ORCHESTRATOR_ERROR", error_type="compliance_error")
    world.route("review")
    world.report("review", output={"decision": "resume"})
    world.work("judge", "JUDGING", "WITNESSING")
    world.work("deliberate", "DELIBERATING", "REJECTED", motion=OTHER_MOTION)
    world.route("record")
    world.report("record")
    world.work("acknowledge", "WITNESSING", "ACKNOWLEDGED")
    world.introduce("0d5e3c5c-33b4-49c5-9c3a-8a1f9f3f0c55")
    return world
