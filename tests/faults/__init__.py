"""Faults of the surroundings: what a client sees, what the log says, and that the next request is served (docs/faults.md)."""
