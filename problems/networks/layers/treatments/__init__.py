"""What can be done to the weights of one layer that keeps its shape: zeroed, or rounded, more or less strongly."""
