"""How much the proxy costs beside others that do the same: `benchmarks/run --help`."""
