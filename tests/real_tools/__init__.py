"""Real tools, from PyPI and npm, against the imitation: not among the tests, because they need a network."""
