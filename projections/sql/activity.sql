-- What happened lately, in buckets of time, and what has happened altogether.

-- name: create_buckets (postgres)
-- How often something happened, by the second, the minute, the hour and the day in which it did.
CREATE TABLE IF NOT EXISTS activity_{generation}_buckets (
    width_seconds integer NOT NULL,
    start_s       bigint  NOT NULL,
    kind          text    NOT NULL,
    amount        bigint  NOT NULL,
    PRIMARY KEY (width_seconds, start_s, kind)
);

-- name: create_buckets (sqlite)
-- How often something happened, by the second, the minute, the hour and the day in which it did.
CREATE TABLE IF NOT EXISTS activity_{generation}_buckets (
    width_seconds INTEGER NOT NULL,
    start_s       INTEGER NOT NULL,
    kind          TEXT    NOT NULL,
    amount        INTEGER NOT NULL,
    PRIMARY KEY (width_seconds, start_s, kind)
) STRICT, WITHOUT ROWID;

-- name: create_stays (postgres)
-- How many motions left a state in each hour, and how long they had been in it, together.
CREATE TABLE IF NOT EXISTS activity_{generation}_stays (
    start_s   bigint NOT NULL,
    state     text   NOT NULL,
    motions   bigint NOT NULL,
    stayed_us bigint NOT NULL,
    PRIMARY KEY (start_s, state)
);

-- name: create_stays (sqlite)
-- How many motions left a state in each hour, and how long they had been in it, together.
CREATE TABLE IF NOT EXISTS activity_{generation}_stays (
    start_s   INTEGER NOT NULL,
    state     TEXT    NOT NULL,
    motions   INTEGER NOT NULL,
    stayed_us INTEGER NOT NULL,
    PRIMARY KEY (start_s, state)
) STRICT, WITHOUT ROWID;

-- name: create_totals (postgres)
-- Counters that only grow, under at most two labels each (empty where there is none).
CREATE TABLE IF NOT EXISTS activity_{generation}_totals (
    total  text   NOT NULL,
    first  text   NOT NULL,
    second text   NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (total, first, second)
);

-- name: create_totals (sqlite)
-- Counters that only grow, under at most two labels each (empty where there is none).
CREATE TABLE IF NOT EXISTS activity_{generation}_totals (
    total  TEXT    NOT NULL,
    first  TEXT    NOT NULL,
    second TEXT    NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (total, first, second)
) STRICT, WITHOUT ROWID;

-- name: drop_buckets
-- The buckets.
DROP TABLE IF EXISTS activity_{generation}_buckets;

-- name: drop_stays
-- The stays.
DROP TABLE IF EXISTS activity_{generation}_stays;

-- name: drop_totals
-- The totals.
DROP TABLE IF EXISTS activity_{generation}_totals;

-- name: fill_buckets (postgres)
-- Adds to several buckets at once.
INSERT INTO activity_{generation}_buckets AS kept (width_seconds, start_s, kind, amount)
SELECT * FROM unnest(:width_seconds::integer[], :start_s::bigint[], :kind::text[],
                     :amount::bigint[])
ON CONFLICT (width_seconds, start_s, kind) DO UPDATE SET amount = kept.amount + excluded.amount;

-- name: fill_bucket (sqlite)
-- Adds to one bucket.
INSERT INTO activity_{generation}_buckets (width_seconds, start_s, kind, amount)
VALUES (:width_seconds, :start_s, :kind, :amount)
ON CONFLICT (width_seconds, start_s, kind) DO UPDATE SET amount = amount + excluded.amount;

-- name: prune_buckets (postgres)
-- Forgets what is older than anybody asks for, which depends on the width.
DELETE FROM activity_{generation}_buckets
 WHERE ctid IN (
    SELECT old.row
      FROM json_to_recordset(:kept::json) AS kept (width_seconds bigint, before_s bigint)
     CROSS JOIN LATERAL (
        SELECT b.ctid AS row
          FROM activity_{generation}_buckets b
         WHERE b.width_seconds = kept.width_seconds AND b.start_s < kept.before_s
        OFFSET 0) AS old);

-- name: prune_buckets (sqlite)
-- Forgets what is older than anybody asks for, which depends on the width.
DELETE FROM activity_{generation}_buckets
 WHERE (width_seconds, start_s, kind) IN (
    SELECT b.width_seconds, b.start_s, b.kind
      FROM json_each(:kept) AS kept
     CROSS JOIN activity_{generation}_buckets AS b
     WHERE b.width_seconds = json_extract(kept.value, '$.width_seconds')
       AND b.start_s < json_extract(kept.value, '$.before_s'));

-- name: add_stays (postgres)
-- Adds to the stays of several hours and states at once.
INSERT INTO activity_{generation}_stays AS kept (start_s, state, motions, stayed_us)
SELECT * FROM unnest(:start_s::bigint[], :state::text[], :motions::bigint[], :stayed_us::bigint[])
ON CONFLICT (start_s, state) DO UPDATE
   SET motions = kept.motions + excluded.motions, stayed_us = kept.stayed_us + excluded.stayed_us;

-- name: add_stay (sqlite)
-- Adds to the stays of one hour and state.
INSERT INTO activity_{generation}_stays (start_s, state, motions, stayed_us)
VALUES (:start_s, :state, :motions, :stayed_us)
ON CONFLICT (start_s, state) DO UPDATE
   SET motions = motions + excluded.motions, stayed_us = stayed_us + excluded.stayed_us;

-- name: prune_stays
-- Forgets the hours that nobody asks for any more.
DELETE FROM activity_{generation}_stays WHERE start_s < :before_s;

-- name: add_totals (postgres)
-- Adds to several totals at once.
INSERT INTO activity_{generation}_totals AS kept (total, first, second, amount)
SELECT * FROM unnest(:total::text[], :first::text[], :second::text[], :amount::bigint[])
ON CONFLICT (total, first, second) DO UPDATE SET amount = kept.amount + excluded.amount;

-- name: add_total (sqlite)
-- Adds to one total.
INSERT INTO activity_{generation}_totals (total, first, second, amount)
VALUES (:total, :first, :second, :amount)
ON CONFLICT (total, first, second) DO UPDATE SET amount = amount + excluded.amount;

-- name: count_since
-- Seconds up to the next full minute, minutes up to the next full hour, hours from there on.
SELECT kind, CAST(sum(amount) AS bigint) FROM (
    SELECT kind, amount FROM activity_{generation}_buckets
     WHERE width_seconds = 1 AND start_s >= :since_s AND start_s < :minute_s
    UNION ALL
    SELECT kind, amount FROM activity_{generation}_buckets
     WHERE width_seconds = 60 AND start_s >= :minute_s AND start_s < :hour_s
    UNION ALL
    SELECT kind, amount FROM activity_{generation}_buckets
     WHERE width_seconds = 3600 AND start_s >= :hour_s
) AS found GROUP BY kind;

-- name: read_buckets
-- The buckets of one width in a stretch of time, for a chart.
SELECT start_s, kind, amount FROM activity_{generation}_buckets
 WHERE width_seconds = :width_seconds AND start_s >= :since_s AND start_s <= :until_s
 ORDER BY start_s;

-- name: read_stays
-- What motions left in some hours, and how long they had been there.
SELECT state, CAST(sum(motions) AS bigint), CAST(sum(stayed_us) AS bigint)
  FROM activity_{generation}_stays
 WHERE start_s >= :since_s AND start_s <= :until_s GROUP BY state;

-- name: read_totals
-- All totals: their number is bounded by what the labels can be.
SELECT total, first, second, amount FROM activity_{generation}_totals;
