"""What all benchmarks share: processes of their own, interleaved rounds, spreads, tables, RESULTS.md."""
