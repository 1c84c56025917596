-- Which migrations a store has had, and whether it is one of ours at all.

-- name: identify (postgres)
-- Our mark (the table's comment), and the names of ours that somebody else's tables have taken.
WITH ours AS (
    SELECT c.oid, c.relname
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
)
SELECT
    (SELECT CASE WHEN obj_description(oid, 'pg_class') = 'Governance Flow'
                 THEN 1195789399 ELSE 0 END
       FROM ours
      WHERE relname = 'governance_flow_schema'),
    (SELECT string_agg('a table named ' || relname, ', ' ORDER BY relname)
       FROM ours
      WHERE relname IN ('head', 'events', 'checkpoints', 'assignments', 'agenda',
                        'alerts_outbox', 'lease_tokens', 'duties'));

-- name: identify (sqlite)
-- Our mark (the file's application id; none if the file is empty), and the tables that are there.
SELECT
    CASE WHEN a.application_id = 0 AND NOT EXISTS (SELECT 1 FROM sqlite_schema)
         THEN NULL ELSE a.application_id END,
    (SELECT group_concat('a table named ' || name, ', ')
       FROM (SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name LIMIT 5))
  FROM pragma_application_id AS a;

-- name: schema_version
-- The last migration applied.
SELECT coalesce(max(version), 0) FROM governance_flow_schema;

-- name: lock_schema (postgres)
-- One process migrates at a time; the lock ends with the transaction.
SELECT pg_advisory_xact_lock(1195789399, hashtext(current_schema()));

-- name: lock_schema (sqlite)
-- Nothing to do: BEGIN IMMEDIATE has taken the only lock there is.
SELECT 1;

-- name: create_schema_table (postgres)
-- One row for each migration applied.
CREATE TABLE governance_flow_schema (
    version       bigint PRIMARY KEY,
    name          text   NOT NULL,
    applied_at_us bigint NOT NULL
);

-- name: create_schema_table (sqlite)
-- One row for each migration applied.
CREATE TABLE governance_flow_schema (
    version       INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL,
    applied_at_us INTEGER NOT NULL
) STRICT;

-- name: create_mark (postgres)
-- Marks the store as ours: a table may bear this name by chance, but not this comment.
COMMENT ON TABLE governance_flow_schema IS 'Governance Flow';

-- name: create_mark (sqlite)
-- Marks the file as ours, for us and for file(1).
PRAGMA application_id = 1195789399;

-- name: record_migration
-- Notes that a migration was applied.
INSERT INTO governance_flow_schema (version, name, applied_at_us)
VALUES (:version, :name, :applied_at_us);
