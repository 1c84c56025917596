-- Promises about the audit log that can never be taken back.

-- name: create_log_checkpoints (postgres)
-- Every checkpoint that was ever signed: the note, and what it says.
CREATE TABLE log_checkpoints (
    size         bigint PRIMARY KEY,
    root         bytea  NOT NULL,
    note         text   NOT NULL,
    signed_at_us bigint NOT NULL
);

-- name: create_log_checkpoints (sqlite)
-- Every checkpoint that was ever signed: the note, and what it says.
CREATE TABLE log_checkpoints (
    size         INTEGER PRIMARY KEY,
    root         BLOB    NOT NULL,
    note         TEXT    NOT NULL,
    signed_at_us INTEGER NOT NULL
) STRICT;

-- name: create_kept_for_ever_function (postgres)
-- Refuses, with a reason, what must not happen to a promise.
CREATE FUNCTION checkpoints_are_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'checkpoints are kept for ever' USING ERRCODE = 'integrity_constraint_violation';
END $$;

-- name: guard_log_checkpoints (postgres)
-- Checkpoints are kept for ever, even by a program of ours that has a mistake.
CREATE TRIGGER log_checkpoints_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON log_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION checkpoints_are_kept();

-- name: guard_log_checkpoints_update (sqlite)
-- Checkpoints are kept for ever, even by a program of ours that has a mistake.
CREATE TRIGGER log_checkpoints_kept_update BEFORE UPDATE ON log_checkpoints
BEGIN
    SELECT RAISE(ABORT, 'checkpoints are kept for ever');
END;

-- name: guard_log_checkpoints_delete (sqlite)
-- Checkpoints are kept for ever, even by a program of ours that has a mistake.
CREATE TRIGGER log_checkpoints_kept_delete BEFORE DELETE ON log_checkpoints
BEGIN
    SELECT RAISE(ABORT, 'checkpoints are kept for ever');
END;
