-- name: server_process
-- The process that serves this connection; behind a pooler it is not the one that the connection was told of.
SELECT pg_backend_pid();

-- name: quick_farewell
-- Has the server end a connection whose client has vanished within half a minute, and with it the client's turn.
SELECT set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
       set_config('tcp_keepalives_count', '3', false);

-- name: listen_for_changes
-- What the triggers of jobs_variants announce.
LISTEN job_variant_state_changed;

-- name: listen_for_stop
-- What the service says before it stops.
LISTEN job_variant_sensors;

-- name: turn_within
-- How long to wait for the turn.
SELECT set_config('lock_timeout', :milliseconds, false);

-- name: take_turn
-- Waits until no other sensor has the turn; it ends with the connection.
SELECT pg_advisory_lock(hashtextextended('job_variants.new_variants', 0));
