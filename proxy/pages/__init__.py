"""The pages that the proxy answers by itself."""
