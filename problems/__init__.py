"""What can be pruned: one folder per domain."""
