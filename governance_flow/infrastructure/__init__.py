"""Adapters: stores, settings, alerts, metrics."""
