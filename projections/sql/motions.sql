-- One row a motion, as people are shown it, and the counters over all of them.

-- name: create_motions (postgres)
-- What motions are found by stands in columns; what is only shown, in one JSON text.
CREATE TABLE IF NOT EXISTS motions_{generation} (
    motion_id           uuid    PRIMARY KEY,
    version             bigint  NOT NULL,
    introduced_at_us    bigint  NOT NULL,
    state               text    NOT NULL,
    entered_state_at_us bigint  NOT NULL,
    active              boolean NOT NULL,
    blocked             boolean NOT NULL,
    waiting             boolean NOT NULL,
    routed_at_us        bigint,
    deadline_us         bigint,
    shown               text    NOT NULL
);

-- name: create_motions (sqlite)
-- What motions are found by stands in columns; what is only shown, in one JSON text.
CREATE TABLE IF NOT EXISTS motions_{generation} (
    motion_id           TEXT    PRIMARY KEY,
    version             INTEGER NOT NULL,
    introduced_at_us    INTEGER NOT NULL,
    state               TEXT    NOT NULL,
    entered_state_at_us INTEGER NOT NULL,
    active              INTEGER NOT NULL,
    blocked             INTEGER NOT NULL,
    waiting             INTEGER NOT NULL,
    routed_at_us        INTEGER,
    deadline_us         INTEGER,
    shown               TEXT    NOT NULL
) STRICT;

-- name: create_order
-- Pages of all motions.
CREATE INDEX IF NOT EXISTS motions_{generation}_in_order
    ON motions_{generation} (introduced_at_us, motion_id);

-- name: create_state_order
-- Pages of the motions in one state.
CREATE INDEX IF NOT EXISTS motions_{generation}_by_state
    ON motions_{generation} (state, introduced_at_us, motion_id);

-- name: create_active_order
-- Pages of the motions under way, the oldest of them, and the deadlines a halt moves.
CREATE INDEX IF NOT EXISTS motions_{generation}_active
    ON motions_{generation} (introduced_at_us, motion_id) WHERE active;

-- name: create_blocked_order
-- Pages of the motions that are blocked.
CREATE INDEX IF NOT EXISTS motions_{generation}_blocked
    ON motions_{generation} (introduced_at_us, motion_id) WHERE blocked;

-- name: create_counters (postgres)
-- How many motions are in each state, blocked, and waiting for a place.
CREATE TABLE IF NOT EXISTS motions_{generation}_counters (
    counter text   PRIMARY KEY,
    amount  bigint NOT NULL
);

-- name: create_counters (sqlite)
-- How many motions are in each state, blocked, and waiting for a place.
CREATE TABLE IF NOT EXISTS motions_{generation}_counters (
    counter TEXT    PRIMARY KEY,
    amount  INTEGER NOT NULL
) STRICT;

-- name: drop_motions
-- The rows and their indexes.
DROP TABLE IF EXISTS motions_{generation};

-- name: drop_counters
-- The counters.
DROP TABLE IF EXISTS motions_{generation}_counters;

-- name: upsert_motions (postgres)
-- The motions of a batch, each as it stands after it.
INSERT INTO motions_{generation}
       (motion_id, version, introduced_at_us, state, entered_state_at_us,
        active, blocked, waiting, routed_at_us, deadline_us, shown)
SELECT * FROM unnest(
        :motion_id::uuid[], :version::bigint[], :introduced_at_us::bigint[], :state::text[],
        :entered_state_at_us::bigint[], :active::boolean[], :blocked::boolean[],
        :waiting::boolean[], :routed_at_us::bigint[], :deadline_us::bigint[], :shown::text[])
ON CONFLICT (motion_id) DO UPDATE
   SET version = excluded.version, state = excluded.state,
       entered_state_at_us = excluded.entered_state_at_us, active = excluded.active,
       blocked = excluded.blocked, waiting = excluded.waiting,
       routed_at_us = excluded.routed_at_us, deadline_us = excluded.deadline_us,
       shown = excluded.shown;

-- name: upsert_motion (sqlite)
-- A motion as it stands after the batch.
INSERT INTO motions_{generation}
       (motion_id, version, introduced_at_us, state, entered_state_at_us,
        active, blocked, waiting, routed_at_us, deadline_us, shown)
VALUES (:motion_id, :version, :introduced_at_us, :state, :entered_state_at_us,
        :active, :blocked, :waiting, :routed_at_us, :deadline_us, :shown)
ON CONFLICT (motion_id) DO UPDATE
   SET version = excluded.version, state = excluded.state,
       entered_state_at_us = excluded.entered_state_at_us, active = excluded.active,
       blocked = excluded.blocked, waiting = excluded.waiting,
       routed_at_us = excluded.routed_at_us, deadline_us = excluded.deadline_us,
       shown = excluded.shown;

