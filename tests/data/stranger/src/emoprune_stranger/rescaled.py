"""A recovery without training (to be fitted to the contract of recoveries)."""
