-- One row a motion, as people are shown it, and the counters over all of them.
--
-- Every halt of the pipeline moves every open deadline. A row therefore keeps its deadline as it was
-- set, and the halts stand beside: what is shown is worked out for the few rows that are shown. What
-- is overdue is found by the running time, a clock that stands still while the pipeline is halted:
-- by that clock no halt moves a deadline.

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
    for_person          boolean NOT NULL,
    docketed_at_us      bigint,
    runs_out_us         bigint,
    introducer          text    NOT NULL,
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
    for_person          INTEGER NOT NULL,
    docketed_at_us      INTEGER,
    runs_out_us         INTEGER,
    introducer          TEXT    NOT NULL,
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
-- Pages of the motions under way, and the oldest of them.
CREATE INDEX IF NOT EXISTS motions_{generation}_active
    ON motions_{generation} (introduced_at_us, motion_id) WHERE active;

-- name: create_blocked_order
-- Pages of the motions that are blocked.
CREATE INDEX IF NOT EXISTS motions_{generation}_blocked
    ON motions_{generation} (introduced_at_us, motion_id) WHERE blocked;

-- name: create_person_order
-- Pages of the motions that only a named person can help on.
CREATE INDEX IF NOT EXISTS motions_{generation}_for_person
    ON motions_{generation} (introduced_at_us, motion_id) WHERE for_person;

-- name: create_docket_order
-- Pages of the docket, in the order in which motions are admitted.
CREATE INDEX IF NOT EXISTS motions_{generation}_docket
    ON motions_{generation} (docketed_at_us, motion_id) WHERE docketed_at_us IS NOT NULL;

-- name: create_deadline_order
-- Pages of the motions that have a deadline, the one that passes first first.
CREATE INDEX IF NOT EXISTS motions_{generation}_running_out
    ON motions_{generation} (runs_out_us, motion_id) WHERE runs_out_us IS NOT NULL;

-- name: create_introducer_order
-- Pages of the motions that somebody introduced.
CREATE INDEX IF NOT EXISTS motions_{generation}_by_introducer
    ON motions_{generation} (introducer, introduced_at_us, motion_id);

-- name: create_entered_order
-- The motion under way that has been in its state for the longest.
CREATE INDEX IF NOT EXISTS motions_{generation}_by_entry
    ON motions_{generation} (state, entered_state_at_us, motion_id) WHERE active;

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

-- name: create_halts (postgres)
-- When the pipeline was halted: deadlines stood still meanwhile, of every motion there was.
CREATE TABLE IF NOT EXISTS motions_{generation}_halts (
    number   integer PRIMARY KEY,
    start_us bigint  NOT NULL,
    end_us   bigint
);

-- name: create_halts (sqlite)
-- When the pipeline was halted: deadlines stood still meanwhile, of every motion there was.
CREATE TABLE IF NOT EXISTS motions_{generation}_halts (
    number   INTEGER PRIMARY KEY,
    start_us INTEGER NOT NULL,
    end_us   INTEGER
) STRICT;

-- name: drop_motions
-- The rows and their indexes.
DROP TABLE IF EXISTS motions_{generation};

-- name: drop_halts
-- The halts.
DROP TABLE IF EXISTS motions_{generation}_halts;

-- name: drop_counters
-- The counters.
DROP TABLE IF EXISTS motions_{generation}_counters;

-- name: upsert_motions (postgres)
-- The motions of a batch, each as it stands after it.
INSERT INTO motions_{generation}
       (motion_id, version, introduced_at_us, state, entered_state_at_us,
        active, blocked, waiting, for_person, docketed_at_us, runs_out_us, introducer, shown)
SELECT * FROM unnest(
        :motion_id::uuid[], :version::bigint[], :introduced_at_us::bigint[], :state::text[],
        :entered_state_at_us::bigint[], :active::boolean[], :blocked::boolean[],
        :waiting::boolean[], :for_person::boolean[], :docketed_at_us::bigint[],
        :runs_out_us::bigint[], :introducer::text[], :shown::text[])