-- name: move_deadlines
-- Lets the deadlines of open routings stand still from start_us to end_us.
UPDATE motions_{generation}
   SET deadline_us = deadline_us + :end_us
                     - CASE WHEN routed_at_us > :start_us THEN routed_at_us ELSE :start_us END
 WHERE active AND deadline_us IS NOT NULL AND routed_at_us < :end_us;

-- name: count (postgres)
-- Changes several counters at once.
INSERT INTO motions_{generation}_counters AS kept (counter, amount)
SELECT * FROM unnest(:counter::text[], :amount::bigint[])
ON CONFLICT (counter) DO UPDATE SET amount = kept.amount + excluded.amount;

-- name: count_one (sqlite)
-- Changes one counter.
INSERT INTO motions_{generation}_counters (counter, amount) VALUES (:counter, :amount)
ON CONFLICT (counter) DO UPDATE SET amount = amount + excluded.amount;

-- name: read_counters
-- A dozen rows, however many motions there are.
SELECT counter, amount FROM motions_{generation}_counters;

-- name: oldest_active
-- When the oldest motion under way was introduced.
SELECT introduced_at_us FROM motions_{generation}
 WHERE active ORDER BY introduced_at_us, motion_id LIMIT 1;

-- name: page
-- A page of all motions.
SELECT motion_id, version, introduced_at_us, state, entered_state_at_us,
       blocked, waiting, routed_at_us, deadline_us, shown
  FROM motions_{generation}
 WHERE (introduced_at_us, motion_id) > (:after_us, :after_id)
   AND (CAST(:blocked AS boolean) IS NULL OR blocked = CAST(:blocked AS boolean))
   AND (CAST(:active AS boolean) IS NULL OR active = CAST(:active AS boolean))
 ORDER BY introduced_at_us, motion_id LIMIT :limit;

-- name: page_in_state
-- A page of the motions in one state.
SELECT motion_id, version, introduced_at_us, state, entered_state_at_us,
       blocked, waiting, routed_at_us, deadline_us, shown
  FROM motions_{generation}
 WHERE state = :state AND (introduced_at_us, motion_id) > (:after_us, :after_id)
   AND (CAST(:blocked AS boolean) IS NULL OR blocked = CAST(:blocked AS boolean))
   AND (CAST(:active AS boolean) IS NULL OR active = CAST(:active AS boolean))
 ORDER BY introduced_at_us, motion_id LIMIT :limit;

-- name: page_of_blocked
-- A page of the blocked motions, in one state or in any.
SELECT motion_id, version, introduced_at_us, state, entered_state_at_us,
       blocked, waiting, routed_at_us, deadline_us, shown
  FROM motions_{generation}
 WHERE blocked AND (introduced_at_us, motion_id) > (:after_us, :after_id)
   AND (CAST(:state AS text) IS NULL OR state = CAST(:state AS text))
   AND (CAST(:active AS boolean) IS NULL OR active = CAST(:active AS boolean))
 ORDER BY introduced_at_us, motion_id LIMIT :limit;

-- name: page_of_active
-- A page of the motions under way.
SELECT motion_id, version, introduced_at_us, state, entered_state_at_us,
       blocked, waiting, routed_at_us, deadline_us, shown
  FROM motions_{generation}
 WHERE active AND (introduced_at_us, motion_id) > (:after_us, :after_id)
   AND (CAST(:blocked AS boolean) IS NULL OR blocked = CAST(:blocked AS boolean))
 ORDER BY introduced_at_us, motion_id LIMIT :limit;

-- name: read_motions (postgres)
-- Some motions by id.
SELECT motion_id, version, introduced_at_us, state, entered_state_at_us,
       blocked, waiting, routed_at_us, deadline_us, shown
  FROM motions_{generation}
 WHERE motion_id = ANY (:motion_ids::uuid[]) ORDER BY motion_id;

-- name: read_motions (sqlite)
-- Some motions by id.
SELECT motion_id, version, introduced_at_us, state, entered_state_at_us,
       blocked, waiting, routed_at_us, deadline_us, shown
  FROM motions_{generation}
 WHERE motion_id IN (SELECT value FROM json_each(:motion_ids)) ORDER BY motion_id;

-- name: page_by_id
-- A page of all motions in order of id, for whoever compares them with the streams.
SELECT motion_id, version, introduced_at_us, state, entered_state_at_us,
       blocked, waiting, routed_at_us, deadline_us, shown
  FROM motions_{generation}
 WHERE motion_id > :after_id ORDER BY motion_id LIMIT :limit;
