"""Governance Flow: an event-sourced orchestrator for a governance pipeline."""

__version__ = "0.1.0"
