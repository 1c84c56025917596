-- How far each follower of the log has got.

-- name: read_checkpoint
-- The position the follower has done.
SELECT position FROM checkpoints WHERE name = :name;

-- name: set_checkpoint
-- Notes the position the follower has done.
INSERT INTO checkpoints (name, position) VALUES (:name, :position)
ON CONFLICT (name) DO UPDATE SET position = excluded.position;
