-- The event log. Every append locks the head row first, so positions follow the order of commits.

-- name: lock_head (postgres)
-- The head row, held until this transaction ends: appends stand in line here. Also which
-- transaction wrote it, and which one this is.
SELECT position, committed_at_us, halt_epoch, halted, admitted,
       xmin::text, pg_current_xact_id()::xid::text
  FROM head FOR UPDATE;

-- name: lock_head (sqlite)
-- The head row; BEGIN IMMEDIATE holds the lock.
SELECT position, committed_at_us, halt_epoch, halted, admitted FROM head;

-- name: read_head
-- The head row as last committed.
SELECT position, committed_at_us, halt_epoch, halted, admitted FROM head;

-- name: renew_head (postgres)
-- Writes the head anew, as it is.
UPDATE head SET position = position;

-- name: update_head (sqlite)
-- Where the log ends now, and what the pipeline allows.
UPDATE head
   SET position = :position, committed_at_us = :committed_at_us, halt_epoch = :halt_epoch,
       halted = :halted, admitted = :admitted;

-- name: stream_versions (postgres)
-- The last version of each stream; null for one that is empty. The array stands in a SELECT so
-- that the planner sees that one plan serves any number of streams.
SELECT s.id::text,
       (SELECT max(e.stream_version) FROM events e WHERE e.stream_id = s.id)
  FROM unnest((SELECT :stream_ids::uuid[])) AS s (id);

-- name: stream_versions (sqlite)
-- The last version of each stream; null for one that is empty.
SELECT s.value,
       (SELECT max(e.stream_version) FROM events e WHERE e.stream_id = s.value)
  FROM json_each(:stream_ids) AS s;

-- name: insert_event (sqlite)
-- One event.
INSERT INTO events (position, stream_id, stream_version, topic, state, committed_at_us)
VALUES (:position, :stream_id, :stream_version, :topic, :state, :committed_at_us);

-- name: read_stream
-- The events of one stream, in order of version.
SELECT stream_id, stream_version, topic, state, position, committed_at_us
  FROM events
 WHERE stream_id = :stream_id AND stream_version > :after_version
   AND stream_version <= :up_to_version
 ORDER BY stream_version
 LIMIT :limit;

-- name: read_streams (postgres)
-- The events of several streams, of each in order of version.
SELECT stream_id, stream_version, topic, state, position, committed_at_us
  FROM events
 WHERE stream_id = ANY (:stream_ids::uuid[])
 ORDER BY stream_id, stream_version;

-- name: read_streams (sqlite)
-- The events of several streams, of each in order of version.
SELECT stream_id, stream_version, topic, state, position, committed_at_us
  FROM events
 WHERE stream_id IN (SELECT value FROM json_each(:stream_ids))
 ORDER BY stream_id, stream_version;

-- name: read_stream_backwards
-- The events of one stream, the latest first.
SELECT stream_id, stream_version, topic, state, position, committed_at_us
  FROM events
 WHERE stream_id = :stream_id AND stream_version > :after_version
   AND stream_version <= :up_to_version
 ORDER BY stream_version DESC
 LIMIT :limit;

-- name: read_all
-- A page of the log.
SELECT stream_id, stream_version, topic, state, position, committed_at_us
  FROM events
 WHERE position > :after_position AND position <= :up_to_position
 ORDER BY position
 LIMIT :limit;

-- name: read_errors
-- A page of the log's errors. The topic is spelled out so that their partial index serves.
SELECT stream_id, stream_version, topic, state, position, committed_at_us
  FROM events
 WHERE topic = 'ORCHESTRATOR_ERROR'
   AND position > :after_position AND position <= :up_to_position
 ORDER BY position
 LIMIT :limit;

-- name: read_latest_errors
-- The newest errors. The topic is spelled out so that their partial index serves.
SELECT stream_id, stream_version, topic, state, position, committed_at_us
  FROM events
 WHERE topic = 'ORCHESTRATOR_ERROR' AND position < :before_position
 ORDER BY position DESC
 LIMIT :limit;

-- name: read_latest
-- The newest events of one topic.
SELECT stream_id, stream_version, topic, state, position, committed_at_us
  FROM events
 WHERE topic = :topic AND position < :before_position
 ORDER BY position DESC
 LIMIT :limit;

-- name: read_topics (postgres)
-- A page of the events of some topics.
SELECT stream_id, stream_version, topic, state, position, committed_at_us
  FROM events
 WHERE position > :after_position AND position <= :up_to_position
   AND topic = ANY (:topics::text[])
 ORDER BY position
 LIMIT :limit;

-- name: read_topics (sqlite)
-- A page of the events of some topics.
SELECT stream_id, stream_version, topic, state, position, committed_at_us
  FROM events
 WHERE position > :after_position AND position <= :up_to_position
   AND topic IN (SELECT value FROM json_each(:topics))
 ORDER BY position
 LIMIT :limit;

-- name: first_in_docket
-- Who waits for a place, if anybody does.
SELECT motion_id FROM agenda WHERE kind = 'admit' AND due_us <= :now_us LIMIT 1;

-- name: fenced_leases (postgres)
-- The leases that completions of a group must respect.
SELECT routing_id, lease_token, lease_expires_at_us, delegated_until_us
  FROM assignments
 WHERE routing_id = ANY (:routing_ids::uuid[]);

-- name: fenced_leases (sqlite)
-- The leases that completions of a group must respect.
SELECT routing_id, lease_token, lease_expires_at_us, delegated_until_us
  FROM assignments
 WHERE routing_id IN (SELECT value FROM json_each(:routing_ids));
