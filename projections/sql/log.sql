-- The hashes of the audit log's Merkle tree, in tiles of 256.

-- name: create_tiles (postgres)
-- A tile of level 0 holds leaf hashes, one of level L the roots of 256 full tiles of level L - 1.
CREATE TABLE IF NOT EXISTS log_tiles_{generation} (
    level  integer NOT NULL,
    nth    bigint  NOT NULL,
    hashes bytea   NOT NULL,
    PRIMARY KEY (level, nth)
);

-- name: create_tiles (sqlite)
-- A tile of level 0 holds leaf hashes, one of level L the roots of 256 full tiles of level L - 1.
CREATE TABLE IF NOT EXISTS log_tiles_{generation} (
    level  INTEGER NOT NULL,
    nth    INTEGER NOT NULL,
    hashes BLOB    NOT NULL,
    PRIMARY KEY (level, nth)
) STRICT;

-- name: drop_tiles
-- The generation is not needed any more.
DROP TABLE IF EXISTS log_tiles_{generation};

-- name: read_tiles (postgres)
-- Some tiles.
SELECT t.level, t.nth, t.hashes
  FROM unnest(:levels::integer[], :nths::bigint[]) AS wanted (level, nth)
  JOIN log_tiles_{generation} t ON t.level = wanted.level AND t.nth = wanted.nth;

-- name: read_tiles (sqlite)
-- Some tiles.
SELECT t.level, t.nth, t.hashes
  FROM json_each(:levels) AS l
  JOIN json_each(:nths) AS n ON n.key = l.key
 CROSS JOIN log_tiles_{generation} AS t
 WHERE t.level = l.value AND t.nth = n.value;

-- name: put_tiles (postgres)
-- Tiles that are new, or have grown.
INSERT INTO log_tiles_{generation} (level, nth, hashes)
SELECT * FROM unnest(:levels::integer[], :nths::bigint[], :hashes::bytea[])
ON CONFLICT (level, nth) DO UPDATE SET hashes = excluded.hashes;

-- name: put_tile (sqlite)
-- A tile that is new, or has grown.
INSERT INTO log_tiles_{generation} (level, nth, hashes)
VALUES (:level, :nth, :hashes)
ON CONFLICT (level, nth) DO UPDATE SET hashes = excluded.hashes;
