-- The log as an auditor reads it: every row as it stands, whatever it holds.

-- name: read_ends
-- The head row, if there is one, and the last row of the log, of one moment.
SELECT h.position, h.committed_at_us, h.halt_epoch, h.halted, h.admitted,
       (SELECT coalesce(max(position), 0) FROM events)
  FROM (SELECT 1 AS id) AS one
  LEFT JOIN head h ON h.id = one.id;

-- name: by_position (postgres)
-- A page in order of position.
SELECT position, stream_id::text, stream_version, topic, state, committed_at_us
  FROM events
 WHERE position >= :from_position AND position <= :up_to_position
 ORDER BY position
 LIMIT :limit;

-- name: by_position (sqlite)
-- A page in order of position. Text is read as bytes: it may have been made unreadable.
SELECT position, CAST(stream_id AS BLOB), stream_version, CAST(topic AS BLOB), state,
       committed_at_us
  FROM events
 WHERE position >= :from_position AND position <= :up_to_position
 ORDER BY position
 LIMIT :limit;

-- name: by_stream (postgres)
-- A page in order of stream and version: of the columns, not of the text that is selected, which
-- no index has in order.
SELECT position, stream_id::text, stream_version, topic, state, committed_at_us
  FROM events
 WHERE (stream_id, stream_version) > (CAST(:after_stream AS uuid), :after_version)
   AND position <= :up_to_position
 ORDER BY events.stream_id, events.stream_version
 LIMIT :limit;

-- name: by_stream (sqlite)
-- A page in order of stream and version. Text is read as bytes: it may have been made unreadable.
SELECT position, CAST(stream_id AS BLOB), stream_version, CAST(topic AS BLOB), state,
       committed_at_us
  FROM events
 WHERE (stream_id, stream_version) > (CAST(:after_stream AS TEXT), :after_version)
   AND position <= :up_to_position
 ORDER BY stream_id, stream_version
 LIMIT :limit;

-- name: committed_from
-- The first event at a position or behind it, and when it was committed.
SELECT position, committed_at_us
  FROM events
 WHERE position >= :position
 ORDER BY position
 LIMIT 1;
