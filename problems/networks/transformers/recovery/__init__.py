"""Winning back what pruning cost: training, distilling, rewinding, low-rank adapters, and a repair without training."""
