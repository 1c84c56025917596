-- Snapshots: folded motions with long streams. A cache, safe to empty at any time.

-- name: create_snapshots (postgres)
-- The latest snapshot of a stream; `format` is the shape of its state.
CREATE TABLE snapshots (
    stream_id uuid    PRIMARY KEY,
    version   bigint  NOT NULL,
    format    integer NOT NULL,
    state     bytea   NOT NULL
);

-- name: create_snapshots (sqlite)
-- The latest snapshot of a stream; `format` is the shape of its state.
CREATE TABLE snapshots (
    stream_id TEXT    PRIMARY KEY,
    version   INTEGER NOT NULL,
    format    INTEGER NOT NULL,
    state     BLOB    NOT NULL
) STRICT;
