-- Who may do what over the network. Secrets are kept as digests only.

-- name: create_access_tokens (postgres)
-- Tokens, valid or not; what a token allows is a list in JSON.
CREATE TABLE access_tokens (
    token_id      text NOT NULL,
    secret_sha256 bytea NOT NULL,
    name          text NOT NULL,
    permissions   text NOT NULL,
    branches      text NOT NULL,
    created_at_us bigint NOT NULL,
    expires_at_us bigint,
    revoked_at_us bigint,
    PRIMARY KEY (token_id)
);

-- name: create_access_tokens (sqlite)
-- Tokens, valid or not; what a token allows is a list in JSON.
CREATE TABLE access_tokens (
    token_id      TEXT NOT NULL,
    secret_sha256 BLOB NOT NULL,
    name          TEXT NOT NULL,
    permissions   TEXT NOT NULL,
    branches      TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    expires_at_us INTEGER,
    revoked_at_us INTEGER,
    PRIMARY KEY (token_id)
) STRICT;

-- name: create_access_sessions (postgres)
-- Browsers that have shown a token.
CREATE TABLE access_sessions (
    session_sha256 bytea NOT NULL,
    token_id       text NOT NULL,
    csrf           text NOT NULL,
    expires_at_us  bigint NOT NULL,
    PRIMARY KEY (session_sha256)
);

-- name: create_access_sessions (sqlite)
-- Browsers that have shown a token.
CREATE TABLE access_sessions (
    session_sha256 BLOB NOT NULL,
    token_id       TEXT NOT NULL,
    csrf           TEXT NOT NULL,
    expires_at_us  INTEGER NOT NULL,
    PRIMARY KEY (session_sha256)
) STRICT;

-- name: index_access_sessions_expiry
-- Finds the sessions that can be forgotten.
CREATE INDEX access_sessions_expiry ON access_sessions (expires_at_us);

-- name: create_access_denials (postgres)
-- Who was turned away, and how often: one row for all that are alike in the same minute.
CREATE TABLE access_denials (
    number    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    minute_us bigint NOT NULL,
    reason    text   NOT NULL,
    token_id  text   NOT NULL,
    name      text   NOT NULL,
    client    text   NOT NULL,
    operation text   NOT NULL,
    count     bigint NOT NULL,
    UNIQUE (minute_us, reason, token_id, client, operation)
);

-- name: create_access_denials (sqlite)
-- Who was turned away, and how often: one row for all that are alike in the same minute.
CREATE TABLE access_denials (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    minute_us INTEGER NOT NULL,
    reason    TEXT    NOT NULL,
    token_id  TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    client    TEXT    NOT NULL,
    operation TEXT    NOT NULL,
    count     INTEGER NOT NULL,
    UNIQUE (minute_us, reason, token_id, client, operation)
) STRICT;

-- name: create_idempotency_keys (postgres)
-- Requests that may be sent again, and the answers they were given.
CREATE TABLE idempotency_keys (
    bearer      text NOT NULL,
    key         text NOT NULL,
    fingerprint bytea NOT NULL,
    taken_at_us bigint NOT NULL,
    status      bigint,
    media_type  text,
    headers     text,
    body        bytea,
    PRIMARY KEY (bearer, key)
);

-- name: create_idempotency_keys (sqlite)
-- Requests that may be sent again, and the answers they were given.
CREATE TABLE idempotency_keys (
    bearer      TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    taken_at_us INTEGER NOT NULL,
    status      INTEGER,
    media_type  TEXT,
    headers     TEXT,
    body        BLOB,
    PRIMARY KEY (bearer, key)
) STRICT;

-- name: index_idempotency_keys_age
-- Finds the keys that can be forgotten.
CREATE INDEX idempotency_keys_age ON idempotency_keys (taken_at_us);
