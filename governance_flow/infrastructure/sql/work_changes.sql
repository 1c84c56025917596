-- What appends change in the operational rows, for all appends of a group at once. Rows come as one
-- JSON text: the database takes it apart, which costs the program that sent it nothing.

-- name: move_work (postgres)
-- Lets each motion stand where it belongs and nowhere else: removes every routing but its open one,
-- adds that one (perhaps leased; one that is there is updated, but for its lease and its age), and
-- does the same on the agenda. Locks in order of id, as those who extend leases do, so that nobody
-- waits in a circle.
WITH change AS MATERIALIZED (
    SELECT * FROM json_to_recordset(:changes::json) AS c (
        motion_id uuid, routing_id uuid, service text, state text, purpose text, attempt integer,
        not_before_us bigint, deadline_us bigint, attempt_timeout_seconds double precision,
        opened_at_us bigint, lease_owner text, lease_token bigint, lease_expires_at_us bigint,
        kind text, due_us bigint, order_us bigint)
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
)
INSERT INTO agenda (motion_id, kind, due_us, order_us)
SELECT motion_id, kind, due_us, order_us FROM change WHERE kind IS NOT NULL
ON CONFLICT (motion_id) DO UPDATE
   SET kind = excluded.kind, due_us = excluded.due_us, order_us = excluded.order_us,
       lease_expires_at_us = NULL;

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
