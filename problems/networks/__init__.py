"""Neural networks: what of them can be pruned, by which criteria, scored by which proxies."""
