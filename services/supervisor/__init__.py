"""One process per node that starts, watches, restarts and signals the roles. Never loads trio, never starts a thread."""
