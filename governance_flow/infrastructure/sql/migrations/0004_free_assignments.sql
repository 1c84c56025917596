-- Workers keep what follows from their own results, so most open assignments are held.

-- name: index_free_assignments
-- Claims walk this from its start, service by service, and meet nothing that is held.
CREATE INDEX assignments_free ON assignments (service, not_before_us, routing_id)
 WHERE lease_owner IS NULL AND delegated_until_us IS NULL;
