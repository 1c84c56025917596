"""The read model: rows made from events, with the position they stand at."""
