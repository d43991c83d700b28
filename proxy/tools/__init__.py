"""What the commands do, and show to people."""
