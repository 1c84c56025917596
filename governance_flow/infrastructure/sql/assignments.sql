-- Assignments: open routings and their leases. `:now_us` is always the store's clock.

-- name: close_assignment
-- Removes a routing, held or not.
DELETE FROM assignments WHERE routing_id = :routing_id;

-- name: next_lease_token (postgres)
-- A fencing token that was never given out before.
SELECT nextval('lease_tokens');

-- name: next_lease_token (sqlite)
-- A fencing token that was never given out before.
UPDATE lease_tokens SET last_token = last_token + 1 RETURNING last_token;

-- name: claim (postgres)
-- Leases the assignments of these services that were due first: those that are free, for each
-- service from the start of its index, and those whose lease has run out. What another claim has
-- locked is passed over. Each taker gets those from its first place in that order to its last.
WITH free AS (
    SELECT found.routing_id, found.not_before_us
      FROM unnest(:services::text[]) AS served (service)
     CROSS JOIN LATERAL (
        SELECT c.routing_id, c.not_before_us
          FROM assignments c
         WHERE c.service = served.service AND c.not_before_us <= :now_us
           AND c.lease_owner IS NULL AND c.delegated_until_us IS NULL
         ORDER BY c.not_before_us, c.routing_id
         LIMIT :limit
           FOR UPDATE SKIP LOCKED) AS found
), lapsed AS (
    SELECT c.routing_id, c.not_before_us
      FROM assignments c
     WHERE c.lease_expires_at_us IS NOT NULL AND c.lease_expires_at_us <= :now_us
       AND c.not_before_us <= :now_us AND c.service = ANY (:services::text[])
     ORDER BY c.lease_expires_at_us
     LIMIT :limit
       FOR UPDATE SKIP LOCKED
), due AS (
    SELECT either.routing_id,
           row_number() OVER (ORDER BY either.not_before_us, either.routing_id) AS place
      FROM (SELECT * FROM free UNION ALL SELECT * FROM lapsed) AS either
     ORDER BY place
     LIMIT :limit
)
UPDATE assignments AS a
   SET lease_owner = taken.owner, lease_token = :token, lease_expires_at_us = :lease_expires_at_us,
       lease_losses = a.lease_losses + (a.lease_owner IS NOT NULL)::integer
  FROM (
    SELECT due.routing_id, taker.owner
      FROM json_to_recordset(:takers::json)
               AS taker (owner text, first_place bigint, last_place bigint)
      JOIN due ON due.place BETWEEN taker.first_place AND taker.last_place) AS taken
 WHERE a.routing_id = taken.routing_id
RETURNING a.routing_id, a.motion_id, a.service, a.state, a.purpose, a.attempt, a.not_before_us,
          a.deadline_us, a.attempt_timeout_seconds, a.opened_at_us,
          a.lease_owner, a.lease_token, a.lease_expires_at_us, a.lease_losses;

-- name: claim (sqlite)
-- Leases the assignments of these services that were due first: those that are free, for each
-- service from the start of its index, and those whose lease has run out. Each taker gets those
-- from its first place in that order to its last. (Both conditions at the end, and the
-- index by name: else SQLite goes through everything that there is.)
WITH due AS MATERIALIZED (
    SELECT either.routing_id,
           row_number() OVER (ORDER BY either.not_before_us, either.routing_id) AS place
      FROM (
        SELECT free.routing_id, free.not_before_us
          FROM json_each(:services) AS served
         CROSS JOIN assignments AS free
         WHERE free.routing_id IN (
            SELECT c.routing_id
              FROM assignments c
             WHERE c.service = served.value AND c.not_before_us <= :now_us
               AND c.lease_owner IS NULL AND c.delegated_until_us IS NULL
             ORDER BY c.not_before_us, c.routing_id
             LIMIT :limit)
        UNION ALL
        SELECT lapsed.routing_id, lapsed.not_before_us
          FROM assignments AS lapsed INDEXED BY assignments_by_lease
         WHERE lapsed.lease_expires_at_us IS NOT NULL AND lapsed.lease_expires_at_us <= :now_us
           AND lapsed.not_before_us <= :now_us
           AND lapsed.service IN (SELECT value FROM json_each(:services))
        ) AS either
     ORDER BY place
     LIMIT :limit
)
UPDATE assignments
   SET lease_owner = taken.owner, lease_token = :token, lease_expires_at_us = :lease_expires_at_us,
       lease_losses = lease_losses + (lease_owner IS NOT NULL)
  FROM (
    SELECT due.routing_id, json_extract(taker.value, '$.owner') AS owner
      FROM json_each(:takers) AS taker
     CROSS JOIN due
     WHERE due.place BETWEEN json_extract(taker.value, '$.first_place')
                         AND json_extract(taker.value, '$.last_place')) AS taken
 WHERE assignments.routing_id IN (SELECT due.routing_id FROM due)
   AND assignments.routing_id = taken.routing_id