ON CONFLICT (motion_id) DO UPDATE
   SET version = excluded.version, state = excluded.state,
       entered_state_at_us = excluded.entered_state_at_us, active = excluded.active,
       blocked = excluded.blocked, waiting = excluded.waiting,
       for_person = excluded.for_person, docketed_at_us = excluded.docketed_at_us,
       runs_out_us = excluded.runs_out_us, shown = excluded.shown;

-- name: upsert_motion (sqlite)
-- A motion as it stands after the batch.
INSERT INTO motions_{generation}
       (motion_id, version, introduced_at_us, state, entered_state_at_us,
        active, blocked, waiting, for_person, docketed_at_us, runs_out_us, introducer, shown)
VALUES (:motion_id, :version, :introduced_at_us, :state, :entered_state_at_us,
        :active, :blocked, :waiting, :for_person, :docketed_at_us, :runs_out_us, :introducer,
        :shown)
ON CONFLICT (motion_id) DO UPDATE
   SET version = excluded.version, state = excluded.state,
       entered_state_at_us = excluded.entered_state_at_us, active = excluded.active,
       blocked = excluded.blocked, waiting = excluded.waiting,
       for_person = excluded.for_person, docketed_at_us = excluded.docketed_at_us,
       runs_out_us = excluded.runs_out_us, shown = excluded.shown;

-- name: keep_halt
-- A halt of the pipeline, by its number: begun, or ended.
INSERT INTO motions_{generation}_halts (number, start_us, end_us)
VALUES (:number, :start_us, :end_us)
ON CONFLICT (number) DO UPDATE SET start_us = excluded.start_us, end_us = excluded.end_us;

-- name: halts_since
-- The halts that can still have moved the deadline of a routing made then, or later.
SELECT start_us, end_us FROM motions_{generation}_halts
 WHERE end_us IS NULL OR end_us > :since_us ORDER BY number;

-- name: all_halts
-- Every halt there was: they are few, for each of them stopped everything.
SELECT start_us, end_us FROM motions_{generation}_halts ORDER BY number;

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
       blocked, waiting, shown
  FROM motions_{generation}
 WHERE (introduced_at_us, motion_id) > (:after_us, :after_id)
   AND (CAST(:blocked AS boolean) IS NULL OR blocked = CAST(:blocked AS boolean))
   AND (CAST(:active AS boolean) IS NULL OR active = CAST(:active AS boolean))
 ORDER BY introduced_at_us, motion_id LIMIT :limit;

-- name: page_in_state
-- A page of the motions in one state.
SELECT motion_id, version, introduced_at_us, state, entered_state_at_us,
       blocked, waiting, shown
  FROM motions_{generation}
 WHERE state = :state AND (introduced_at_us, motion_id) > (:after_us, :after_id)
   AND (CAST(:blocked AS boolean) IS NULL OR blocked = CAST(:blocked AS boolean))
   AND (CAST(:active AS boolean) IS NULL OR active = CAST(:active AS boolean))
 ORDER BY introduced_at_us, motion_id LIMIT :limit;

-- name: page_of_blocked
-- A page of the blocked motions, in one state or in any.
SELECT motion_id, version, introduced_at_us, state, entered_state_at_us,
       blocked, waiting, shown
  FROM motions_{generation}
 WHERE blocked AND (introduced_at_us, motion_id) > (:after_us, :after_id)
   AND (CAST(:state AS text) IS NULL OR state = CAST(:state AS text))
   AND (CAST(:active AS boolean) IS NULL OR active = CAST(:active AS boolean))
 ORDER BY introduced_at_us, motion_id LIMIT :limit;

-- name: page_of_active
-- A page of the motions under way.
SELECT motion_id, version, introduced_at_us, state, entered_state_at_us,
       blocked, waiting, shown
  FROM motions_{generation}
 WHERE active AND (introduced_at_us, motion_id) > (:after_us, :after_id)
   AND (CAST(:blocked AS boolean) IS NULL OR blocked = CAST(:blocked AS boolean))
 ORDER BY introduced_at_us, motion_id LIMIT :limit;

