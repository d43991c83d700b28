"""The tests: they talk through sockets and name the promise that they hold."""
