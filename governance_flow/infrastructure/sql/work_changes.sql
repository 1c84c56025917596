-- What appends change in the operational rows, for all appends of a group at once. Rows come as one
-- JSON text: the database takes it apart, which costs the program that sent it nothing.

-- name: append_group (postgres)
-- Appends the events of a group, moves the head to where they end, and lets each motion stand where
-- it belongs and nowhere else: removes every routing but its open one, adds that one (perhaps
-- leased; one that is there is updated, but for its lease and its age), and does the same on the
-- agenda. Locks in order of id, as those who extend leases do, so that nobody waits in a circle.
--
-- All of it, or nothing: it returns no row, and has changed nothing, unless the head is the very
-- row that the group was decided on (:head_row is the transaction that wrote it, so that a row that
-- was written anew with the same values is another one), the streams are at the versions, the
-- leases have the tokens and the docket is as empty as was taken for granted.
--
-- The arrays stand in SELECTs so that their lengths do not matter to the planner: it sees that one
-- plan serves all, and making it takes as long as carrying it out.
WITH moved AS (
    UPDATE head
       SET position = :position, committed_at_us = :committed_at_us, halt_epoch = :halt_epoch,
           halted = :halted, admitted = :admitted
     WHERE position = :head_position AND xmin = :head_row::xid
       AND NOT EXISTS (
        SELECT FROM unnest((SELECT :granted_stream_ids::uuid[]),
                           (SELECT :granted_versions::bigint[])) AS granted (stream_id, version)
         WHERE granted.version <> coalesce(
            (SELECT max(e.stream_version) FROM events e WHERE e.stream_id = granted.stream_id), 0))
       AND NOT EXISTS (
        SELECT FROM unnest((SELECT :granted_routing_ids::uuid[]),
                           (SELECT :granted_tokens::bigint[])) AS granted (routing_id, token)
         WHERE granted.token <> (
            SELECT a.lease_token FROM assignments a WHERE a.routing_id = granted.routing_id))
       AND NOT (:granted_docket_empty AND EXISTS (
        SELECT FROM agenda g WHERE g.kind = 'admit' AND g.due_us <= :committed_at_us))
    RETURNING xmin::text AS head_row
), added AS (
    INSERT INTO events (position, stream_id, stream_version, topic, state, committed_at_us)
    SELECT :head_position + number, stream_id, stream_version, topic, state, :committed_at_us
      FROM moved
     CROSS JOIN unnest((SELECT :stream_ids::uuid[]), (SELECT :stream_versions::bigint[]),
                       (SELECT :topics::text[]), (SELECT :states::bytea[]))
           WITH ORDINALITY AS new (stream_id, stream_version, topic, state, number)
), change AS MATERIALIZED (
    SELECT * FROM json_to_recordset(:changes::json) AS c (
        motion_id uuid, routing_id uuid, service text, state text, purpose text, attempt integer,
        not_before_us bigint, deadline_us bigint, attempt_timeout_seconds double precision,
        opened_at_us bigint, lease_owner text, lease_token bigint, lease_expires_at_us bigint,
        kind text, due_us bigint, order_us bigint)
     WHERE EXISTS (SELECT FROM moved)
), closed AS (
    DELETE FROM assignments
     WHERE routing_id IN (
        SELECT a.routing_id
          FROM change c
          JOIN assignments a
            ON a.motion_id = c.motion_id AND a.routing_id IS DISTINCT FROM c.routing_id
         ORDER BY a.routing_id
           FOR UPDATE OF a)
), opened AS (
    INSERT INTO assignments (
        routing_id, motion_id, service, state, purpose, attempt,
        not_before_us, deadline_us, attempt_timeout_seconds, opened_at_us,
        lease_owner, lease_token, lease_expires_at_us)
    SELECT routing_id, motion_id, service, state, purpose, attempt,
           not_before_us, deadline_us, attempt_timeout_seconds, opened_at_us,
           lease_owner, lease_token, lease_expires_at_us
      FROM change
     WHERE routing_id IS NOT NULL
    ON CONFLICT (routing_id) DO UPDATE
       SET motion_id = excluded.motion_id, service = excluded.service, state = excluded.state,
           purpose = excluded.purpose, attempt = excluded.attempt,
           not_before_us = excluded.not_before_us, deadline_us = excluded.deadline_us,
           attempt_timeout_seconds = excluded.attempt_timeout_seconds
), cleared AS (
    DELETE FROM agenda
     WHERE motion_id IN (SELECT motion_id FROM change WHERE kind IS NULL)
), put AS (
    INSERT INTO agenda (motion_id, kind, due_us, order_us)
    SELECT motion_id, kind, due_us, order_us FROM change WHERE kind IS NOT NULL
    ON CONFLICT (motion_id) DO UPDATE
       SET kind = excluded.kind, due_us = excluded.due_us, order_us = excluded.order_us,
           lease_expires_at_us = NULL
)
SELECT head_row,
       (SELECT count(pg_notify('governance_flow.' || current_schema(), hint.payload))
          FROM unnest((SELECT :hints::text[])) AS hint (payload))
  FROM moved;

