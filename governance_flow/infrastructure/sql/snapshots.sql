-- Snapshots: folded motions with long streams.

-- name: latest_snapshot
-- The snapshot of one stream, if this program can read its format.
SELECT state FROM snapshots WHERE stream_id = :stream_id AND format = :format;

-- name: keep_snapshot
-- Keeps a snapshot, unless a later one of the same format is there.
INSERT INTO snapshots (stream_id, version, format, state)
VALUES (:stream_id, :version, :format, :state)
ON CONFLICT (stream_id) DO UPDATE
   SET version = excluded.version, format = excluded.format, state = excluded.state
 WHERE snapshots.version < excluded.version OR snapshots.format <> excluded.format;
