-- The event log: the head row that every append locks, and the events in their one order.

-- name: create_head (postgres)
-- A single row, updated by every append.
CREATE TABLE head (
    id              smallint PRIMARY KEY CHECK (id = 1),
    position        bigint   NOT NULL CHECK (position >= 0),
    committed_at_us bigint   NOT NULL,
    halt_epoch      bigint   NOT NULL,
    halted          boolean  NOT NULL,
    admitted        bigint   NOT NULL CHECK (admitted >= 0)
);

-- name: create_head (sqlite)
-- A single row, updated by every append.
CREATE TABLE head (
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    position        INTEGER NOT NULL CHECK (position >= 0),
    committed_at_us INTEGER NOT NULL,
    halt_epoch      INTEGER NOT NULL,
    halted          INTEGER NOT NULL CHECK (halted IN (0, 1)),
    admitted        INTEGER NOT NULL CHECK (admitted >= 0)
) STRICT;

-- name: fill_head
-- An empty log, running, with nobody in it.
INSERT INTO head (id, position, committed_at_us, halt_epoch, halted, admitted)
VALUES (1, 0, 0, 0, FALSE, 0);

-- name: create_events (postgres)
-- Every event. Positions have no gaps; they come from the head row, not from a sequence.
CREATE TABLE events (
    position        bigint PRIMARY KEY,
    stream_id       uuid   NOT NULL,
    stream_version  bigint NOT NULL,
    topic           text   NOT NULL,
    state           bytea  NOT NULL,
    committed_at_us bigint NOT NULL,
    UNIQUE (stream_id, stream_version)
);

-- name: create_events (sqlite)
-- Every event. Positions have no gaps; they come from the head row, not from SQLite's row ids.
CREATE TABLE events (
    position        INTEGER PRIMARY KEY,
    stream_id       TEXT    NOT NULL,
    stream_version  INTEGER NOT NULL,
    topic           TEXT    NOT NULL,
    state           BLOB    NOT NULL,
    committed_at_us INTEGER NOT NULL,
    UNIQUE (stream_id, stream_version)
) STRICT;

-- name: index_errors
-- The errors alone, for whoever counts them: among millions of events they are few.
CREATE INDEX events_errors ON events (position) WHERE topic = 'ORCHESTRATOR_ERROR';

-- name: create_append_only_function (postgres)
-- Refuses, with a reason, what must not happen to a log.
CREATE FUNCTION events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are only ever appended' USING ERRCODE = 'integrity_constraint_violation';
END $$;

-- name: guard_events (postgres)
-- The log is append-only even for a program of ours that has a mistake.
CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_are_append_only();

-- name: guard_events_update (sqlite)
-- The log is append-only even for a program of ours that has a mistake.
CREATE TRIGGER events_append_only_update BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are only ever appended');
END;

-- name: guard_events_delete (sqlite)
-- The log is append-only even for a program of ours that has a mistake.
CREATE TRIGGER events_append_only_delete BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are only ever appended');
END;