RETURNING routing_id, motion_id, service, state, purpose, attempt, not_before_us,
          deadline_us, attempt_timeout_seconds, opened_at_us,
          lease_owner, lease_token, lease_expires_at_us, lease_losses;

-- name: due_now (postgres)
-- The head row, when the next thing becomes due or a lease runs out, and whether there is anything
-- to be done now, of each kind.
SELECT h.position, h.committed_at_us, h.halt_epoch, h.halted, h.admitted,
       (SELECT min(t.due_us) FROM (
            SELECT min(not_before_us) AS due_us FROM assignments WHERE not_before_us > :now_us
            UNION ALL
            SELECT min(deadline_us) FROM assignments
             WHERE deadline_us IS NOT NULL AND deadline_us > :now_us
            UNION ALL
            SELECT min(lease_expires_at_us) FROM assignments
             WHERE lease_expires_at_us IS NOT NULL AND lease_expires_at_us > :now_us
            UNION ALL
            SELECT min(delegated_until_us) FROM assignments
             WHERE delegated_until_us IS NOT NULL AND delegated_until_us > :now_us
            UNION ALL
            SELECT min(due_us) FROM agenda WHERE due_us > :now_us
            UNION ALL
            SELECT min(lease_expires_at_us) FROM agenda WHERE lease_expires_at_us > :now_us
            UNION ALL
            SELECT min(due_us) FROM alerts_outbox WHERE due_us > :now_us
            UNION ALL
            SELECT min(lease_expires_at_us) FROM alerts_outbox WHERE lease_expires_at_us > :now_us
       ) AS t),
       EXISTS (
        SELECT FROM unnest(:services::text[]) AS served (service)
         CROSS JOIN LATERAL (
            SELECT 1 FROM assignments a
             WHERE a.service = served.service AND a.not_before_us <= :now_us
               AND a.lease_owner IS NULL AND a.delegated_until_us IS NULL
             LIMIT 1) AS found)
       OR EXISTS (
        SELECT FROM assignments a
         WHERE a.lease_expires_at_us IS NOT NULL AND a.lease_expires_at_us <= :now_us
           AND a.not_before_us <= :now_us AND a.service = ANY (:services::text[])),
       EXISTS (
        SELECT FROM agenda g
         WHERE g.kind = 'apply' AND g.due_us <= :now_us
           AND (g.lease_expires_at_us IS NULL OR g.lease_expires_at_us <= :now_us)),
       EXISTS (SELECT FROM agenda g WHERE g.kind = 'admit' AND g.due_us <= :now_us)
       AND NOT EXISTS (
        SELECT FROM agenda g
         WHERE g.lease_expires_at_us IS NOT NULL AND g.lease_expires_at_us > :now_us
           AND g.kind = 'admit'),
       EXISTS (
        SELECT FROM assignments a
         WHERE a.deadline_us IS NOT NULL AND a.deadline_us <= :now_us),
       EXISTS (
        SELECT FROM assignments a
         WHERE a.delegated_until_us IS NOT NULL AND a.delegated_until_us <= :now_us),
       EXISTS (
        SELECT FROM alerts_outbox o
         WHERE o.due_us <= :now_us
           AND (o.lease_expires_at_us IS NULL OR o.lease_expires_at_us <= :now_us))
  FROM head h;

