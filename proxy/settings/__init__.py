"""The settings: what can be set, where the values come from, and what is wrong or doubtful about them."""
