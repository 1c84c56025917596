-- The agenda: what the process manager itself must do. `:now_us` is always the store's clock.

-- name: claim_items (postgres)
-- Leases the first due items, in their order; for each kind the index is walked from its start,
-- no further than needed. Those that another claim has locked are passed over.
UPDATE agenda
   SET lease_expires_at_us = :lease_expires_at_us
 WHERE motion_id IN (
    SELECT free.motion_id
      FROM unnest(:kinds::text[]) AS wanted (kind)
     CROSS JOIN LATERAL (
        SELECT g.motion_id, g.order_us
          FROM agenda g
         WHERE g.kind = wanted.kind AND g.due_us <= :now_us
           AND (g.lease_expires_at_us IS NULL OR g.lease_expires_at_us <= :now_us)
         ORDER BY g.order_us, g.motion_id
         LIMIT :limit
           FOR UPDATE SKIP LOCKED) AS free
     ORDER BY free.order_us, free.motion_id
     LIMIT :limit)
RETURNING motion_id, kind, due_us, order_us;

-- name: claim_items (sqlite)
-- Leases the first due items, in their order; for each kind the index is walked from its start,
-- no further than needed.
UPDATE agenda
   SET lease_expires_at_us = :lease_expires_at_us
 WHERE motion_id IN (
    SELECT free.motion_id
      FROM json_each(:kinds) AS wanted
     CROSS JOIN agenda AS free
     WHERE free.motion_id IN (
        SELECT g.motion_id
          FROM agenda g
         WHERE g.kind = wanted.value AND g.due_us <= :now_us
           AND (g.lease_expires_at_us IS NULL OR g.lease_expires_at_us <= :now_us)
         ORDER BY g.order_us, g.motion_id
         LIMIT :limit)
     ORDER BY free.order_us, free.motion_id
     LIMIT :limit)
RETURNING motion_id, kind, due_us, order_us;

-- name: lock_docket (postgres)
-- One claim of the docket at a time, until this transaction ends. It ends without waiting for the
-- claimer, so whoever comes second does not wait long.
SELECT pg_advisory_xact_lock(hashtext('governance_flow.docket'));

-- name: lock_docket (sqlite)
-- BEGIN IMMEDIATE holds the only lock there is.
SELECT NULL;

-- name: claim_docket
-- Leases the first motions waiting for a place; none while somebody else is admitting some.
UPDATE agenda
   SET lease_expires_at_us = :lease_expires_at_us
 WHERE motion_id IN (
    SELECT motion_id
      FROM agenda
     WHERE kind = 'admit' AND due_us <= :now_us
       AND NOT EXISTS (
        SELECT 1 FROM agenda AS held
         WHERE held.kind = 'admit' AND held.lease_expires_at_us > :now_us)
     ORDER BY order_us, motion_id
     LIMIT :limit)
RETURNING motion_id, kind, due_us, order_us;

-- name: release_item
-- Gives an item back, due as before.
UPDATE agenda SET lease_expires_at_us = NULL WHERE motion_id = :motion_id;

-- name: postpone_item
-- Gives an item back, due at another time.
UPDATE agenda SET lease_expires_at_us = NULL, due_us = :due_us WHERE motion_id = :motion_id;
