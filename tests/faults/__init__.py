"""Faults of the surroundings: what a client sees, what the log says, and that the next one is served."""
