"""Parameters of libpq that end a connection whose other side has vanished without closing it."""

# Some 25 seconds after the last sign of the server: while an answer is awaited by probes, while something was sent that
# the server does not confirm by the last one.
KEEPALIVE = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
