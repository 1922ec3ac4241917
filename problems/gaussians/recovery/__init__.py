"""Training that wins back what pruning cost."""
