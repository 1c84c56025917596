"""Databases that run synchronous units of work, each in a transaction: SQLite and PostgreSQL."""
