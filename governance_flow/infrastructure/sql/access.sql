-- Tokens, sessions, denials, and the answers that requests were given.

-- name: keep_token
-- A new token.
INSERT INTO access_tokens (token_id, secret_sha256, name, permissions, branches,
                           created_at_us, expires_at_us, revoked_at_us)
VALUES (:token_id, :secret_sha256, :name, :permissions, :branches,
        :created_at_us, :expires_at_us, NULL);

-- name: find_token
-- A token, valid or not.
SELECT token_id, secret_sha256, name, permissions, branches,
       created_at_us, expires_at_us, revoked_at_us
  FROM access_tokens WHERE token_id = :token_id;

-- name: list_tokens
-- Every token there ever was.
SELECT token_id, secret_sha256, name, permissions, branches,
       created_at_us, expires_at_us, revoked_at_us
  FROM access_tokens ORDER BY created_at_us, token_id;

-- name: revoke_token
-- A token is accepted no more.
UPDATE access_tokens SET revoked_at_us = :now_us
 WHERE token_id = :token_id AND revoked_at_us IS NULL
RETURNING token_id;

-- name: end_sessions
-- The sessions of a token end with it.
DELETE FROM access_sessions WHERE token_id = :token_id;

-- name: open_session
-- A browser has shown a token.
INSERT INTO access_sessions (session_sha256, token_id, csrf, expires_at_us)
VALUES (:session_sha256, :token_id, :csrf, :expires_at_us);

-- name: find_session
-- A session, expired or not.
SELECT session_sha256, token_id, csrf, expires_at_us
  FROM access_sessions WHERE session_sha256 = :session_sha256;

-- name: close_session
-- A browser has signed out.
DELETE FROM access_sessions WHERE session_sha256 = :session_sha256;

-- name: forget_sessions
-- Sessions that have expired.
DELETE FROM access_sessions WHERE expires_at_us <= :now_us;

-- name: record_denial
-- Somebody was turned away, for the first time in this minute or once more.
INSERT INTO access_denials AS kept
       (minute_us, reason, token_id, name, client, operation, count)
VALUES (:minute_us, :reason, :token_id, :name, :client, :operation, :count)
ON CONFLICT (minute_us, reason, token_id, client, operation)
DO UPDATE SET count = kept.count + excluded.count;

-- name: forget_denials
-- Denials of long ago, a bounded number at once.
DELETE FROM access_denials
 WHERE number IN (SELECT number FROM access_denials
                   WHERE minute_us < :before_us ORDER BY minute_us LIMIT 100);

-- name: denials
-- The newest denials.
SELECT number, minute_us, reason, token_id, name, client, operation, count
  FROM access_denials WHERE number < :before ORDER BY number DESC LIMIT :limit;

-- name: take_key
-- An idempotency key is taken if nobody has it, or if the same request died with it.
INSERT INTO idempotency_keys AS kept (bearer, key, fingerprint, taken_at_us)
VALUES (:bearer, :key, :fingerprint, :now_us)
ON CONFLICT (bearer, key) DO UPDATE SET taken_at_us = excluded.taken_at_us
 WHERE kept.status IS NULL AND kept.taken_at_us <= :died_us
   AND kept.fingerprint = excluded.fingerprint
RETURNING taken_at_us;

-- name: find_key
-- What is known of an idempotency key.
SELECT fingerprint, status, media_type, headers, body
  FROM idempotency_keys WHERE bearer = :bearer AND key = :key;

-- name: answer_key
-- The answer that was given.
UPDATE idempotency_keys
   SET status = :status, media_type = :media_type, headers = :headers, body = :body
 WHERE bearer = :bearer AND key = :key;

-- name: drop_key
-- The request came to nothing.
DELETE FROM idempotency_keys WHERE bearer = :bearer AND key = :key;

-- name: forget_keys
-- Keys whose time is up, a bounded number at once.
DELETE FROM idempotency_keys
 WHERE (bearer, key) IN (SELECT bearer, key FROM idempotency_keys
                          WHERE taken_at_us <= :forgotten_us ORDER BY taken_at_us LIMIT 100);