-- name: due_now (sqlite)
-- The head row, when the next thing becomes due or a lease runs out, and whether there is anything
-- to be done now, of each kind.
SELECT h.position, h.committed_at_us, h.halt_epoch, h.halted, h.admitted,
       (SELECT min(t.due_us) FROM (
            SELECT min(not_before_us) AS due_us FROM assignments WHERE not_before_us > :now_us
            UNION ALL
            SELECT min(deadline_us) FROM assignments
             WHERE deadline_us IS NOT NULL AND deadline_us > :now_us
            UNION ALL
            SELECT min(lease_expires_at_us) FROM assignments
             WHERE lease_expires_at_us IS NOT NULL AND lease_expires_at_us > :now_us
            UNION ALL
            SELECT min(delegated_until_us) FROM assignments
             WHERE delegated_until_us IS NOT NULL AND delegated_until_us > :now_us
            UNION ALL
            SELECT min(due_us) FROM agenda WHERE due_us > :now_us
            UNION ALL
            SELECT min(lease_expires_at_us) FROM agenda WHERE lease_expires_at_us > :now_us
            UNION ALL
            SELECT min(due_us) FROM alerts_outbox WHERE due_us > :now_us
            UNION ALL
            SELECT min(lease_expires_at_us) FROM alerts_outbox WHERE lease_expires_at_us > :now_us
       ) AS t),
       EXISTS (
        SELECT 1 FROM json_each(:services) AS served
         CROSS JOIN assignments AS a
         WHERE a.service = served.value AND a.not_before_us <= :now_us
           AND a.lease_owner IS NULL AND a.delegated_until_us IS NULL)
       OR EXISTS (
        SELECT 1 FROM assignments AS a
         WHERE a.lease_expires_at_us IS NOT NULL AND a.lease_expires_at_us <= :now_us
           AND a.not_before_us <= :now_us
           AND a.service IN (SELECT value FROM json_each(:services))),
       EXISTS (
        SELECT 1 FROM agenda AS g
         WHERE g.kind = 'apply' AND g.due_us <= :now_us
           AND (g.lease_expires_at_us IS NULL OR g.lease_expires_at_us <= :now_us)),
       EXISTS (SELECT 1 FROM agenda AS g WHERE g.kind = 'admit' AND g.due_us <= :now_us)
       AND NOT EXISTS (
        SELECT 1 FROM agenda AS g
         WHERE g.lease_expires_at_us IS NOT NULL AND g.lease_expires_at_us > :now_us
           AND g.kind = 'admit'),
       EXISTS (
        SELECT 1 FROM assignments AS a
         WHERE a.deadline_us IS NOT NULL AND a.deadline_us <= :now_us),
       EXISTS (
        SELECT 1 FROM assignments AS a
         WHERE a.delegated_until_us IS NOT NULL AND a.delegated_until_us <= :now_us),
       EXISTS (
        SELECT 1 FROM alerts_outbox AS o
         WHERE o.due_us <= :now_us
           AND (o.lease_expires_at_us IS NULL OR o.lease_expires_at_us <= :now_us))
  FROM head AS h;

-- name: release_all
-- Ends every lease of one owner.
UPDATE assignments
   SET lease_owner = NULL, lease_expires_at_us = NULL
 WHERE lease_expires_at_us IS NOT NULL AND lease_owner = :owner;

-- name: extend_lease (postgres)
-- Lets leases run on; tells which of them are still held.
WITH held AS (
    SELECT a.routing_id
      FROM unnest(:routing_ids::uuid[], :tokens::bigint[]) AS h (routing_id, token)
      JOIN assignments a
        ON a.routing_id = h.routing_id AND a.lease_token = h.token AND a.lease_owner IS NOT NULL
     ORDER BY a.routing_id
       FOR UPDATE OF a
)
UPDATE assignments AS a
   SET lease_expires_at_us = :lease_expires_at_us
  FROM held
 WHERE a.routing_id = held.routing_id
RETURNING a.routing_id;

-- name: extend_lease (sqlite)
-- Lets leases run on; tells which of them are still held.
UPDATE assignments
   SET lease_expires_at_us = :lease_expires_at_us
  FROM (SELECT ids.value AS routing_id, tokens.value AS token
          FROM json_each(:routing_ids) AS ids
          JOIN json_each(:tokens) AS tokens ON tokens.key = ids.key) AS held
 WHERE assignments.routing_id = held.routing_id AND assignments.lease_token = held.token
   AND assignments.lease_owner IS NOT NULL
RETURNING assignments.routing_id;

-- name: release_lease
-- Ends a lease, if it is still that one.
UPDATE assignments
   SET lease_owner = NULL, lease_expires_at_us = NULL
 WHERE routing_id = :routing_id AND lease_token = :token AND lease_owner IS NOT NULL
RETURNING routing_id;

-- name: delegate_lease
-- Turns a lease into a promise to complete later, if it is still that one. The token stays good.
UPDATE assignments
   SET lease_owner = NULL, lease_expires_at_us = NULL, delegated_until_us = :until_us
 WHERE routing_id = :routing_id AND lease_token = :token AND lease_owner IS NOT NULL
