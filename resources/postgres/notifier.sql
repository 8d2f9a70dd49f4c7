-- name: backend_pid
-- The server process that serves this connection. Behind a pooler it is not the one named when the connection was made.
SELECT pg_backend_pid();

-- name: listen_for_changes
-- The channel on which the triggers of jobs_variants announce changes of state.
LISTEN job_variant_state_changed;

-- name: listen_for_shutdown
-- The channel on which the service announces that it stops.
LISTEN job_variant_sensors;

-- name: set_lock_timeout
-- How long the next statement waits for the sensors' lock.
SELECT set_config('lock_timeout', :milliseconds, false);

-- name: acquire_sensor_lock
-- Waits until no other sensor holds the lock. It is held until the connection is closed.
SELECT pg_advisory_lock(hashtextextended('job_variants.new_variants', 0));
