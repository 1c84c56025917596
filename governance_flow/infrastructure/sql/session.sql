-- What a session with PostgreSQL asks for itself.

-- name: set_up (postgres)
-- Bounds on how long things may take, in milliseconds; tells whether this is a replica.
SELECT pg_is_in_recovery(),
       set_config('statement_timeout', :statement_ms, false),
       set_config('lock_timeout', :lock_ms, false),
       set_config('idle_in_transaction_session_timeout', :idle_ms, false);

-- name: read_clock (postgres)
-- The time. Not now(): that stands still from BEGIN on, before the locks were taken.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

-- name: notify (postgres)
-- Wakes other processes once this transaction is committed.
SELECT pg_notify('governance_flow.' || current_schema(), :payload);

-- name: channel (postgres)
-- The channel of this store. The schema is part of it: stores in one database, or copies of one,
-- must not wake each other.
SELECT 'governance_flow.' || current_schema();

-- name: position (postgres)
-- Where the log ends.
SELECT position FROM head;