-- name: page_of_docket
-- A page of the motions that wait for a place by a moment, in the order in which they will be
-- admitted; the time that is in order of first.
SELECT docketed_at_us, motion_id, version, introduced_at_us, state, entered_state_at_us,
       blocked, waiting, shown
  FROM motions_{generation}
 WHERE docketed_at_us IS NOT NULL AND docketed_at_us <= :until_us
   AND (docketed_at_us, motion_id) > (:after_us, :after_id)
 ORDER BY docketed_at_us, motion_id LIMIT :limit;

-- name: page_of_overdue
-- A page of the motions whose deadline has passed by a moment of the running time, the one
-- longest overdue first; the time that is in order of first.
SELECT runs_out_us, motion_id, version, introduced_at_us, state, entered_state_at_us,
       blocked, waiting, shown
  FROM motions_{generation}
 WHERE runs_out_us IS NOT NULL AND runs_out_us <= :until_us
   AND (runs_out_us, motion_id) > (:after_us, :after_id)
 ORDER BY runs_out_us, motion_id LIMIT :limit;

-- name: page_for_person
-- A page of the motions that only a named person can help on.
SELECT introduced_at_us, motion_id, version, introduced_at_us, state, entered_state_at_us,
       blocked, waiting, shown
  FROM motions_{generation}
 WHERE for_person AND (introduced_at_us, motion_id) > (:after_us, :after_id)
 ORDER BY introduced_at_us, motion_id LIMIT :limit;

-- name: page_of_introducer
-- A page of the motions that somebody introduced.
SELECT introduced_at_us, motion_id, version, introduced_at_us, state, entered_state_at_us,
       blocked, waiting, shown
  FROM motions_{generation}
 WHERE introducer = :introducer AND (introduced_at_us, motion_id) > (:after_us, :after_id)
 ORDER BY introduced_at_us, motion_id LIMIT :limit;

-- name: oldest_in_states (postgres)
-- Of each of these states the motion that has been in it for the longest.
SELECT oldest.*
  FROM unnest(:states::text[]) AS wanted (state)
 CROSS JOIN LATERAL (
    SELECT motion_id, version, introduced_at_us, state, entered_state_at_us,
           blocked, waiting, shown
      FROM motions_{generation} AS m
     WHERE m.active AND m.state = wanted.state
     ORDER BY m.entered_state_at_us, m.motion_id LIMIT 1) AS oldest;

-- name: oldest_in_states (sqlite)
-- Of each of these states the motion that has been in it for the longest.
SELECT o.motion_id, o.version, o.introduced_at_us, o.state, o.entered_state_at_us,
       o.blocked, o.waiting, o.shown
  FROM json_each(:states) AS wanted
 CROSS JOIN motions_{generation} AS o
 WHERE o.motion_id = (
    SELECT m.motion_id FROM motions_{generation} AS m
     WHERE m.active AND m.state = wanted.value
     ORDER BY m.entered_state_at_us, m.motion_id LIMIT 1);

-- name: overdue_states
-- The states of the motions that are longest overdue.
SELECT state FROM motions_{generation}
 WHERE runs_out_us IS NOT NULL AND runs_out_us <= :until_us
 ORDER BY runs_out_us, motion_id LIMIT :limit;

-- name: read_motions (postgres)
-- Some motions by id.
SELECT motion_id, version, introduced_at_us, state, entered_state_at_us,
       blocked, waiting, shown
  FROM motions_{generation}
 WHERE motion_id = ANY (:motion_ids::uuid[]) ORDER BY motion_id;

-- name: read_motions (sqlite)
-- Some motions by id.
SELECT motion_id, version, introduced_at_us, state, entered_state_at_us,
       blocked, waiting, shown
  FROM motions_{generation}
 WHERE motion_id IN (SELECT value FROM json_each(:motion_ids)) ORDER BY motion_id;

-- name: page_by_id
-- A page of all motions in order of id, for whoever compares them with the streams.
SELECT motion_id, version, introduced_at_us, state, entered_state_at_us,
       blocked, waiting, shown
  FROM motions_{generation}
 WHERE motion_id > :after_id ORDER BY motion_id LIMIT :limit;
