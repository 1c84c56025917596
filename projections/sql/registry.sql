-- Where each projection stands, generation by generation, and which motions it has parked.
--
-- A projection has one live generation. A higher one is being built beside it; a lower one was
-- replaced, and waits to be dropped.

-- name: log_ends
-- The head of the log, the epoch of halts, and when the first event was committed.
SELECT position, committed_at_us, halt_epoch,
       (SELECT committed_at_us FROM events WHERE position = 1)
  FROM head;

-- name: lock_registry (postgres)
-- One process makes tables or begins a rebuild at a time; the lock ends with the transaction.
SELECT pg_advisory_xact_lock(1195789400, hashtext(current_schema()));

-- name: lock_registry (sqlite)
-- Nothing to do: BEGIN IMMEDIATE has taken the only lock there is.
SELECT 1;

-- name: registry_exists (postgres)
-- Whether the tables below are there.
SELECT count(*) = 3 FROM pg_tables
 WHERE schemaname = current_schema()
   AND tablename IN ('projections', 'projections_parked', 'projections_layouts');

-- name: registry_exists (sqlite)
-- Whether the tables below are there.
SELECT count(*) = 3 FROM sqlite_schema
 WHERE type = 'table'
   AND name IN ('projections', 'projections_parked', 'projections_layouts');

-- name: create_projections (postgres)
-- One row a generation. The position moves in the transaction that writes the rows.
CREATE TABLE IF NOT EXISTS projections (
    name            text    NOT NULL,
    generation      integer NOT NULL,
    position        bigint  NOT NULL,
    committed_at_us bigint  NOT NULL,
    live            boolean NOT NULL,
    PRIMARY KEY (name, generation)
);

-- name: create_projections (sqlite)
-- One row a generation. The position moves in the transaction that writes the rows.
CREATE TABLE IF NOT EXISTS projections (
    name            TEXT    NOT NULL,
    generation      INTEGER NOT NULL,
    position        INTEGER NOT NULL,
    committed_at_us INTEGER NOT NULL,
    live            INTEGER NOT NULL CHECK (live IN (0, 1)),
    PRIMARY KEY (name, generation)
) STRICT;

-- name: create_one_live
-- No projection ever has two live generations.
CREATE UNIQUE INDEX IF NOT EXISTS projections_live ON projections (name) WHERE live;

-- name: create_parked (postgres)
-- Motions a projection has stopped following, and the event at which it did.
CREATE TABLE IF NOT EXISTS projections_parked (
    projection text    NOT NULL,
    generation integer NOT NULL,
    motion_id  uuid    NOT NULL,
    position   bigint  NOT NULL,
    topic      text    NOT NULL,
    reason     text    NOT NULL,
    PRIMARY KEY (motion_id, projection, generation)
);

-- name: create_parked (sqlite)
-- Motions a projection has stopped following, and the event at which it did.
CREATE TABLE IF NOT EXISTS projections_parked (
    projection TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    motion_id  TEXT    NOT NULL,
    position   INTEGER NOT NULL,
    topic      TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    PRIMARY KEY (motion_id, projection, generation)
) STRICT;

-- name: create_layouts (postgres)
-- What the rows of a projection look like. One that is not named here has the first layout.
CREATE TABLE IF NOT EXISTS projections_layouts (
    name   text    PRIMARY KEY,
    layout integer NOT NULL
);

-- name: create_layouts (sqlite)
-- What the rows of a projection look like. One that is not named here has the first layout.
CREATE TABLE IF NOT EXISTS projections_layouts (
    name   TEXT    PRIMARY KEY,
    layout INTEGER NOT NULL
) STRICT;

-- name: read_layouts
-- The layouts there are.
SELECT name, layout FROM projections_layouts;

-- name: keep_layout
-- The layout of a projection from now on.
INSERT INTO projections_layouts (name, layout) VALUES (:name, :layout)
ON CONFLICT (name) DO UPDATE SET layout = excluded.layout;

-- name: read_all_generations (postgres)
-- Every generation of these projections.
SELECT name, generation, position, committed_at_us, live FROM projections
 WHERE name = ANY (:names::text[]) ORDER BY name, generation;

