-- Operational rows: what events do not hold. Finished rows are deleted, so these tables stay small.

-- name: create_checkpoints (postgres)
-- How far each follower of the log has got.
CREATE TABLE checkpoints (
    name     text   PRIMARY KEY,
    position bigint NOT NULL
);

-- name: create_checkpoints (sqlite)
-- How far each follower of the log has got.
CREATE TABLE checkpoints (
    name     TEXT    PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT;

-- name: create_assignments (postgres)
-- Open routings, with the lease of whoever works on them.
CREATE TABLE assignments (
    routing_id              uuid             PRIMARY KEY,
    motion_id               uuid             NOT NULL,
    service                 text             NOT NULL,
    state                   text             NOT NULL,
    purpose                 text             NOT NULL,
    attempt                 integer          NOT NULL,
    not_before_us           bigint           NOT NULL,
    deadline_us             bigint,
    attempt_timeout_seconds double precision,
    opened_at_us            bigint           NOT NULL,
    lease_owner             text,
    lease_token             bigint           NOT NULL DEFAULT 0,
    lease_expires_at_us     bigint,
    lease_losses            integer          NOT NULL DEFAULT 0,
    delegated_until_us      bigint,
    CHECK ((lease_owner IS NULL) = (lease_expires_at_us IS NULL))
);

-- name: create_assignments (sqlite)
-- Open routings, with the lease of whoever works on them.
CREATE TABLE assignments (
    routing_id              TEXT    PRIMARY KEY,
    motion_id               TEXT    NOT NULL,
    service                 TEXT    NOT NULL,
    state                   TEXT    NOT NULL,
    purpose                 TEXT    NOT NULL,
    attempt                 INTEGER NOT NULL,
    not_before_us           INTEGER NOT NULL,
    deadline_us             INTEGER,
    attempt_timeout_seconds REAL,
    opened_at_us            INTEGER NOT NULL,
    lease_owner             TEXT,
    lease_token             INTEGER NOT NULL DEFAULT 0,
    lease_expires_at_us     INTEGER,
    lease_losses            INTEGER NOT NULL DEFAULT 0,
    delegated_until_us      INTEGER,
    CHECK ((lease_owner IS NULL) = (lease_expires_at_us IS NULL))
) STRICT;

-- name: index_assignments_by_service
-- Claims walk this from its start, service by service.
CREATE INDEX assignments_by_service ON assignments (service, not_before_us, routing_id);

-- name: index_assignments_by_time
-- The next one to become claimable, and the pages of the whole list.
CREATE INDEX assignments_by_time ON assignments (not_before_us, routing_id);

-- name: index_assignments_by_motion
-- Closing whatever a motion has open.
CREATE INDEX assignments_by_motion ON assignments (motion_id);

-- name: index_assignments_by_deadline
-- Deadlines missed, and the next to come.
CREATE INDEX assignments_by_deadline ON assignments (deadline_us)
 WHERE deadline_us IS NOT NULL;

-- name: index_assignments_by_lease
-- Leases alone: the next to run out, and how many there are.
CREATE INDEX assignments_by_lease ON assignments (lease_expires_at_us)
 WHERE lease_expires_at_us IS NOT NULL;

-- name: index_assignments_by_delegation
-- What somebody took to complete later, by the time until which they may.
CREATE INDEX assignments_by_delegation ON assignments (delegated_until_us)
 WHERE delegated_until_us IS NOT NULL;

-- name: create_lease_tokens (postgres)
-- Fencing tokens: a sequence never goes back, not even with the transaction that drew from it.
CREATE SEQUENCE lease_tokens AS bigint;

-- name: create_lease_tokens (sqlite)
-- Fencing tokens: the last one given out.
CREATE TABLE lease_tokens (last_token INTEGER NOT NULL) STRICT;

-- name: fill_lease_tokens (sqlite)
-- None was given out yet.
INSERT INTO lease_tokens (last_token) VALUES (0);

-- name: create_agenda (postgres)
-- What the process manager itself must do, at most one thing a motion.
CREATE TABLE agenda (
    motion_id           uuid   PRIMARY KEY,
    kind                text   NOT NULL CHECK (kind IN ('admit', 'apply')),
    due_us              bigint NOT NULL,
    order_us            bigint NOT NULL,
    lease_expires_at_us bigint
);

-- name: create_agenda (sqlite)
-- What the process manager itself must do, at most one thing a motion.
CREATE TABLE agenda (
    motion_id           TEXT    PRIMARY KEY,
    kind                TEXT    NOT NULL CHECK (kind IN ('admit', 'apply')),
    due_us              INTEGER NOT NULL,
    order_us            INTEGER NOT NULL,
    lease_expires_at_us INTEGER
) STRICT;

-- name: index_agenda_by_order
-- Claims take one kind in its order.
CREATE INDEX agenda_by_order ON agenda (kind, order_us, motion_id);

-- name: index_agenda_by_time
-- The next item to become due.
CREATE INDEX agenda_by_time ON agenda (due_us);

-- name: index_agenda_by_lease
-- The few items that are being worked on.
CREATE INDEX agenda_by_lease ON agenda (lease_expires_at_us)
 WHERE lease_expires_at_us IS NOT NULL;

-- name: create_alerts_outbox (postgres)
-- Alerts not yet delivered, once for each sink.
CREATE TABLE alerts_outbox (
    alert_id            text    NOT NULL,
    sink                text    NOT NULL,
    body                text    NOT NULL,
    created_us          bigint  NOT NULL,
    due_us              bigint  NOT NULL,
    attempts            integer NOT NULL DEFAULT 0,
    lease_expires_at_us bigint,
    PRIMARY KEY (alert_id, sink)
);

-- name: create_alerts_outbox (sqlite)
-- Alerts not yet delivered, once for each sink.
CREATE TABLE alerts_outbox (
    alert_id            TEXT    NOT NULL,
    sink                TEXT    NOT NULL,
    body                TEXT    NOT NULL,
    created_us          INTEGER NOT NULL,
    due_us              INTEGER NOT NULL,
    attempts            INTEGER NOT NULL DEFAULT 0,
    lease_expires_at_us INTEGER,
    PRIMARY KEY (alert_id, sink)
) STRICT;

-- name: index_alerts_by_time
-- The next alert to send.
CREATE INDEX alerts_outbox_by_time ON alerts_outbox (due_us);

-- name: index_alerts_by_lease
-- The few alerts that are being sent.
CREATE INDEX alerts_outbox_by_lease ON alerts_outbox (lease_expires_at_us)
 WHERE lease_expires_at_us IS NOT NULL;
