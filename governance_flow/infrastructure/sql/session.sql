-- What a session with PostgreSQL asks for itself.

-- name: set_up (postgres)
-- Tells whether this is a replica, and sets bounds on how long things may take, those that this
-- version of the server knows (transaction_timeout came with 17).
SELECT pg_is_in_recovery(), count(set_config(known.name, bound.value, false))
  FROM unnest(:names::text[], :values::text[]) AS bound (name, value)
  JOIN pg_settings AS known ON known.name = bound.name;

-- name: read_clock (postgres)
-- The time. Not now(): that stands still from BEGIN on, before the locks were taken.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

-- name: notify (postgres)
-- Wakes other processes once this transaction is committed.
SELECT pg_notify('governance_flow.' || current_schema(), hint.payload)
  FROM unnest(:payloads::text[]) AS hint (payload);

-- name: channel (postgres)
-- The channel of this store. The schema is part of it: stores in one database, or copies of one,
-- must not wake each other.
SELECT 'governance_flow.' || current_schema();

-- name: position (postgres)
-- Where the log ends.
SELECT position FROM head;
