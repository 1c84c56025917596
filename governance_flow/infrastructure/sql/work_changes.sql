-- What appends change in the operational rows, for all appends of a group at once. Rows come as one
-- JSON text: the database takes it apart, which costs the program that sent it nothing.

-- name: close_replaced (postgres)
-- Removes every routing of these motions but one. Locks in order of id, as those who extend leases
-- do, so that nobody waits in a circle.
DELETE FROM assignments
 WHERE routing_id IN (
    SELECT a.routing_id
      FROM json_to_recordset(:changes::json) AS c (motion_id uuid, routing_id uuid)
      JOIN assignments a
        ON a.motion_id = c.motion_id AND a.routing_id IS DISTINCT FROM c.routing_id
     ORDER BY a.routing_id
       FOR UPDATE OF a);

-- name: close_replaced (sqlite)
-- Removes every routing of these motions but one.
DELETE FROM assignments
 WHERE routing_id IN (
    SELECT a.routing_id
      FROM json_each(:changes) AS c
     CROSS JOIN assignments AS a
     WHERE a.motion_id = json_extract(c.value, '$.motion_id')
       AND a.routing_id IS NOT json_extract(c.value, '$.routing_id'));

-- name: open_assignments (postgres)
-- Adds routings, some of them leased; one that is there is updated, but for its lease and its age.
INSERT INTO assignments (
    routing_id, motion_id, service, state, purpose, attempt,
    not_before_us, deadline_us, attempt_timeout_seconds, opened_at_us,
    lease_owner, lease_token, lease_expires_at_us)
SELECT * FROM json_to_recordset(:rows::json) AS r (
    routing_id uuid, motion_id uuid, service text, state text, purpose text, attempt integer,
    not_before_us bigint, deadline_us bigint, attempt_timeout_seconds double precision,
    opened_at_us bigint, lease_owner text, lease_token bigint, lease_expires_at_us bigint)
ON CONFLICT (routing_id) DO UPDATE
   SET motion_id = excluded.motion_id, service = excluded.service, state = excluded.state,
       purpose = excluded.purpose, attempt = excluded.attempt,
       not_before_us = excluded.not_before_us, deadline_us = excluded.deadline_us,
       attempt_timeout_seconds = excluded.attempt_timeout_seconds;

-- name: open_assignments (sqlite)
-- Adds routings, some of them leased; one that is there is updated, but for its lease and its age.
INSERT INTO assignments (
    routing_id, motion_id, service, state, purpose, attempt,
    not_before_us, deadline_us, attempt_timeout_seconds, opened_at_us,
    lease_owner, lease_token, lease_expires_at_us)
SELECT json_extract(r.value, '$.routing_id'), json_extract(r.value, '$.motion_id'),
       json_extract(r.value, '$.service'), json_extract(r.value, '$.state'),
       json_extract(r.value, '$.purpose'), json_extract(r.value, '$.attempt'),
       json_extract(r.value, '$.not_before_us'), json_extract(r.value, '$.deadline_us'),
       json_extract(r.value, '$.attempt_timeout_seconds'),
       json_extract(r.value, '$.opened_at_us'), json_extract(r.value, '$.lease_owner'),
       json_extract(r.value, '$.lease_token'), json_extract(r.value, '$.lease_expires_at_us')
  FROM json_each(:rows) AS r
 WHERE true
ON CONFLICT (routing_id) DO UPDATE
   SET motion_id = excluded.motion_id, service = excluded.service, state = excluded.state,
       purpose = excluded.purpose, attempt = excluded.attempt,
       not_before_us = excluded.not_before_us, deadline_us = excluded.deadline_us,
       attempt_timeout_seconds = excluded.attempt_timeout_seconds;

-- name: clear_agenda (postgres)
-- Takes what is there for these motions off the agenda.
DELETE FROM agenda
 WHERE motion_id IN (SELECT m.id::uuid FROM json_array_elements_text(:motion_ids::json) AS m (id));

-- name: clear_agenda (sqlite)
-- Takes what is there for these motions off the agenda.
DELETE FROM agenda WHERE motion_id IN (SELECT value FROM json_each(:motion_ids));

-- name: set_agenda (postgres)
-- Puts items on the agenda, in place of what was there for their motions.
INSERT INTO agenda (motion_id, kind, due_us, order_us)
SELECT * FROM json_to_recordset(:rows::json)
           AS r (motion_id uuid, kind text, due_us bigint, order_us bigint)
ON CONFLICT (motion_id) DO UPDATE
   SET kind = excluded.kind, due_us = excluded.due_us, order_us = excluded.order_us,
       lease_expires_at_us = NULL;

-- name: set_agenda (sqlite)
-- Puts items on the agenda, in place of what was there for their motions.
INSERT INTO agenda (motion_id, kind, due_us, order_us)
SELECT json_extract(r.value, '$.motion_id'), json_extract(r.value, '$.kind'),
       json_extract(r.value, '$.due_us'), json_extract(r.value, '$.order_us')
  FROM json_each(:rows) AS r
 WHERE true
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
