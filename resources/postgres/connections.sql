-- name: set_tcp_keepalives
-- Makes the server notice within half a minute that the client of this connection has vanished. Then it closes the
-- connection, and its locks are free.
SELECT set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
       set_config('tcp_keepalives_count', '3', false);
