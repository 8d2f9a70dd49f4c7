"""What the supervisor tells each process of the service about itself."""

# Its name; only the daemon launches runs, everybody else puts them into the daemon's queue.
PROCESS_VARIABLE = "SERVICE_PROCESS"
