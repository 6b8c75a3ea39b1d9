"""Inside a worker group: the Ray Train loop, the client of the pool, the watchdog."""
