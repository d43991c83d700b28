"""What happens to a request before it is forwarded, and to an answer's head before the client sees it."""
