"""Commands about the audit log: its checkpoints, what they prove, and a motion's bundle."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from governance_flow.application.audit.words import counted
from governance_flow.application.services.log_proofs import opened as opened_checkpoint
from governance_flow.application.times import from_us
from governance_flow.cli.arguments import LogKeyOption, read_key, read_note
from governance_flow.cli.command import JsonOption, Place, opened
from governance_flow.cli.errors import Failed
from governance_flow.cli.files import appearing
from governance_flow.cli.output import print_json, time_json
from governance_flow.cli.terminal import plain, results, say
from governance_flow.transparency.encoding import to_base64

if TYPE_CHECKING:
    from governance_flow.application.services.log_proofs import Latest
    from governance_flow.bootstrap import Flow
    from governance_flow.transparency.checkpoints import Checkpoint
    from governance_flow.transparency.keys import Ed25519Verifier

OutputOption = Annotated[
    Path | None,
    typer.Option("--output", metavar="FILE", dir_okay=False, help="Where to; stdout if not given."),
]


def checkpoint(place: Place, *, output: OutputOption = None, as_json: JsonOption = False) -> None:
    """Print a checkpoint: the log's signed promise of every event there is now.

    Keep it where nobody who can change the store can change it: audit verify --checkpoint then
    finds whatever is changed, dropped or added later. Where the log's key is not at hand, the
    latest checkpoint is printed.
    """
    latest = opened(place, lambda flow: flow.audit.proofs.latest())
    if latest.unsigned is not None:
        say(f"not of this moment, but the latest that was signed: {plain(latest.unsigned)}")
    if as_json:
        print_json(_checkpoint_json(latest))
    elif output is None:
        sys.stdout.write(latest.checkpoint.note)
    else:
        note = latest.checkpoint.note.encode()
        if output.is_file() and output.read_bytes() != note:
            raise Failed(f"{output} holds something else already: keep that, and name another file")
        with appearing(output) as file:
            file.write(note)
        say(f"wrote a checkpoint of {latest.checkpoint.size - 1:,} events to {output}")


def prove(
    place: Place,
    motion_id: Annotated[UUID, typer.Argument(metavar="MOTION", help="The motion's id.")],
    *,
    output: OutputOption = None,
) -> None:
    """Write a motion's bundle: its events and all that proves them, to be checked offline.

    scripts/verify_bundle.py checks it, and needs nothing of this program.
    """
    found, unsigned = opened(place, lambda flow: flow.audit.prove(motion_id))
    if unsigned is not None:
        say(f"under the latest checkpoint, because none can be signed: {plain(unsigned)}")
    data = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    if output is None:
        sys.stdout.write(data)
        return
    with appearing(output) as file:
        file.write(data.encode())
    say(f"wrote {len(found['events'])} events with their proofs to {output}")


def consistency(
    place: Place,
    old: Annotated[
        str,
        typer.Argument(
            metavar="OLD", help="A checkpoint's file, or the size of one (its second line)."
        ),
    ],
    new: Annotated[
        str | None,
        typer.Argument(
            metavar="NEW",
            help="A checkpoint's file, or the size of one.",
            show_default="the latest",
        ),
    ] = None,
    *,
    log_key: LogKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that the log of one checkpoint is the beginning of the log of a later one.

    Exits 1 if it is not: then something that was promised has been changed since.
    """
    expected = read_key("--log-key", log_key)

    async def compare(flow: Flow) -> tuple[Checkpoint, Checkpoint, list[bytes]]:
        key = expected or await flow.audit.log_key()
        first = await _named(flow, old, key)
        second = await _named(flow, new, key) if new is not None else await _newest(flow, key)
        return first, second, await flow.audit.proofs.consistency(first, second)

    first, second, proof = opened(place, compare)
    if as_json:
        print_json(
            {
                "consistent": True,
                "old": {"size": first.size, "root": to_base64(first.root)},
                "new": {"size": second.size, "root": to_base64(second.root)},
                "proof": [to_base64(node) for node in proof],
            }
        )
        return
    results().print(
        f"Consistent: the log of {counted(second.size - 1, 'event')} begins with the log of "
        f"{counted(first.size - 1, 'event')}. This compares two promises; whether the events still "
        "keep them, audit verify says."
    )


async def _named(flow: Flow, name: str, key: Ed25519Verifier) -> Checkpoint:
    if name.isascii() and name.isdigit():
        kept = await flow.audit.proofs.of_size(int(name))
        return opened_checkpoint(f"the checkpoint of size {name}", kept.note, key)
    return opened_checkpoint(name, read_note(Path(name)), key)


async def _newest(flow: Flow, key: Ed25519Verifier) -> Checkpoint:
    latest = await flow.audit.proofs.latest()
    return opened_checkpoint("the latest checkpoint", latest.checkpoint.note, key)


def _checkpoint_json(latest: Latest) -> dict[str, object]:
    kept = latest.checkpoint
    return {
        "size": kept.size,
        "events": kept.size - 1,
        "root": to_base64(kept.root),
        "signed_at": time_json(from_us(kept.signed_at_us)),
        "current": latest.unsigned is None,
        "note": kept.note,
    }
