-- What happened lately, in buckets of time, and what has happened altogether.

-- name: create_buckets (postgres)
-- How often something happened, by the second, the minute and the hour in which it did.
CREATE TABLE IF NOT EXISTS activity_{generation}_buckets (
    width_seconds integer NOT NULL,
    start_s       bigint  NOT NULL,
    kind          text    NOT NULL,
    amount        bigint  NOT NULL,
    PRIMARY KEY (width_seconds, start_s, kind)
);

-- name: create_buckets (sqlite)
-- How often something happened, by the second, the minute and the hour in which it did.
CREATE TABLE IF NOT EXISTS activity_{generation}_buckets (
    width_seconds INTEGER NOT NULL,
    start_s       INTEGER NOT NULL,
    kind          TEXT    NOT NULL,
    amount        INTEGER NOT NULL,
    PRIMARY KEY (width_seconds, start_s, kind)
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

-- name: prune_buckets
-- Forgets what is older than anybody asks for, one width at a time.
DELETE FROM activity_{generation}_buckets
 WHERE width_seconds = :width_seconds AND start_s < :before_s;

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

-- name: read_totals
-- All totals: their number is bounded by what the labels can be.
SELECT total, first, second, amount FROM activity_{generation}_totals;
