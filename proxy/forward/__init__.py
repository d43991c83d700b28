"""The relay: a request goes to the upstream, its answer comes back."""
