"""What the verifier of bundles says, taken apart for tests."""

from __future__ import annotations

import argparse
import json
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO

from scripts import verify_bundle
from tests.support.bundles import Bundle


@dataclass(frozen=True)
class Verdict:
    """``step`` is the one in which the first fault was found, 0 if there is none.

    ``output`` is what was printed, or what the fault means.
    """

    code: int
    step: int
    what: str
    where: str
    output: str


def verdict_on(
    bundle: Bundle | str,
    *,
    log_key: str | None = None,
    knight_key: str | None = None,
    checkpoint: str | None = None,
) -> Verdict:
    """Check a bundle, or the text of a file that should be one."""
    options = argparse.Namespace(
        log_key=verify_bundle.Key.parse(log_key) if log_key else None,
        knight_key=verify_bundle.Key.parse(knight_key) if knight_key else None,
        checkpoint=checkpoint,
    )
    report = verify_bundle.Report()
    text = bundle if isinstance(bundle, str) else json.dumps(bundle)
    with redirect_stdout(StringIO()) as output:
        try:
            code = verify_bundle.verify(text, options, report)
        except verify_bundle.Fault as fault:
            return Verdict(1, len(report.steps), str(fault), fault.where, fault.meaning)
    return Verdict(code, 0, "", "", output.getvalue())
