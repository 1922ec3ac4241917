"""From a pruned network to its numbers."""
