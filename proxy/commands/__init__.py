"""The commands, and how they talk to people."""
