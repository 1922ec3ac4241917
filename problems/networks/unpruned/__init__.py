"""The network that is pruned: found by name, its weights loaded or trained once."""
