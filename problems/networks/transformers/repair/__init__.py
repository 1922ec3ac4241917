"""Making up for what is gone without training: the weights that stay are fitted to the unpruned model's outputs."""
