"""Training after pruning: what a pruned network wins back, or what its shape learns from nothing."""