RETURNING routing_id;

-- name: overdue_delegations
-- What was to be completed later, and was not in time.
SELECT routing_id, motion_id, service, state, purpose, attempt, not_before_us,
       deadline_us, attempt_timeout_seconds, opened_at_us,
       lease_owner, lease_token, lease_expires_at_us, lease_losses
  FROM assignments
 WHERE delegated_until_us IS NOT NULL AND delegated_until_us <= :now_us
 ORDER BY delegated_until_us, routing_id
 LIMIT :limit;

-- name: missing_rows (postgres)
-- Which of these motions have neither an assignment nor an item on the agenda.
SELECT m.id
  FROM unnest(:motion_ids::uuid[]) AS m (id)
 WHERE NOT EXISTS (SELECT FROM assignments a WHERE a.motion_id = m.id)
   AND NOT EXISTS (SELECT FROM agenda g WHERE g.motion_id = m.id);

-- name: missing_rows (sqlite)
-- Which of these motions have neither an assignment nor an item on the agenda.
SELECT m.value
  FROM json_each(:motion_ids) AS m
 WHERE NOT EXISTS (SELECT 1 FROM assignments a WHERE a.motion_id = m.value)
   AND NOT EXISTS (SELECT 1 FROM agenda g WHERE g.motion_id = m.value);

-- name: read_lease
-- Who holds a routing.
SELECT lease_owner, lease_token, lease_expires_at_us, lease_losses
  FROM assignments
 WHERE routing_id = :routing_id;

-- name: due_deadlines
-- Assignments that are overdue, the longest first.
SELECT routing_id, motion_id, service, state, purpose, attempt, not_before_us,
       deadline_us, attempt_timeout_seconds, opened_at_us
  FROM assignments
 WHERE deadline_us IS NOT NULL AND deadline_us <= :now_us
 ORDER BY deadline_us, routing_id
 LIMIT :limit;

-- name: list_all
-- A page of open assignments, by the time from which they may be claimed.
SELECT routing_id, motion_id, service, state, purpose, attempt, not_before_us,
       deadline_us, attempt_timeout_seconds, opened_at_us,
       lease_owner, lease_token, lease_expires_at_us, lease_losses
  FROM assignments
 WHERE (not_before_us, routing_id) > (:after_us, :after_id)
 ORDER BY not_before_us, routing_id
 LIMIT :limit;

-- name: list_service
-- The same, for one service.
SELECT routing_id, motion_id, service, state, purpose, attempt, not_before_us,
       deadline_us, attempt_timeout_seconds, opened_at_us,
       lease_owner, lease_token, lease_expires_at_us, lease_losses
  FROM assignments
 WHERE service = :service AND (not_before_us, routing_id) > (:after_us, :after_id)
 ORDER BY not_before_us, routing_id
 LIMIT :limit;

-- name: count_assignments
-- How many there are, and how many are held under a lease that has not run out.
SELECT (SELECT count(*) FROM assignments),
       (SELECT count(*) FROM assignments
         WHERE lease_expires_at_us IS NOT NULL AND lease_expires_at_us > :now_us);

-- name: count_work (postgres)
-- What is due or held: for these services, on the agenda, in the outbox. What was delegated is in
-- other hands until its time is up.
SELECT (SELECT count(*) FROM assignments
         WHERE service = ANY (:services::text[]) AND not_before_us <= :now_us
           AND (delegated_until_us IS NULL OR delegated_until_us <= :now_us)),
       (SELECT count(*) FROM agenda WHERE kind = ANY (:kinds::text[]) AND due_us <= :now_us),
       (SELECT count(*) FROM alerts_outbox WHERE due_us <= :now_us);

-- name: count_work (sqlite)
-- What is due or held: for these services, on the agenda, in the outbox. What was delegated is in
-- other hands until its time is up.
SELECT (SELECT count(*) FROM assignments
         WHERE service IN (SELECT value FROM json_each(:services)) AND not_before_us <= :now_us
           AND (delegated_until_us IS NULL OR delegated_until_us <= :now_us)),
       (SELECT count(*) FROM agenda
         WHERE kind IN (SELECT value FROM json_each(:kinds)) AND due_us <= :now_us),
       (SELECT count(*) FROM alerts_outbox WHERE due_us <= :now_us);
