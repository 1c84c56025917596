-- Alerts on their way out. `:now_us` is always the store's clock.

-- name: claim_alerts (postgres)
-- Leases the alerts that have been due for longest.
UPDATE alerts_outbox
   SET lease_expires_at_us = :lease_expires_at_us
 WHERE (alert_id, sink) IN (
    SELECT alert_id, sink
      FROM alerts_outbox
     WHERE due_us <= :now_us
       AND (lease_expires_at_us IS NULL OR lease_expires_at_us <= :now_us)
     ORDER BY due_us, alert_id, sink
     LIMIT :limit
       FOR UPDATE SKIP LOCKED)
RETURNING alert_id, sink, body, created_us, due_us, attempts;

-- name: claim_alerts (sqlite)
-- Leases the alerts that have been due for longest.
UPDATE alerts_outbox
   SET lease_expires_at_us = :lease_expires_at_us
 WHERE (alert_id, sink) IN (
    SELECT alert_id, sink
      FROM alerts_outbox
     WHERE due_us <= :now_us
       AND (lease_expires_at_us IS NULL OR lease_expires_at_us <= :now_us)
     ORDER BY due_us, alert_id, sink
     LIMIT :limit)
RETURNING alert_id, sink, body, created_us, due_us, attempts;

-- name: delete_alert
-- Forgets an alert.
DELETE FROM alerts_outbox WHERE alert_id = :alert_id AND sink = :sink;

-- name: retry_alert
-- Counts a failed attempt, and says when the next one may be made.
UPDATE alerts_outbox
   SET attempts = attempts + 1, due_us = :due_us, lease_expires_at_us = NULL
 WHERE alert_id = :alert_id AND sink = :sink;
