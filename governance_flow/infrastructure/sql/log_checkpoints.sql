-- The checkpoints of the audit log.

-- name: latest
-- The checkpoint of the largest tree.
SELECT size, root, note, signed_at_us FROM log_checkpoints ORDER BY size DESC LIMIT 1;

-- name: reaching
-- The first checkpoint whose tree has at least so many leaves.
SELECT size, root, note, signed_at_us FROM log_checkpoints
 WHERE size >= :size ORDER BY size LIMIT 1;

-- name: page
-- The checkpoints of larger trees, in order.
SELECT size, root, note, signed_at_us FROM log_checkpoints
 WHERE size > :size ORDER BY size LIMIT :limit;

-- name: keep
-- One more promise. Whoever promised the same size first has promised the same.
INSERT INTO log_checkpoints (size, root, note, signed_at_us)
VALUES (:size, :root, :note, :signed_at_us)
ON CONFLICT (size) DO NOTHING;
