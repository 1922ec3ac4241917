"""Masks that learn with the weights: one contract, one file per mask, and the training that hardens them."""
