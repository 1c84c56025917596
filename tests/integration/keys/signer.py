"""A command that signs: what stands on its standard input, with the private key in a file.

python -m tests.integration.keys.signer FILE
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path

from governance_flow.transparency.keys import Ed25519Signer


def main() -> None:
    """Sign once."""
    signer = Ed25519Signer.parse(Path(sys.argv[1]).read_text(encoding="utf-8").strip())
    signature = signer.sign(sys.stdin.buffer.read())
    sys.stdout.write(f"{base64.b64encode(signature).decode()}\n")


if __name__ == "__main__":
    main()
