"""The rules of the pipeline: pure functions over immutable values, no I/O, no clock."""
