"""The side towards the clients: sockets, the HTTP/1.1 connection of each client, and an orderly end."""