-- name: read_all_generations (sqlite)
-- Every generation of these projections.
SELECT name, generation, position, committed_at_us, live FROM projections
 WHERE name IN (SELECT value FROM json_each(:names)) ORDER BY name, generation;

-- name: lock_live (postgres)
-- The live generations, held until this transaction ends: batches stand in line here.
SELECT name, generation, position, committed_at_us, live FROM projections
 WHERE live AND name = ANY (:names::text[]) ORDER BY name FOR UPDATE;

-- name: lock_live (sqlite)
-- The live generations; BEGIN IMMEDIATE holds the lock.
SELECT name, generation, position, committed_at_us, live FROM projections
 WHERE live AND name IN (SELECT value FROM json_each(:names)) ORDER BY name;

-- name: lock_generation (postgres)
-- One generation, held until this transaction ends.
SELECT name, generation, position, committed_at_us, live FROM projections
 WHERE name = :name AND generation = :generation FOR UPDATE;

-- name: lock_generation (sqlite)
-- One generation; BEGIN IMMEDIATE holds the lock.
SELECT name, generation, position, committed_at_us, live FROM projections
 WHERE name = :name AND generation = :generation;

-- name: read_live
-- The live generation of each projection.
SELECT name, generation, position, committed_at_us, live FROM projections WHERE live;

-- name: insert_generation
-- A new generation, which has seen nothing yet.
INSERT INTO projections (name, generation, position, committed_at_us, live)
VALUES (:name, :generation, 0, 0, :live);

-- name: advance
-- Everything up to the position is in the rows now.
UPDATE projections SET position = :position, committed_at_us = :committed_at_us
 WHERE name = :name AND generation = :generation;

-- name: set_live
-- Readers look here first, in their own transaction.
UPDATE projections SET live = :live WHERE name = :name AND generation = :generation;

-- name: delete_generation
-- A generation that nobody needs any more.
DELETE FROM projections WHERE name = :name AND generation = :generation;

-- name: park
-- Only the first reason counts: everything after it is skipped.
INSERT INTO projections_parked (projection, generation, motion_id, position, topic, reason)
VALUES (:projection, :generation, :motion_id, :position, :topic, :reason)
ON CONFLICT DO NOTHING;

-- name: parked_among (postgres)
-- Which of these motions are parked, and by which generations.
SELECT projection, generation, motion_id, position, topic, reason FROM projections_parked
 WHERE motion_id = ANY (:motion_ids::uuid[]) ORDER BY motion_id, projection, generation;

-- name: parked_among (sqlite)
-- Which of these motions are parked, and by which generations.
SELECT projection, generation, motion_id, position, topic, reason FROM projections_parked
 WHERE motion_id IN (SELECT value FROM json_each(:motion_ids))
 ORDER BY motion_id, projection, generation;

-- name: parked_live
-- A page of what the live generations have parked.
SELECT k.projection, k.generation, k.motion_id, k.position, k.topic, k.reason
  FROM projections_parked k
  JOIN projections p ON p.name = k.projection AND p.generation = k.generation AND p.live
 ORDER BY k.motion_id, k.projection LIMIT :limit;

-- name: parked_live_among (postgres)
-- Which of these motions the live generations have parked.
SELECT k.projection, k.generation, k.motion_id, k.position, k.topic, k.reason
  FROM projections_parked k
  JOIN projections p ON p.name = k.projection AND p.generation = k.generation AND p.live
 WHERE k.motion_id = ANY (:motion_ids::uuid[]) ORDER BY k.motion_id, k.position, k.projection;

-- name: parked_live_among (sqlite)
-- Which of these motions the live generations have parked.
SELECT k.projection, k.generation, k.motion_id, k.position, k.topic, k.reason
  FROM projections_parked k
  JOIN projections p ON p.name = k.projection AND p.generation = k.generation AND p.live
 WHERE k.motion_id IN (SELECT value FROM json_each(:motion_ids))
 ORDER BY k.motion_id, k.position, k.projection;

-- name: unpark_generation
-- A generation that is dropped parks nothing.
DELETE FROM projections_parked WHERE projection = :name AND generation = :generation;
