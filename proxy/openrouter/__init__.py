"""What OpenRouter is to this proxy: its prefixes, its identities, its attribution headers. Nothing here does I/O."""
