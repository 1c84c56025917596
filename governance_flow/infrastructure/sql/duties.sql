-- What one worker does for all of them.

-- name: take_duty
-- Takes a duty, or keeps it for longer, unless somebody else has it; tells who has it, until when.
INSERT INTO duties AS held (name, lease_owner, lease_expires_at_us)
VALUES (:name, :owner, :lease_expires_at_us)
ON CONFLICT (name) DO UPDATE
   SET lease_owner = CASE WHEN held.lease_owner = excluded.lease_owner
                            OR held.lease_expires_at_us <= :now_us
                          THEN excluded.lease_owner ELSE held.lease_owner END,
       lease_expires_at_us = CASE WHEN held.lease_owner = excluded.lease_owner
                                    OR held.lease_expires_at_us <= :now_us
                                  THEN excluded.lease_expires_at_us
                                  ELSE held.lease_expires_at_us END
RETURNING lease_owner, lease_expires_at_us;

-- name: lay_down_duty
-- Lets somebody else take it at once.
DELETE FROM duties WHERE name = :name AND lease_owner = :owner;
