-- Many workers on one store.

-- name: index_free_assignments
-- Claims walk this from its start, service by service, and meet nothing that is held.
CREATE INDEX assignments_free ON assignments (service, not_before_us, routing_id)
 WHERE lease_owner IS NULL AND delegated_until_us IS NULL;

-- name: create_duties (postgres)
-- What one worker does for all of them, and who that is until when.
CREATE TABLE duties (
    name                text   PRIMARY KEY,
    lease_owner         text   NOT NULL,
    lease_expires_at_us bigint NOT NULL
);

-- name: create_duties (sqlite)
-- What one worker does for all of them, and who that is until when.
CREATE TABLE duties (
    name                TEXT    PRIMARY KEY,
    lease_owner         TEXT    NOT NULL,
    lease_expires_at_us INTEGER NOT NULL
) STRICT;
