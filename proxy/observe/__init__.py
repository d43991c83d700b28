"""What is known about each request, and what is made of it."""