-- name: close_replaced (sqlite)
-- Removes every routing of these motions but the open one.
DELETE FROM assignments
 WHERE routing_id IN (
    SELECT a.routing_id
      FROM json_each(:changes) AS c
     CROSS JOIN assignments AS a
     WHERE a.motion_id = json_extract(c.value, '$.motion_id')
       AND a.routing_id IS NOT json_extract(c.value, '$.routing_id'));

-- name: open_assignments (sqlite)
-- Adds routings, some of them leased; one that is there is updated, but for its lease and its age.
INSERT INTO assignments (
    routing_id, motion_id, service, state, purpose, attempt,
    not_before_us, deadline_us, attempt_timeout_seconds, opened_at_us,
    lease_owner, lease_token, lease_expires_at_us)
SELECT json_extract(c.value, '$.routing_id'), json_extract(c.value, '$.motion_id'),
       json_extract(c.value, '$.service'), json_extract(c.value, '$.state'),
       json_extract(c.value, '$.purpose'), json_extract(c.value, '$.attempt'),
       json_extract(c.value, '$.not_before_us'), json_extract(c.value, '$.deadline_us'),
       json_extract(c.value, '$.attempt_timeout_seconds'),
       json_extract(c.value, '$.opened_at_us'), json_extract(c.value, '$.lease_owner'),
       json_extract(c.value, '$.lease_token'), json_extract(c.value, '$.lease_expires_at_us')
  FROM json_each(:changes) AS c
 WHERE json_extract(c.value, '$.routing_id') IS NOT NULL
ON CONFLICT (routing_id) DO UPDATE
   SET motion_id = excluded.motion_id, service = excluded.service, state = excluded.state,
       purpose = excluded.purpose, attempt = excluded.attempt,
       not_before_us = excluded.not_before_us, deadline_us = excluded.deadline_us,
       attempt_timeout_seconds = excluded.attempt_timeout_seconds;

-- name: clear_agenda (sqlite)
-- Takes off the agenda what is there for motions that have no item any more.
DELETE FROM agenda
 WHERE motion_id IN (
    SELECT json_extract(c.value, '$.motion_id')
      FROM json_each(:changes) AS c
     WHERE json_extract(c.value, '$.kind') IS NULL);

-- name: set_agenda (sqlite)
-- Puts items on the agenda, in place of what was there for their motions.
INSERT INTO agenda (motion_id, kind, due_us, order_us)
SELECT json_extract(c.value, '$.motion_id'), json_extract(c.value, '$.kind'),
       json_extract(c.value, '$.due_us'), json_extract(c.value, '$.order_us')
  FROM json_each(:changes) AS c
 WHERE json_extract(c.value, '$.kind') IS NOT NULL
ON CONFLICT (motion_id) DO UPDATE
   SET kind = excluded.kind, due_us = excluded.due_us, order_us = excluded.order_us,
       lease_expires_at_us = NULL;

-- name: add_alerts (postgres)
-- Adds alerts, each for one sink, unless they are there.
INSERT INTO alerts_outbox (alert_id, sink, body, created_us, due_us, attempts)
SELECT * FROM json_to_recordset(:rows::json)
           AS r (alert_id text, sink text, body text, created_us bigint, due_us bigint,
                 attempts integer)
ON CONFLICT (alert_id, sink) DO NOTHING;

-- name: add_alerts (sqlite)
-- Adds alerts, each for one sink, unless they are there.
INSERT INTO alerts_outbox (alert_id, sink, body, created_us, due_us, attempts)
SELECT json_extract(r.value, '$.alert_id'), json_extract(r.value, '$.sink'),
       json_extract(r.value, '$.body'), json_extract(r.value, '$.created_us'),
       json_extract(r.value, '$.due_us'), json_extract(r.value, '$.attempts')
  FROM json_each(:rows) AS r
 WHERE true
ON CONFLICT (alert_id, sink) DO NOTHING;

-- name: shift_deadlines
-- Moves every deadline: they stood still for so long.
UPDATE assignments SET deadline_us = deadline_us + :by_us WHERE deadline_us IS NOT NULL;
