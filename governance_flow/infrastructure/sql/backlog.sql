-- What waits in the store, at a glance, for whoever watches from outside. `:now_us` is always the
-- store's clock.

-- name: read_backlog
-- Since when a deadline, a delegation and an alert have been due at the earliest; since when the
-- first motion of the docket waits; how many alerts are under way, counted up to a hundred; where
-- the log ends, when it began, and what the newest checkpoint covers since when.
SELECT (SELECT min(deadline_us) FROM assignments WHERE deadline_us IS NOT NULL),
       (SELECT min(delegated_until_us) FROM assignments WHERE delegated_until_us IS NOT NULL),
       (SELECT min(due_us) FROM alerts_outbox),
       (SELECT due_us FROM agenda
         WHERE kind = 'admit' AND due_us <= :now_us
         ORDER BY order_us, motion_id
         LIMIT 1),
       (SELECT count(*) FROM (SELECT 1 FROM alerts_outbox LIMIT 100) AS undelivered),
       h.position,
       (SELECT committed_at_us FROM events WHERE position = 1),
       (SELECT max(size) FROM log_checkpoints),
       (SELECT signed_at_us FROM log_checkpoints
         WHERE size = (SELECT max(size) FROM log_checkpoints))
  FROM head AS h;
