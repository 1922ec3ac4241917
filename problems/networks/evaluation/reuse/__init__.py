"""Activations that pruned networks share: computed once, kept within a limit, exact."""
