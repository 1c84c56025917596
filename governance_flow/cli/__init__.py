"""The command line: ``governance-flow``."""

from governance_flow.cli.app import app, main

__all__ = ["app", "main"]
