"""The promises of docs/wire.md, one file for each number: bytes in, bytes out, at both ends."""
